"""Both flavours of this library, each in a process of its own, so that they can be measured in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from targets import PURE_PYTHON, C

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Flavour", "both"]

_WORKER = Path(__file__).with_name("worker.py")


class Flavour:
    """A process that measures this library with the C core, or in pure Python."""

    def __init__(self, kind: str, peer: Path, directory: str) -> None:
        environ = {"MULTIPROCESSING_INTENUM_PURE": "1" if kind == PURE_PYTHON else "0", "TMPDIR": directory}
        # With a session of its own it does not see Ctrl-C. It ends when its input does.
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER), "--peer", str(peer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | environ,
            start_new_session=True,
        )
        self.kind = kind

    def ask(self, request: str, **arguments: Any) -> Any:
        """Return what the process has measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([request, arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            message = f"the process that measures {self.kind} has ended with {self._process.wait()}"
            raise SystemExit(message)
        return json.loads(answer)

    def end(self) -> None:
        """End the process, and all that it has started."""
        with self._process:  # closes its input, and waits for it
            pass


@contextmanager
def both(peer: Path) -> Iterator[tuple[Flavour, Flavour]]:
    """Return the flavour with the C core, and the one in pure Python, which end with the block."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as directory, ExitStack() as stack:
        flavours = []
        for kind in (C, PURE_PYTHON):
            flavour = Flavour(kind, peer, directory)
            stack.callback(flavour.end)
            if flavour.ask("kind") != kind:
                message = f"{kind} is not what runs here: install the library with a compiler"
                raise SystemExit(message)
            flavours.append(flavour)
        yield flavours[0], flavours[1]
