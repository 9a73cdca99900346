"""What each figure must keep: with the C core, and in pure Python."""

from __future__ import annotations

from typing import NamedTuple

from multiprocessing_intenum import core

__all__ = ["AT_LEAST", "AT_MOST", "NONE", "PURE_PYTHON", "WHERE_IT_GOES", "C", "Target"]

C, PURE_PYTHON = "C core", "pure Python"
AT_MOST, AT_LEAST = "≤", "≥"


class Target(NamedTuple):
    """The limit of a figure; None: it is only measured."""

    c: float | None = None
    pure: float | None = None

    @property
    def here(self) -> float | None:
        """The target of the flavour that runs."""
        return self.pure if core.kind == PURE_PYTHON else self.c


NONE = Target()

_PURE_CHANGE = (
    "a fifth of the time are two calls by ctypes, which try and unlock the mutex, a quarter is the entry of the "
    "history, and a fifth the method of a proxy and the checks of its argument; the rest is Python between the stores, "
    "which a kill at any moment must leave whole"
)
_ASYNCIO = (
    "a thread is woken as soon as with `wait_for`, and then wakes the event loop, which is a write to a pipe, a "
    "select, and a turn of the loop; without this library the same takes as long, as the next line of the table shows"
)

WHERE_IT_GOES = {
    ("s.set(other); s.set(member)", PURE_PYTHON): _PURE_CHANGE,
    ("state.status = other; state.status = member", C): (
        "a third of the time is the entry of the history with its time and its process, and a quarter the way through "
        "the attribute; without a change it takes two thirds, as the line above it in the table shows"
    ),
    ("state.status = other; state.status = member", PURE_PYTHON): _PURE_CHANGE,
    ("reads a second, 2 readers beside a writer", PURE_PYTHON): (
        "a read alone takes a third of the peer's time, as the first line of the table shows; the rest is that it does "
        "not wait for the writer, which is worth less the more the processors have to do besides"
    ),
    ("until a waiter wakes", C): (
        "a third of the time is the write with the system call that wakes; most of the rest is the kernel's scheduler, "
        "which an event waits for, too"
    ),
    ("until a waiter wakes", PURE_PYTHON): (
        "Python code that runs for the first time after a sleep takes up to sixty times as long as later, so the write "
        "alone takes more than a third of the time, and many times as long as with the C core"
    ),
    ("until a coroutine wakes", C): _ASYNCIO,
    ("until a coroutine wakes", PURE_PYTHON): _ASYNCIO,
    ("a write by path", PURE_PYTHON): (
        "each write takes the kernel's lock, but also asks the kernel twice whether the descriptor is still its own "
        "and once whether the file still has its name, which is a third of the time; the rest is Python"
    ),
}
"""Where the time goes that makes a target hard to reach. The tables show it where the target is missed."""
