"""Helpers for many tests: a deadline, another thread's view of a lock, children that are always reaped."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from contextlib import contextmanager
from multiprocessing import reduction
from typing import TYPE_CHECKING, Any, TypeVar

from multiprocessing_intenum import (
    IntEnumAttribute,
    IntEnumValue,
    RobustRLock,
    compare_and_exchange,
    compare_and_set,
    exchange,
    snapshot,
    update,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess
    from types import FrameType

R = TypeVar("R")

METHODS = multiprocessing.get_all_start_methods()

SAFE_LOCKS: list[Any] = [multiprocessing.RLock, multiprocessing.Lock, *[RobustRLock] * (sys.platform == "linux")]
"""Makers of locks that an interrupt cannot leave held, and that a forked child does not believe that it holds."""

HAVE_PATHS = sys.platform != "win32"
"""Whether there are values by path on this platform."""

NEED_PSYCOPG = {
    f"postgres.{name}"
    for name in (
        "acquisition",
        "cell",
        "columns",
        "driver",
        "follower",
        "hosts",
        "lock",
        "owner",
        "record",
        "session",
        "table",
    )
}
"""Modules of the package that load psycopg, which only who has a record of several machines must install."""

DEADLINE = 60.0
"""Seconds after which a test that still waits has failed. Nothing here takes nearly as long."""

REPEAT = 0.05
"""Seconds between alarms, because on a busy machine CPython 3.10 was seen to miss one signal of some thousands until
the next one came: four runs of this file at once on two processors, in loops that never gave up the GIL."""

SHORT = 0.01
"""Seconds, for timeouts that are meant to expire."""


class Holder:
    """An object with an attribute for any shared value."""

    status = IntEnumAttribute(IntEnumValue)

    def __init__(self, status: Any) -> None:
        self.status = status


WRITERS: dict[str, Callable[[Any, Any], object]] = {
    "set": lambda status, new: status.set(new),
    "value=": lambda status, new: setattr(status, "value", new),
    "attribute": lambda status, new: setattr(Holder(status), "status", new),
    "exchange": lambda status, new: exchange(status, new),
    "compare_and_set": lambda status, new: compare_and_set(status, snapshot(status), new),
    "compare_and_exchange": lambda status, new: compare_and_exchange(status, snapshot(status), new),
    "update": lambda status, new: update(status, lambda _: new),
}
"""Every way to write a given member."""

PLAIN_WRITERS = [WRITERS[name] for name in ("set", "value=", "attribute")]
"""The ways that do not read the member before they write."""

TIMED_WRITERS: dict[str, Callable[[Any, Any, Any], object]] = {
    "exchange": lambda status, new, timeout: exchange(status, new, timeout),
    "compare_and_set": lambda status, new, timeout: compare_and_set(status, snapshot(status), new, timeout),
    "compare_and_exchange": lambda status, new, timeout: compare_and_exchange(status, snapshot(status), new, timeout),
    "update": lambda status, new, timeout: update(status, lambda _: new, timeout),
}


class StartingChild:
    """What multiprocessing's picklers need of a child that is being spawned. What they make stays in this process."""

    class DupFd:
        def __init__(self, fd: int) -> None:
            self.fd = fd

        def detach(self) -> int:
            return self.fd

    def duplicate_for_child(self, fd: int) -> int:
        return reduction.duplicate(fd) if sys.platform == "win32" else os.dup(fd)  # on Windows it is a handle


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def in_a_thread(function: Callable[[], R]) -> R:
    """Call `function` in another thread, and return or raise what it does."""
    answers: list[R] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), f"{function} still waits"
    if errors:
        raise errors[0]
    return answers[0]


class Child:
    """A forked child that calls the function; it succeeds if the function raises nothing."""

    def __init__(self, function: Callable[[], object], by: Callable[[], int] | None = None) -> None:
        self.pid = os.fork() if by is None else by()  # Windows has no os.fork
        if not self.pid:
            code = 1
            try:
                function()
                code = 0
            finally:
                os._exit(code)

    def succeeds(self) -> bool:
        deadline = time.monotonic() + DEADLINE
        while (ended := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.001)
        return ended[1] == 0


def is_free(lock: Any) -> bool:
    """Whether another thread can take the lock at once."""

    def try_it() -> bool:
        taken = bool(lock.acquire(False))
        if taken:
            lock.release()
        return taken

    return in_a_thread(try_it)


@contextmanager
def held_elsewhere(lock: Any) -> Iterator[threading.Event]:
    """Let another thread hold the lock meanwhile, or until the event is set."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        lock.acquire()
        taken.set()
        done.wait(DEADLINE)
        lock.release()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    try:
        assert taken.wait(DEADLINE)
        yield done
    finally:
        done.set()
        thread.join(DEADLINE)


@contextmanager
def alarms(handler: Callable[[int, FrameType | None], object]) -> Iterator[Callable[..., object]]:
    """Handle SIGALRM with `handler`, and yield a function that sends it: `alarm_in(seconds, every=seconds)`.

    An alarm that is set, or that comes, at the very end does no harm.
    """
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield lambda seconds, every=0.0: signal.setitimer(signal.ITIMER_REAL, seconds, every)
    finally:
        # Not SIG_IGN: Python reports a signal that it has received and cannot handle any more.
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt_at_random(write: Callable[[], object], look: Callable[[], object], longest: float = 200e-6) -> None:
    """Call `write` again and again until a KeyboardInterrupt strikes, then `look`, many times over.

    It strikes within `longest` seconds.
    """
    is_due = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal is_due
        # coverage takes a lock of its own, which an interrupt there would leave locked. And an interrupt in a function
        # that the garbage collector calls is lost.
        is_of_others = frame is not None and str(frame.f_globals.get("__name__")).startswith(("coverage.", "weakref"))
        if is_due and not is_of_others:  # else it is a repeated alarm, and the lock is being looked at
            is_due = False
            raise KeyboardInterrupt

    def write_until_interrupted() -> None:
        nonlocal is_due
        is_due = True
        alarm_in(random.uniform(20e-6, longest), every=REPEAT)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            write()

    with alarms(interrupt) as alarm_in:
        for _ in range(40):
            try:
                write_until_interrupted()
            except KeyboardInterrupt:
                # Checked while the traceback is still alive: handling an interrupt may take long.
                look()
            assert not is_due


@contextmanager
def running(ctx: Any, target: Callable[..., object], *args: object) -> Iterator[BaseProcess]:
    """Start a child process, and make sure that it is gone at the end, whatever happens."""
    process: BaseProcess = ctx.Process(target=target, args=args)
    process.start()
    del args  # so that the test holds the only references
    try:
        yield process
    finally:
        process.kill()
        process.join(DEADLINE)
        process.close()


def run(ctx: Any, target: Callable[..., object], *args: object) -> None:
    """Run a child until it ends, and check that it succeeds."""
    with running(ctx, target, *args) as process:
        process.join(DEADLINE)
        assert process.exitcode == 0, f"the child ended with {process.exitcode}"
