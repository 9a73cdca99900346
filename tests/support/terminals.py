"""Terminals of a reader who has just installed the package: programs that are typed to, and what they print."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import venv
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typing_extensions
import wrapt
from helpers import DEADLINE

import multiprocessing_intenum

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = """\
#!{python}
from multiprocessing_intenum.__main__ import main
raise SystemExit(main())
"""
"""What pip makes of the entry point in pyproject.toml."""


def fresh_environment(directory: Path) -> dict[str, str]:
    """Make an environment with nothing but the package that is tested, and return the variables of a shell in it.

    Nothing is downloaded: the environment refers to the places where this process has the package and what it needs.
    """
    venv.create(directory, symlinks=True, with_pip=False)
    python = directory / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(asked, capture_output=True, text=True, timeout=DEADLINE, check=True).stdout.strip()
    modules = (multiprocessing_intenum, wrapt)
    # The library comes first: beside wrapt an older version of it may be installed.
    places = [*(Path(str(module.__file__)).parents[1] for module in modules), Path(typing_extensions.__file__).parent]
    (Path(packages) / "installed.pth").write_text("".join(f"{place}\n" for place in places), "utf-8")
    script = directory / "bin" / "intenum-value"
    script.write_text(COMMAND.format(python=python), "utf-8")
    script.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    path = os.pathsep.join([str(directory / "bin"), os.environ["PATH"]])
    return inherited | {"PATH": path, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"}


class Terminal:
    """A program that reads what is typed. What it and its children print can be waited for."""

    def __init__(self, program: list[str], variables: dict[str, str], directory: Path) -> None:
        self.process = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if program[0] == "sh" else subprocess.DEVNULL,  # python -i has its prompts there
            env=variables,
            cwd=directory,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._changed = threading.Condition()
        self._output = ""
        self._read = 0
        self._ended = False
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    def _follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # A shell says in words of its own that somebody has killed its child.
            with self._changed:
                self._output += "" if re.search(r"\bKilled\b", line) else line
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until what was printed since the last call begins with this."""

        def found() -> re.Match[str] | None:
            return re.compile(pattern).match(self._output, self._read)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, DEADLINE)
            match = found()
            assert match, f"expected:\n{pattern}\nprinted:\n{self._output[self._read :]}"
            self._read = match.end()
            return match

    def close(self) -> None:
        if self.process.returncode is None:  # nobody has waited for it, so its number is still its own
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()


@contextmanager
def terminal(program: list[str], variables: dict[str, str], directory: Path) -> Iterator[Terminal]:
    """Open a terminal, and kill what runs in it at the end."""
    opened = Terminal(program, variables, directory)
    try:
        yield opened
    finally:
        opened.close()


def as_pattern(text: str) -> str:
    """Turn lines of a page into a pattern, in which `...` stands for anything."""
    return "".join("(?s:.*?)" if part == "..." else re.escape(part) for part in re.split(r"(\.\.\.)", text))
