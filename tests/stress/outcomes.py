"""Compare what a shared value does with the C core and in pure Python: each operation of the differential test.

    python tests/stress/outcomes.py

It prints how many outcomes there are and how many differ, and ends with 1 if one does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

_ADDRESS = re.compile(r"(?<=>, )\d{13,}(?=\))|0x[0-9a-f]{8,}|(?<=\.\.\.)[0-9a-f]{8,}")

SHOWN = 20
"""How many differences are printed."""


def write(path: Path) -> None:
    """Write one line for each outcome. Addresses differ from run to run: each gets a number when it comes first."""
    from differential import KINDS, compare_all

    addresses: dict[str, int] = {}

    def named(found: re.Match[str]) -> str:
        return f"address {addresses.setdefault(found[0].removeprefix('0x'), len(addresses))}"

    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for name, kind in KINDS.items():
            for each in compare_all(kind):
                found = re.sub(
                    r"(?<=>, )\d{13,}(?=\))|0x[0-9a-f]{8,}|(?<=\.\.\.)[0-9a-f]{8,}", named, repr(each.actual)
                )
                if "frozenset" in found:  # its order depends on the addresses
                    found = "".join(sorted(found))
                print(name, each.enum_name, repr(str(each.member)), each.operation, ascii(found)[:500], file=file)


def main() -> int:
    """Have a process of each kind write its outcomes, and compare them."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for kind, is_pure in (("C core", "0"), ("pure Python", "1")):
            paths.append(Path(directory, kind))
            environ = os.environ | {"MULTIPROCESSING_INTENUM_PURE": is_pure, "PYTHONHASHSEED": "0"}
            subprocess.run([sys.executable, __file__, kind, str(paths[-1])], check=True, env=environ)
        count = differing = 0
        files = [path.open(encoding="utf-8", errors="surrogatepass") for path in paths]
        for lines in zip_longest(*files):
            count += 1
            if lines[0] != lines[1]:
                differing += 1
                if differing <= SHOWN:
                    print("C:     ", lines[0], "\nPython:", lines[1], sep=" ")
    print(f"{count:,} operations, {differing} differ")
    return bool(differing)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        from multiprocessing_intenum.core import kind

        assert kind == sys.argv[1], f"this is {kind}"
        write(Path(sys.argv[2]))
    else:
        sys.exit(main())
