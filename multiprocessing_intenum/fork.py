"""What happens at a fork: the one list of what is done before it, in the parent and in the child, and in which order.

No lock of the library is held across a fork. A forked child finds each of them free, whatever the other threads of its
parent were doing. The data that such a lock guards changes in single steps, so it is whole at any moment.

A program may also fork in C, as uWSGI does, without the hooks of Python. The library notices such a fork by a page of
memory that the kernel empties in a child. At its next write, wait or opening the child then does its steps. The parent
cannot notice such a fork.
"""

from __future__ import annotations

import enum
import mmap
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any

__all__ = ["Step", "around", "count", "here", "in_child", "lock_of_threads", "notice"]


class Step(enum.IntEnum):
    """What a forked child does, in this order."""

    LOCKS_OF_THREADS = 1
    """Free the locks that other threads of the parent held. All that follows may take them."""
    PROCESS = 2
    """Ask for the process id, which is written beside each change."""
    FILES = 3
    """Close the open files that hold, or wait for, a lock of the parent. This step comes before OWNERS, which ends the
    threads of the parent for this process: a thread that ends gives its lock back, which here is the parent's."""
    OWNERS = 4
    """Own nothing: the thread of the child is not the thread that forked."""
    SEMAPHORES = 5
    """Hold nothing: the same for the locks of `multiprocessing`, for locks that cannot tell their owner, and for
    `holding.ThreadsLock`."""
    SESSIONS = 6
    """Close the connections of the parent to a database."""
    WATCHERS = 7
    """Forget the threads that wait for the coroutines of the parent: a fork does not copy threads."""
    FOLLOWERS = 8
    """Restart the threads that follow a record. This step comes last, because these threads use all the rest."""


_in_child: dict[Step, Callable[[], object]] = {}
_around: list[Callable[[], object]] = []
_count = 0


def in_child(step: Step, function: Callable[[], object]) -> None:
    """Register a function that is called in each forked child, at its place in the list."""
    _in_child[step] = function


def around(function: Callable[[], object]) -> None:
    """Register a function that is called before each fork, and in the parent after it."""
    _around.append(function)


def count() -> int:
    """Return how often this process has begun to fork.

    A thread that opens a file and finds another count afterwards does not know whether a child has that file, too.
    """
    return _count


def lock_of_threads() -> AbstractContextManager[bool]:
    """Return a re-entrant lock for the threads of this process. A forked child finds it free."""
    lock = threading.RLock()
    _locks.append(lock)
    return lock


_locks: list[Any] = []


def _free_the_locks() -> None:
    for lock in _locks:
        if not lock._is_owned():  # else the thread that forked holds it, and gives it back
            lock._at_fork_reinit()


in_child(Step.LOCKS_OF_THREADS, _free_the_locks)


class _ProcessId:
    """Tells a forked child by its process id, where the kernel cannot: a load takes some 200 ns instead of 16."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, _: tuple[()]) -> bool:
        return self._pid == os.getpid()

    def __setitem__(self, _: tuple[()], value: int) -> None:
        self._pid = os.getpid() if value else 0


_MADV_WIPEONFORK = 18  # Linux 4.14. The mmap module has no name for it


def _new_word() -> Any:
    """Return a word that is not zero in the process that has set it, and zero in a child that was forked after that."""
    if not hasattr(os, "fork"):
        return memoryview(bytearray(1)).cast("B", ())
    if sys.platform == "linux":
        with suppress(OSError):
            # The page is never freed: the view below keeps it.
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_MADV_WIPEONFORK)
            return memoryview(page)[:8].cast("Q", ())
    return _ProcessId()


here: Any = _new_word()
"""`here[()]` is false in a child that has not yet noticed its fork: call `notice` then."""
here[()] = 1


_noticing = threading.RLock()  # guards `notice`; each child has another one
_has_begun = False


def notice() -> None:
    """Do the steps of a forked child, if this process is one and has not done them yet."""
    global _has_begun
    if here[()]:
        return
    with _noticing:
        # Another thread may have been faster. Or a step itself writes or waits, and so calls this again.
        if here[()] or _has_begun:
            return
        _has_begun = True
        try:
            with ExitStack() as steps:  # each step is called, in order, whatever another one raises
                for step in sorted(_in_child, reverse=True):
                    steps.callback(_in_child[step])
        finally:
            here[()] = 1
            _has_begun = False


def _before() -> None:
    global _count
    _count += 1
    _in_parent()


def _in_parent() -> None:
    for function in _around:
        function()


def _begin_in_child() -> None:
    global _noticing, _has_begun
    _noticing, _has_begun = threading.RLock(), False
    # qemu-user says that it will empty the page, and does not. Then only Python's own forks are noticed.
    here[()] = 0
    notice()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_begin_in_child)
