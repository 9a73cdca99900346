"""The sessions that are not used: one thread of the process closes them."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Protocol

__all__ = ["IDLE", "close_later"]

IDLE = 5.0
"""Seconds without a write after which the connection of a writer is closed. To connect anew takes some milliseconds."""


class HasSession(Protocol):
    """The lock of a record, which has a session."""

    def close_if_idle(self) -> bool:
        """Close the session if it was not used for `IDLE` seconds. Return whether there is none any more."""
        ...


# The locks whose session is open, and the thread that closes those sessions. It ends when there is none.
_resting: weakref.WeakSet[HasSession] = weakref.WeakSet()
_closing: dict[int, threading.Thread] = {}
"""By the process, because a forked child has no such thread. `setdefault` decides who starts it."""


def close_later(lock: HasSession) -> None:
    """Have the session of a lock closed when it is not used for a while."""
    _resting.add(lock)
    if os.getpid() not in _closing:
        _start_closing(threading.Thread(target=_close_idle, name="multiprocessing_intenum.postgres.idle", daemon=True))


def _start_closing(thread: threading.Thread) -> None:
    if _closing.setdefault(os.getpid(), thread) is thread:
        try:
            thread.start()
        except BaseException as error:
            _closing.pop(os.getpid(), None)
            if not isinstance(error, RuntimeError):  # the interpreter is ending, which closes the sessions as well
                raise


def _close_idle() -> None:
    while _resting:
        time.sleep(IDLE / 5)
        for reference in [weakref.ref(lock) for lock in list(_resting)]:
            _close_if_idle(reference)
    _closing.pop(os.getpid(), None)
    for lock in list(_resting):  # it has come after the last look, when this thread still seemed to be there
        close_later(lock)


def _close_if_idle(reference: weakref.ref[HasSession]) -> None:
    lock = reference()
    if lock is not None and lock.close_if_idle():
        _resting.discard(lock)
