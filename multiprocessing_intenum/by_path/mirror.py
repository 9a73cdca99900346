"""The mirror of a record: the words of a cell in a file, and how far they agree with the record.

A mirror has these words besides the words of every cell. The first has 32 bits, the others have 64:

    20  duty: which process follows the record for this machine, and its last sign of life. See `Duty`
    40  version: the version of the record that the state belongs to
    48  confirmed: when the record was last known to have this state, in nanoseconds since the machine was started
    56  boot: which start of the machine is meant, and which of its time namespaces
    1096  owned: zero while no process owns the state; else the id of that process, and whether it lives. In a value
        without a record these bytes belong to a claim (see ownership.py). The word before them is zero in a mirror
    1104  on_death: the state that follows if that process ends
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.life import describe_anew
from multiprocessing_intenum.memory.words import Words

__all__ = ["Claim", "Duty", "Mirror", "Question", "Row", "RowChange", "describe_mirror", "now"]

_DUTY, _VERSION, _CONFIRMED, _BOOT, _OWNED, _ON_DEATH = 20, 40, 48, 56, 1096, 1104

_IS_OWNED, _LIVES = 2**32, 2**33
"""Bits beside the process id, which has 32."""


def now() -> int:
    """Return the nanoseconds since the machine was started. The time of day would not do, because it may be set."""
    return time.clock_gettime_ns(_CLOCK) if _CLOCK is not None else time.monotonic_ns()


_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere the time asleep is missing


def _boot_of_this_machine() -> int:
    boot = 0
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = int(file.read().strip().replace("-", ""), 16)
    with suppress(OSError):  # a container may have its own clock
        boot ^= os.stat("/proc/self/ns/time").st_ino << 16
    return boot & (2**64 - 1) | 1


_this_boot = _boot_of_this_machine()


class Claim(NamedTuple):
    """Which process owns the state, and what becomes of the state when that process ends."""

    token: int
    """The key of the advisory lock that a session of the owner holds."""
    on_death: int
    pid: int


class RowChange(NamedTuple):
    """A change, as the row has it."""

    version: int
    state: int
    time: float
    pid: int
    claim: Claim | None = None
    """It counts in the last change only. So any change of the state ends the ownership."""


class Row(NamedTuple):
    """What the row holds."""

    description: Mapping[str, Any]
    state: int
    version: int
    history: list[RowChange]
    lives: bool = True
    """Whether the owner of the state lived when the row was read, if the state has an owner."""

    @property
    def dead_owner(self) -> Claim | None:
        """The claim of an owner that has ended; None if the owner lives, or nobody owns the state."""
        return None if self.lives else self.history[-1].claim


class Question(NamedTuple):
    """When the server was asked, and what was known before."""

    version: int
    moment: int


class Duty(NamedTuple):
    """Which process follows the record for this machine.

    It is written without a lock, because a process that is stopped may hold the lock of the file. If two processes
    write it at once, the last one has the duty, and the other one sees that at its next look.
    """

    token: int
    """The number of that process, 1 to 16,383; 0: no process. It is no process id: two containers may have the same."""
    beat: int
    """It counts signs of life, modulo 16. No clocks are compared: containers may have their own."""
    silence: int
    """For how many seconds, at most 63, that process may give no sign of life."""
    records: int
    """How many records that process has open: at most 255 are counted."""


class Mirror:
    """The words of a mirror. A writer must hold the lock of the file, except for `duty`.

    Args:
        body: the shared memory.
    """

    __slots__ = ("_boot", "_confirmed", "_duty", "_on_death", "_version", "owned", "words")

    words: Words
    owned: memoryview[Any]
    """The word that is zero while no process owns the state."""

    def __init__(self, body: memoryview) -> None:
        def word(offset: int) -> memoryview[Any]:
            return body[offset : offset + 8].cast("B").cast("Q", ())

        self.words = Words(body)
        self._version, self._confirmed, self._boot = word(_VERSION), word(_CONFIRMED), word(_BOOT)
        self.owned = word(_OWNED)
        self._on_death: memoryview[Any] = body[_ON_DEATH : _ON_DEATH + 8].cast("B").cast("q", ())
        self._duty: memoryview[Any] = body[_DUTY : _DUTY + 4].cast("B").cast("I", ())

    def begin(self, row: Row, asked: int, *, is_new: bool) -> None:
        """Write the state and the history of a record into a file that nobody uses.

        Args:
            row: what the record holds.
            asked: the moment, by `now()`, just before the server was asked for the row.
            is_new: whether the file is empty.
        """
        oldest = row.history[0]
        begin = self.words.begin if is_new else self.words.begin_anew
        begin(oldest.state, oldest.time, oldest.pid)
        self._version[()] = oldest.version
        self.catch_up(row, Question(oldest.version, asked))

    def asking(self) -> Question:
        """Return what `catch_up` needs to know about the moment before the server was asked."""
        return Question(self.version, now())

    def catch_up(self, row: Row, question: Question) -> None:
        """Bring the mirror up to date.

        Args:
            row: what the record holds.
            question: what `asking` returned before the server was asked for the row.
        """
        version: int = self._version[()]
        missing = [entry for entry in row.history if entry.version > version]
        # If the row is older than the mirror was before the server was asked, the server has lost its last writes (a
        # failover, a restored backup): the mirror has to follow it. If the row is only older than the mirror is now,
        # another process of this machine was faster.
        was_set_back = row.version < version == question.version
        if was_set_back or (row.version == version and row.state != self.words.state[()]):
            missing, version = [row.history[-1]], -1
        self.add(missing, version)
        if self._boot[()] != _this_boot or self._confirmed[()] < question.moment:
            self._confirmed[()] = question.moment
            self._boot[()] = _this_boot
            if self._version[()] == row.version:
                self.own(row.history[-1].claim, lives=row.lives)

    def add(self, entries: Sequence[RowChange], version: int) -> None:
        """Store changes in their order. `version` is the version of the state before them; -1: not known."""
        words = self.words
        gap = False
        for entry in entries:
            gap = gap or entry.version != version + 1
            self.own(None)
            if words.replay(entry.state, entry.time, entry.pid, gap=gap):
                gap = False
            # The version comes last: if this process is killed before it, the next one stores the same state again.
            self._version[()] = version = entry.version
            self.own(entry.claim)

    def own(self, claim: Claim | None, *, lives: bool = True) -> None:
        """Store which process owns the state. If this process is killed before, the next look at the row does it."""
        if claim is None:
            self.owned[()] = 0
        else:
            self._on_death[()] = claim.on_death
            self.owned[()] = claim.pid | _IS_OWNED | (_LIVES if lives else 0)

    def owner(self) -> tuple[int, bool, int] | None:
        """Return which process owns the state, whether it lived at the last look at the row, and what follows its end.

        The end is seen by the process that follows the record, or by a writer. Return None if nobody owns the state.
        """
        word: int = self.owned[()]
        return (word & 0xFFFFFFFF, bool(word & _LIVES), self._on_death[()]) if word else None

    @property
    def version(self) -> int:
        """The version of the record that the state belongs to."""
        return int(self._version[()])

    @property
    def duty(self) -> Duty:
        """Which process follows the record for this machine."""
        word: int = self._duty[()]
        return Duty(word >> 18, word >> 14 & 15, word >> 8 & 63, word & 255)

    @duty.setter
    def duty(self, duty: Duty) -> None:
        token, beat, silence, records = duty
        self._duty[()] = token << 18 | (beat & 15) << 14 | min(silence, 63) << 8 | min(records, 255)

    @property
    def is_one(self) -> bool:
        """Whether these are the words of a mirror, not of a value without a record."""
        return bool(self._boot[()])

    def age(self) -> float:
        """Return how many seconds ago the mirror was known to agree with the record; infinity if that is not known."""
        if self._boot[()] != _this_boot:
            return math.inf
        return max(0.0, (now() - int(self._confirmed[()])) / 1e9)


def describe_mirror(file: FileLock, row: Row, name: str, deadline: float) -> None:
    """Describe the mirror of this record as its row is described. For the errors see `life.while_nobody_begins`."""
    describe_anew(file, {**row.description, "record": name}, deadline)
