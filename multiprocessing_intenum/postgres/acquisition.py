"""One acquisition of a record's lock: what its holder knows of the row, and how it writes to the row and the mirror."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.mirror import Claim, Mirror, RowChange
from multiprocessing_intenum.locks.holding import operations_of
from multiprocessing_intenum.postgres.owner import Claims, Life, life_of
from multiprocessing_intenum.postgres.session import PATIENCE, Session
from multiprocessing_intenum.postgres.table import Table

__all__ = ["MIRRORING", "Acquisition", "Wanted", "loss"]

_log = logging.getLogger("multiprocessing_intenum.postgres")

MIRRORING = 1.0
"""Seconds that the holder of the fleet's lock waits for the lock of this machine's mirror. A stopped process may hold
that one."""


class Wanted(NamedTuple):
    """A claim that goes with the next write of this state."""

    state: int
    claim: Claim
    life: Life


@dataclass(eq=False, slots=True)
class Acquisition:
    """One acquisition of the lock: its session, and what the row holds. Only the thread that holds the lock uses it."""

    table: Table
    key: int
    file: FileLock
    mirror: Mirror
    session: Session
    claims: Claims
    history: list[RowChange]
    """That of the row. The mirror may not have its end yet."""
    dead: Claim | None
    """The claim of the owner of the state, if that has ended."""
    begun: float = field(default_factory=time.monotonic)
    """When the lock was taken, by `time.monotonic`."""
    answer_by: float = math.inf
    """The moment at which a write must be over, by `time.monotonic`."""
    depth: int = 1
    """How often the lock was acquired and not released."""
    unmirrored: list[RowChange] = field(default_factory=list[RowChange])
    """What was written and is not in the mirror yet."""
    wanted: Wanted | None = None
    has_written: bool = False
    is_lost: bool = False
    """Whether an error has said that the lock was lost, or that it is not known whether a write was done."""
    is_writing: bool = False

    @property
    def version(self) -> int:
        """The version of the row."""
        return self.history[-1].version

    @property
    def state(self) -> int:
        """The number of the member in the row."""
        return self.history[-1].state

    @property
    def claim(self) -> Claim | None:
        """Who owns the state; None: nobody."""
        return self.history[-1].claim

    def write(self, number: int) -> None:
        """Store a state in the database, and then in the mirror.

        Raises:
            ConnectionError, TimeoutError: it was not written, or that is not known. The text says which.
            FileNotFoundError: the row was deleted.
            RuntimeError: a signal handler writes while its thread writes.
        """
        wanted, claim = self.wanted, None
        if wanted is not None and wanted.state == number:
            self.wanted, claim = None, wanted.claim
            self.claims.note(self.version + 1, wanted.life)
        self._store(lambda by: self.table.write(self.session, self.key, self.version, number, by, claim))
        self.claims.keep(self.version if claim else -1)

    def adopt(self, wanted: Wanted) -> None:
        """Store who owns the present state. The errors are those of `write`."""
        self.claims.note(self.version, wanted.life)
        self._store(lambda by: self.table.adopt(self.session, self.key, self.history[-1], wanted.claim, by))

    def wish(self, state: int, on_death: int) -> Wanted:
        """Return what this process needs to own a state. Connect once more, if it owns nothing yet.

        Raises:
            ConnectionError, TimeoutError, PermissionError, ValueError: see `life_of`. Nothing was written.
        """
        life = life_of(self.table, self._is_alive, min(self.answer_by, time.monotonic() + PATIENCE))
        return Wanted(state, Claim(life.token, on_death, os.getpid()), life)

    def attend(self, *, is_write: bool) -> None:
        """If the owner of the state has ended, store what it has asked for. The errors are those of `write`.

        Args:
            is_write: whether a write comes next.

        Raises:
            ConnectionError: this process has owned the state, and was taken for dead. Only a write says so, once.
        """
        dead = self.dead
        if dead is not None:
            self._store(lambda by: self.table.reap(self.session, self.key, self.version, dead, by))
        if is_write and self.claims.are_lost(self.history, self._is_alive):
            message = (
                f"this process owned the state of the record {self.table.name!r}, and has lost the connection by which "
                "PostgreSQL saw that it lives. The state is not its own any more, and may have changed. This was not "
                "written: look at the value before you write again"
            )
            raise ConnectionError(message)

    def look(self) -> bool:
        """Ask the server again whether the owner of the state lives. Return whether it has ended."""
        claim = self.claim
        if claim is not None and not self._has(claim.token):
            self.dead = claim
        return self.dead is not None

    def _is_alive(self, life: Life) -> bool:
        return self._has(life.token)

    def _has(self, token: int) -> bool:
        """Whether any session has locked the token."""
        self._need_lock("Nothing was written")
        try:
            return self.table.lives(self.session, token, min(self.answer_by, time.monotonic() + PATIENCE))
        finally:
            self.is_lost = self.is_lost or self.session.is_closed

    def _store(self, ask: Callable[[float], RowChange | None]) -> None:
        if self.is_writing:
            message = "a signal handler can not write to a record while its thread writes to it: try again later"
            raise RuntimeError(message)
        self.is_writing = True
        try:
            entry = self._answer(ask)
            if entry.version == self.version:
                self.history[-1] = entry
            else:
                self.unmirrored.append(entry)
                self.history.append(entry)
            self.dead, self.has_written, self.is_lost = None, True, False
            left = min(max(0.0, self.answer_by - time.monotonic()), MIRRORING)
            if not operations_of(self.file).try_to_hold(self._copy, left):
                _log.warning(
                    "the record %r was written, but not its mirror %r, because the lock of the mirror was not free: "
                    "its holder may be stopped. The process that follows the record will write to the mirror",
                    self.table.name,
                    self.file.path,
                )
        finally:
            self.is_writing = False

    def _copy(self) -> None:
        """Write to the mirror what it does not have yet."""
        mirror, version = self.mirror, self.mirror.version
        mirror.add([entry for entry in self.unmirrored if entry.version > version], version)
        mirror.own(self.claim)  # `adopt` makes no change
        self.unmirrored = []

    def _answer(self, ask: Callable[[float], RowChange | None]) -> RowChange:
        """Return what was written. The holder counts the lock as lost until it has noted that."""
        session = self.session
        self._need_lock("This was not written")
        begun = time.monotonic()
        answer_by = min(self.answer_by, begun + PATIENCE)
        if answer_by <= begun:
            message = "the time was over before the write was sent to PostgreSQL: nothing was written"
            raise TimeoutError(message)
        self.is_lost = True  # until the outcome is known: an interrupt may come at any point
        try:
            entry = ask(answer_by)
        except (OSError, RuntimeError) as error:
            self.is_lost = session.is_closed
            if not (session.is_closed and isinstance(error, (ConnectionError, TimeoutError))):
                raise
            message = (
                f"{error}. It is not known whether this write was done: look at the value when the database is back, "
                "and write again if need be"
            )
            raise type(error)(message) from None
        if entry is None:
            raise self._refusal(answer_by)
        return entry

    def _need_lock(self, consequence: str) -> None:
        """Raise ConnectionError if the lock was lost, as far as this process knows."""
        if self.is_lost or self.session.is_closed:
            self.is_lost = True
            raise loss(self.table.name, consequence)

    def _refusal(self, answer_by: float) -> OSError:
        """Return the error that says why the server has found no row to write to."""
        with suppress(ConnectionError, TimeoutError):
            row = self.table.find(self.session, answer_by)
            if row is None:
                return FileNotFoundError(
                    f"the row of the record {self.table.name!r} was deleted while its lock was held. This was not "
                    "written: start the process that makes it, with a first member"
                )
            if row.version != self.version:
                return ConnectionError(
                    f"the row of the record {self.table.name!r} has changed since its lock was taken: its version is "
                    f"{row.version}, expected {self.version}. It was written by hand, or its table was restored, so "
                    "that another machine may have written meanwhile. This was not written: take the lock again"
                )
        return loss(self.table.name, "This was not written")


def loss(name: str, consequence: str) -> ConnectionError:
    """Return the error for a lost lock. Another thread may hold the lock by now, with a new session."""
    return ConnectionError(
        f"the lock of the record {name!r} was lost with the connection to PostgreSQL: another machine may have written "
        f"meanwhile. {consequence}"
    )
