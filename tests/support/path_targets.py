"""A process that has no common parent with the test: it is told on its standard input what to do, line by line."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import enums  # noqa: F401 # what the lines use
from helpers import DEADLINE, until

import multiprocessing_intenum
from multiprocessing_intenum.locks.open_file import USE, is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stranger:
    """Runs Python lines in another process, and returns the value of expressions by their repr."""

    def __init__(self, *prefix: str) -> None:
        paths = [str(Path(__file__).parent), str(Path(multiprocessing_intenum.__file__).parents[1])]
        self.process = subprocess.Popen(
            [*prefix, sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, line: str) -> str:
        """Return the repr of an expression, or the error that it or a statement raises."""
        self.tell(line)
        return self.answer()

    def end(self) -> int:
        """Let it end by itself, with all that an interpreter does at its end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)


@contextmanager
def strangers(count: int, *prefix: str) -> Iterator[list[Stranger]]:
    """Start such processes, and make sure that all of them are gone at the end."""
    found = [Stranger(*prefix) for _ in range(count)]
    try:
        yield found
    finally:
        for each in found:
            each.kill()
            for stream in each.process.stdin, each.process.stdout:
                assert stream is not None
                with suppress(BrokenPipeError):
                    stream.close()


def ends_being_used(path: str) -> None:
    """Wait until no process uses the file. One that looks at /proc may keep the memory of a dead one for a moment."""
    descriptor = os.open(path, os.O_RDONLY)
    until(lambda: not is_locked(descriptor, USE))
    os.close(descriptor)


def main() -> None:
    space: dict[str, Any] = {}
    exec("from enums import *; from multiprocessing_intenum import *; import os, signal, threading, time", space)
    for line in sys.stdin:
        try:
            code = compile(line, "<told>", "eval")
        except SyntaxError:
            code = compile(line, "<told>", "exec")
        try:
            answer = repr(eval(code, space))
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
