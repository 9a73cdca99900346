"""The order of loads and stores, where a processor does not keep it by itself."""

from __future__ import annotations

import threading

from multiprocessing_intenum.memory import futex

__all__ = ["IS_NEEDED", "fence"]

IS_NEEDED = futex.machine() not in ("x86_64", "amd64", "s390x")
"""x86 and s390x keep the order of the stores of one processor, and of its loads. Others need the fence."""


def fence() -> None:
    """Keep the stores and loads before this call before those after it."""
    # Releasing a lock orders what comes before, taking it orders what comes after, and the two keep their order.
    lock = threading.Lock()
    lock.acquire()
    lock.release()
    lock.acquire()
