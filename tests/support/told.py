"""A child process of any start method that is told what to do, line by line, with the shared value it was given."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import enums
from helpers import DEADLINE

import multiprocessing_intenum

if TYPE_CHECKING:
    from collections.abc import Iterator


class Told:
    """Runs Python lines in a child, which knows the value as `status`, and returns or raises what they do."""

    def __init__(self, ctx: Any, status: Any) -> None:
        self._pipe, theirs = ctx.Pipe()
        self.process = ctx.Process(target=obey, args=(theirs, status), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        found: int = self.process.pid
        return found

    def tell(self, line: str) -> None:
        self._pipe.send(line)

    def answer(self) -> Any:
        assert self._pipe.poll(DEADLINE), "the child does not answer"
        result, error = self._pipe.recv()
        if error is not None:
            raise error
        return result

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(DEADLINE)

    def close(self) -> None:
        self.kill()
        self._pipe.close()


@contextmanager
def told(ctx: Any, *statuses: Any) -> Iterator[Any]:
    """Start a child for each value, and make sure that all are gone at the end. One value: one child, not a list."""
    children = [Told(ctx, status) for status in statuses]
    try:
        yield children[0] if len(children) == 1 else children
    finally:
        for each in children:
            each.close()


def fork_and_sleep() -> int:
    """Return the process id of a child that sleeps, and keeps no pipe open by which others would wait for it."""
    pid = os.fork()
    if not pid:
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}").startswith(("pipe:", "socket:")):
                    os.close(int(name))
        time.sleep(600)
        os._exit(0)
    return pid


def fork_and_end(status: Any, *, in_c: bool = False, looks: bool = False) -> int:
    """Return how a forked child has ended."""
    pid: int = ctypes.PyDLL(None).fork() if in_c else os.fork()
    if not pid:
        if looks:
            multiprocessing_intenum.reap(status)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def close_descriptors(pipe: Any) -> None:
    """Close all descriptors but the standard ones, and the one by which this process is told."""
    for descriptor in range(3, 300):
        if descriptor != pipe.fileno():
            with suppress(OSError):
                os.close(descriptor)


def use_up_descriptors() -> list[int]:
    """Open files until no descriptor is left."""
    most = len(os.listdir("/proc/self/fd")) + 50
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = []
    with suppress(OSError):
        while True:
            found.append(os.open("/dev/zero", os.O_RDONLY))
    return found


def obey(pipe: Any, status: Any) -> None:
    space: dict[str, Any] = globals() | {"status": status, "pipe": pipe}
    for module in enums, multiprocessing_intenum:
        space |= {name: each for name, each in vars(module).items() if not name.startswith("__")}
    space |= {each.name: each for each in enums.WorkerStatusEnum}
    exec("import signal, sys, threading", space)
    while True:
        try:
            line = pipe.recv()
        except EOFError:
            return
        result, error = None, None
        try:
            try:
                code = compile(line, "<told>", "eval")
            except SyntaxError:
                code = compile(line, "<told>", "exec")
            result = eval(code, space)
        except Exception as raised:
            error = raised
        pipe.send((result, error))
