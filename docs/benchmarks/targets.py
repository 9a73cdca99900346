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

WHERE_IT_GOES = {
    ("s.set(other); s.set(member)", PURE_PYTHON): (
        "a quarter of the time are two calls by ctypes, which try and unlock the mutex; another quarter is the method "
        "call on a proxy, and another the entry of the history"
    ),
    ("a write by path", PURE_PYTHON): (
        "each write takes the kernel's lock, but also asks the kernel twice whether the descriptor is still its own "
        "and once whether the file still has its name, which is a third of the time; the rest is Python"
    ),
}
"""Where the time goes that makes a target hard to reach. The tables show it where the target is missed."""
