"""The thread of a process that closes its unused sessions."""

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
        """Close the session if it was not used for `IDLE` seconds. Return whether there is no session now."""
        ...


# The locks whose session is open, and the thread that closes these sessions. The thread ends when none is open.
_resting: weakref.WeakSet[HasSession] = weakref.WeakSet()
_closing: dict[int, threading.Thread] = {}
"""By process id, because a forked child has no such thread. `setdefault` decides which thread is started."""


def close_later(lock: HasSession) -> None:
    """Have the session of a lock closed once it has not been used for a while."""
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
    for lock in list(_resting):  # it was added after the last look, while this thread seemed to go on
        close_later(lock)


def _close_if_idle(reference: weakref.ref[HasSession]) -> None:
    lock = reference()
    if lock is not None and lock.close_if_idle():
        _resting.discard(lock)
