"""How long each thing may take: with the C core, and in pure Python."""

from __future__ import annotations

from typing import NamedTuple

from multiprocessing_intenum import core

__all__ = ["FLAVOURS", "NONE", "OUT_OF_REACH", "Target"]

FLAVOURS = ("C core", "pure Python")


class Target(NamedTuple):
    """What a figure must not exceed; None: it is only measured."""

    c: float | None = None
    pure: float | None = None

    @property
    def here(self) -> float | None:
        """The target of the flavour that runs."""
        return self.pure if core.kind == "pure Python" else self.c


NONE = Target()

OUT_OF_REACH = {
    ("s.set(other); s.set(member)", "pure Python"): (
        "trylock and unlock of the mutex are two calls by ctypes, a quarter of the time; the method call on a proxy, "
        "and the entry of the history, take another quarter each"
    ),
    ("a write by path", "pure Python"): (
        "besides the lock, each write asks the kernel twice whether the descriptor is still its own, and once whether "
        "the file still has its name: a third of the time; the rest is Python"
    ),
}
"""Targets that are missed, and why."""
