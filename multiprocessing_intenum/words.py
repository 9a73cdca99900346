"""The words of a cell in shared memory: the state, the count of its changes, the sleepers' word, the last changes.

The layout, in bytes. All of them are in the processor's own byte order.

    0   state: 64 bits, the number of a member. A read loads this word and nothing else
    8   count: 64 bits, how often the state has changed. Waiters sleep on its lower half
    16  sleepers: 32 bits, not zero if somebody may be sleeping
    24  settled: 64 bits, the state that the count belongs to
    32  base: 64 bits, the count when the value was begun anew last; numbers of changes are given out from there
    40  three words of 64 bits that only the mirror of a record uses: see mirror.py
    64  the ring of the last changes, 32 entries of 32 bytes: the state after it, the time, its number, the process id

Everything but the sleepers' word is written with the lock held. A writer may be killed between any two stores:

1. It writes the new entry into the ring, behind the entries that the count covers. Nobody reads it yet.
2. It stores the state. From now on the change has happened, but it is not counted.
3. It stores the count, then `settled`.

If it is killed after step 2 or in step 3, `settled` differs from the state. The next writer sees that, and first counts
the change if it is not counted yet.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from multiprocessing_intenum import fork, futex

__all__ = ["READABLE", "SIZE", "Entry", "Words"]

_STATE, _COUNT, _SLEEPERS, _SETTLED, _BASE, _RING = 0, 8, 16, 24, 32, 64
_ENTRY = struct.Struct("@qdQI4x")  # native: struct then stores each field in one piece
_ENTRIES = 32
_LAST = _ENTRIES - 1  # as a mask: 32 is a power of two
_PLACES: list[int] = [_RING + index * _ENTRY.size for index in range(_ENTRIES)]

SIZE = _RING + _ENTRIES * _ENTRY.size

READABLE = _ENTRIES - 3
"""How many of the last changes can be read. The next two changes may be taking the places of two entries: a processor
that reorders stores may show a part of the second one before it shows the count of the first. And the oldest one left
is needed for the state before the second oldest."""


class Entry(NamedTuple):
    """A change, as numbers."""

    before: int | None
    """The state before; None for the change number 0, and for one before which a number was left out."""
    after: int
    time: float
    """Seconds since the epoch."""
    number: int
    pid: int
    """The process that wrote it; 0 if nobody knows."""


_pid = os.getpid()  # os.getpid() itself would take 50 ns of each write


def _be_another_process() -> None:
    global _pid
    _pid = os.getpid()


fork.in_child(fork.Step.PROCESS, _be_another_process)


def _fence() -> None:
    """Order the stores and loads before this call before those after it."""
    # Releasing a lock orders what comes before, taking it orders what comes after, and the two keep their order.
    lock = threading.Lock()
    lock.acquire()
    lock.release()
    lock.acquire()


# x86 and s390x keep the order of the stores of one processor, and of its loads. Others need the fence.
_NEEDS_FENCE = platform.machine().lower() not in ("x86_64", "amd64", "s390x")


class Words:
    """The words of one cell.

    Args:
        block: the shared memory, of SIZE bytes, aligned to 8. If it is read-only, so are the words.
    """

    __slots__ = ("_address", "_bytes", "base", "count", "settled", "sleepers", "state")

    state: memoryview[Any]
    count: memoryview[Any]
    sleepers: memoryview[Any]
    settled: memoryview[Any]
    base: memoryview[Any]

    def __init__(self, block: Any) -> None:
        self._bytes = memoryview(block).cast("B")

        def word(offset: int, kind: str) -> memoryview[Any]:
            return self._bytes[offset : offset + struct.calcsize(kind)].cast(kind, ())  # type: ignore[call-overload,no-any-return]

        self.state = word(_STATE, "q")
        self.count = word(_COUNT, "Q")
        self.sleepers = word(_SLEEPERS, "I")
        self.settled = word(_SETTLED, "q")
        self.base = word(_BASE, "Q")
        self._address = 0
        if not self._bytes.readonly:
            self._address = ctypes.addressof(ctypes.c_char.from_buffer(block)) + _COUNT + 4 * (sys.byteorder == "big")

    def begin(self, number: int, at: float | None = None, pid: int | None = None) -> None:
        """Write the first state into memory that is new: the change number 0. `at` and `pid` say who wrote it, when."""
        self._write_entry(number, 0, pid, at)
        self.settled[()] = number
        self.state[()] = number

    def begin_anew(self, number: int, at: float | None = None, pid: int | None = None) -> None:
        """Write the first state over that of a value that nobody uses any more: the change number 0 again.

        Somebody may be reading it all the same, so the count goes on: a waiter must never find it lower than before.
        """
        if self.settled[()] != self.state[()]:
            self._settle()
        count = self.count[()] + 1
        self._write_entry(number, count, pid, at)
        self.state[()] = number
        self.count[()] = count
        self.settled[()] = number
        self.base[()] = count
        self.sleepers[()] = 0

    def are_whole(self) -> bool:
        """Whether these can be the words of a cell: what is in a file may be anything."""
        for _ in range(100):  # so many writes may come between the two loads that the entry is another one
            count = self.count[()]
            if self._read(count)[2] == count:
                return bool(self.base[()] <= count)
        return False

    def writer(
        self,
        members: dict[int, Any],
        number_of: Callable[[Any], int],
        check: Callable[[int, Any], None] | None = None,
    ) -> Callable[[Any], None]:
        """Return the function that stores a member. It must be called with the lock held.

        Args:
            members: the table from number to member, in which each member that is stored must be.
            number_of: the way back.
            check: called with the state and another member that is to follow it. What it raises refuses that.
        """
        state, count, settled, raw = self.state, self.count, self.settled, self._bytes
        member_of, pack_into, places, now = members.get, _ENTRY.pack_into, _PLACES, time.time

        def store(member: Any) -> None:
            while True:
                before = state[()]
                if member_of(before) is member:  # staying is no change
                    return
                if check is not None:
                    check(before, member)
                after = number_of(member)
                if settled[()] != before:
                    self._settle()
                at = now()
                number: int = count[()] + 1
                pack_into(raw, places[number & _LAST], after, at, number, _pid)
                if _NEEDS_FENCE:
                    _fence()
                # A signal handler may have run after one of these calls, and have written itself. From here to the end
                # none can: Python looks for signals after a call only (3.10 does so between any two steps).
                if count[()] < number:
                    break
            state[()] = after
            count[()] = number
            settled[()] = after

        return store

    def record(self, after: int, at: float, pid: int, *, gap: bool = False) -> bool:
        """Store a change that happened elsewhere. Call it with the lock held.

        Args:
            after: the state.
            at: seconds since the epoch.
            pid: the process.
            gap: leave out a number, because changes before this one are missing.

        Returns:
            False if the state is this one already, which is no change.
        """
        if self.settled[()] != self.state[()]:
            self._settle()
        if self.state[()] == after:
            return False
        number: int = self.count[()] + 1 + gap
        self._write_entry(after, number, pid, at)
        if _NEEDS_FENCE:
            _fence()
        self.state[()] = after
        self.count[()] = number
        self.settled[()] = after
        return True

    def _settle(self) -> None:
        """Count the change of a writer that was killed, or interrupted, after it had stored the state."""
        after, number = self.state[()], self.count[()]
        if self._read(number)[0] != after:  # else it had counted the change already
            number += 1
            found, _, entry_number, _ = self._read(number)
            if (found, entry_number) != (after, number):
                found, _, entry_number, _ = self._read(number + 1)
                if (found, entry_number) == (after, number + 1):  # record() had left out a number
                    number += 1
                else:
                    self._write_entry(after, number, 0)  # another program has written the state: nobody knows which
            self.count[()] = number
        self.settled[()] = after

    def _write_entry(self, after: int, number: int, pid: int | None = None, at: float | None = None) -> None:
        """Write an entry into the ring: by this process, now, if nothing else is said."""
        pid, at = _pid if pid is None else pid, time.time() if at is None else at
        _ENTRY.pack_into(self._bytes, _PLACES[number & _LAST], after, at, number, pid)

    def _read(self, number: int) -> tuple[int, float, int, int]:
        return _ENTRY.unpack_from(self._bytes, _PLACES[number & _LAST])

    def changes_since(self, number: int) -> tuple[int, list[Entry]]:
        """Return the count, and the changes after `number` in order. Those that were overwritten are missing.

        The count is that of all changes. The entries are numbered from the one with which the value began anew last.
        """
        count = self.count[()]
        if _NEEDS_FENCE:
            _fence()
        base: int = self.base[()]
        first = max(number, count - READABLE, base)  # the one before the first that is asked for
        found = [(each, self._read(each)) for each in range(first, count + 1)]
        if _NEEDS_FENCE:
            _fence()
        oldest = self.count[()] - READABLE  # what is older may have been overwritten while we read
        entries: list[Entry] = []
        before: int | None = None
        is_known = False  # whether it is known what was before, or that this is not known
        for each, (after, at, entry_number, pid) in found:
            if entry_number != each or each < oldest:
                before = None
                is_known = entry_number < each  # else it was overwritten; but this number was left out by record()
                continue
            if each > number and (each == base or is_known):
                entries.append(Entry(before, after, at, each - base, pid))
            before, is_known = after, True
        return count, entries

    @property
    def can_wake(self) -> bool:
        """Whether `sleep` can be called: not in read-only memory, where a sleeper cannot say that he sleeps."""
        return self._address != 0

    def wake(self) -> None:
        """Wake those who sleep on the count. To be called where the sleepers' word is not zero, after a change."""
        if futex.wake(self._address) == 0:
            # Nobody sleeps any more: the sleeper was killed, or has looked for itself. If another one is just about to
            # sleep, it is not woken by the next change, and looks again at the end of its slice.
            self.sleepers[()] = 0

    def sleep(self, count: int, seconds: float) -> None:
        """Sleep until the count is another one than `count`, but no longer than some seconds. It may return early."""
        self.sleepers[()] = 1
        futex.wait(self._address, count & 0xFFFFFFFF, seconds)
