"""The words of a cell in shared memory: the state, the count of its changes, the last changes.

The layout, in bytes. All words are in the processor's own byte order.

    0   state: 64 bits, the number of a member. A read loads this word and nothing else
    8   count: 64 bits, how often the state has changed
    16  32 bits on which waiters sleep: see sleepers.py
    20  32 bits that only the mirror of a record uses: see by_path/mirror.py
    24  settled: 64 bits, the state that the count belongs to
    32  base: 64 bits, the count when the value was last begun anew; the changes are numbered from there
    40  three words of 64 bits that only the mirror of a record uses: see by_path/mirror.py
    64  the ring of the last changes, 32 entries of 32 bytes: state after the change, time, number, process id. The
        highest bit of the number says that the value was begun anew with this change
    1088  claimed: 64 bits, zero while no process owns the state. See ownership.py, also for the 80 bytes behind it
    1176  33 bytes that say for which states waiters sleep: see sleepers.py

All but the two words of 32 bits and the last 33 bytes is written with the lock held. A writer may be killed between any
two stores:

1. It writes the new entry into the ring, behind the entries that the count covers. No reader looks at it yet.
2. It stores the state. From now on the change has happened, but it is not counted.
3. It stores the count, then `settled`.

If it is killed after step 2 or in step 3, `settled` differs from the state. The next writer sees that, and first counts
the change if it is not counted yet. Until then a reader finds the change by its entry.

Another program may have written anything. A reader does not wait for words that make sense: it tries some times, and
then raises ValueError.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeAlias

from multiprocessing_intenum import fork
from multiprocessing_intenum.core import address_of, core
from multiprocessing_intenum.memory import fence
from multiprocessing_intenum.memory.sleepers import NO_FLAG, Sleepers, flag_of

__all__ = ["READABLE", "SIZE", "Entry", "Found", "Words", "is_change"]

_RING = 64
_ENTRY = struct.Struct("@qdQI4x")  # native: struct then stores each field in one piece
_ENTRIES = 32
_LAST = _ENTRIES - 1  # as a mask: 32 is a power of two
_PLACES: list[int] = [_RING + index * _ENTRY.size for index in range(_ENTRIES)]

_CLAIMED = _RING + _ENTRIES * _ENTRY.size
SIZE = _CLAIMED + 128

_WORDS = {"state": (0, "q"), "count": (8, "Q"), "settled": (24, "q"), "base": (32, "Q"), "claimed": (_CLAIMED, "Q")}
_CLAIMS = slice(_CLAIMED, _CLAIMED + 88)

READABLE = _ENTRIES - 3
"""How many of the last changes can be read. The next two changes may be taking the places of two entries: a processor
that reorders stores may show a part of the second change before the count of the first. The oldest entry left only
says what the state was before the second oldest."""

_LARGEST_COUNT = 2**62
"""No count comes near this: with a change in each microsecond it would take 146,000 years."""

_BEGINNING = 2**63
"""The bit in the number of an entry with which the value was begun anew."""

_TRIES = 100
"""How often words that make no sense are read again. A processor that reorders stores may show such words, but only for
a moment."""

_TRIES_IF_BUSY = 10_000
"""How often words are read again if they were overwritten meanwhile. That takes 30 changes during one try."""


class Entry(NamedTuple):
    """A change, as numbers."""

    before: int | None
    """The state before; None for a change number 0, and for a change before which a number was left out."""
    after: int
    time: float
    """Seconds since the epoch."""
    number: int
    pid: int
    """The process that wrote it; 0 if unknown."""


_Read: TypeAlias = tuple[int, float, int, int, int]
"""An entry of the ring: the state after the change, time, number, process id; and `_BEGINNING` or 0."""


class Found(NamedTuple):
    """The changes that `Words.changes_since` has found."""

    counted: int
    """How many changes were counted: the value to sleep on."""
    entries: list[Entry]
    last: int
    """The count with the last change, for the next call. It is more than `counted` if that is not counted yet."""
    base: int
    """The count from which the last change is numbered, for the next call."""


_NEEDS_FENCE, _fence = fence.IS_NEEDED, fence.fence

_pid = os.getpid()  # os.getpid() itself would take 50 ns of each write


def _be_another_process() -> None:
    global _pid
    _pid = os.getpid()
    if core is not None:
        core.be_process(_pid)


_be_another_process()
fork.in_child(fork.Step.PROCESS, _be_another_process)


def is_change(member_of: Callable[[int], Any], before: int, member: Any, check: Callable[[int, Any], None]) -> bool:
    """Return whether a write of a member changes the state. Staying is no change.

    Args:
        member_of: returns the member of a number.
        before: the state.
        member: what is to be written.
        check: as for `Words.writer`. It is called for a change only.
    """
    if member_of(before) is member:
        return False
    check(before, member)
    return True


class Words:
    """The words of one cell.

    Args:
        block: the shared memory, of SIZE bytes, aligned to 8. If it is read-only, so are the words.
    """

    __slots__ = (
        "_bytes", "_owners", "address", "base", "claimed", "claims", "count", "find_owners", "looked", "remedy",
        "settled", "sleepers", "state",
    )  # fmt: skip

    remedy: str
    """What to do about damage, for the text of an error."""
    address: int
    """Where the block lies; 0 if it is read-only."""
    state: memoryview[Any]
    count: memoryview[Any]
    settled: memoryview[Any]
    base: memoryview[Any]
    claimed: memoryview[Any]
    claims: memoryview[Any]
    """The bytes of a claim: `claimed`, and what ownership.py has there."""
    sleepers: Sleepers
    find_ownership: ClassVar[Callable[[Words], Any]]
    """Returns the module `ownership`, which is loaded only where states have owners. `cell` sets it."""
    find_owners: Callable[[Words], Any]
    """Returns what tells whether an owner of the state lives: `locks.owners.Owners`, or the like."""
    looked: int
    """The count at which this process, which holds the lock, has seen the owner alive, and has decided to write; or -1.
    If the owner ends after that look, its death comes after the write: no change comes between the two."""

    def __init__(self, block: Any) -> None:
        self._bytes = memoryview(block).cast("B")[:SIZE]
        self.remedy = "The value is damaged: stop the processes that share it, and make it anew"
        self._owners: Any = None
        self.looked = -1
        self.address = 0 if self._bytes.readonly else address_of(block)

    def __getattr__(self, name: str) -> Any:
        # A view takes 200 bytes, and a value that is only read needs just that of the state. Python comes here only if
        # a slot is empty.
        found: Any
        if name in _WORDS:
            offset, kind = _WORDS[name]
            found = self._bytes[offset : offset + 8].cast(kind, ())  # type: ignore[call-overload]
        elif name == "claims":
            found = self._bytes[_CLAIMS]
        elif name == "sleepers":
            found = Sleepers(self._bytes, self.address)
        else:
            raise AttributeError(name)
        setattr(self, name, found)
        return found  # pyright: ignore[reportUnknownVariableType]

    @property
    def owners(self) -> Any:
        """What tells whether an owner of the state lives."""
        if self._owners is None:
            self._owners = self.find_owners(self)
        return self._owners

    @property
    def block(self) -> Any:
        """The shared memory."""
        return self._bytes.obj

    def begin(self, number: int, at: float | None = None, pid: int | None = None) -> None:
        """Write the first state, the change number 0, into new memory. `at`: when; `pid`: by which process."""
        self._store(number, 0, pid, at, _BEGINNING)

    def begin_anew(self, number: int, at: float | None = None, pid: int | None = None) -> None:
        """Write the first state, the change number 0 again, over a value that no process uses any more.

        A process may be reading it all the same, so the count goes on: a waiter must never find it lower than before.
        """
        if self.count[()] > _LARGEST_COUNT:
            self.count[()] = 0  # another program has written it: this repairs the value
        self.settle()
        # A process that was killed while it claimed the state may have left a slot with the count that comes now.
        self.claims[:] = bytes(len(self.claims))
        count = self.count[()] + 1
        self._store(number, count, pid, at, _BEGINNING)
        self.base[()] = count
        self.sleepers.wake_all()

    def are_whole(self) -> bool:
        """Whether these can be the words of a cell: a file may hold anything."""
        for _ in range(_TRIES):  # between the two loads, many writes may have replaced the entry
            count = self.count[()]
            if self._read(count)[2] == count:
                return bool(self.base[()] <= count <= _LARGEST_COUNT)
        return False

    def damaged(self, why: str) -> ValueError:
        """Return the error for words that this library cannot have written."""
        return ValueError(f"{why}: another program may have written to the shared memory. {self.remedy}")

    def writer(
        self,
        number_of: Callable[[Any], int],
        check: Callable[[int, Any], None] | None = None,
        member_of: Callable[[int], Any] | None = None,
    ) -> Callable[[Any], int]:
        """Return the function that stores a member, and returns its flag: see `Sleepers`. The lock must be held.

        Args:
            number_of: the function from member to number.
            check: called with the state and another member that is to follow it. If it raises, the write is refused.
            member_of: the function from number to member, if a member may stand for several numbers.
        """
        state, count, settled, raw = self.state, self.count, self.settled, self._bytes
        pack_into, places, now = _ENTRY.pack_into, _PLACES, time.time
        largest, claimed = _LARGEST_COUNT, self.claimed

        def store(member: Any) -> int:
            while True:
                is_claimed = claimed[()]
                after = number_of(member)
                if is_claimed:
                    self.find_ownership().attend(self, after)
                before = state[()]
                # is_change(), spelled out: a call would add 40 ns to the 510 of a write.
                if before == after or (member_of is not None and member_of(before) is member):
                    return NO_FLAG
                if check is not None:
                    check(before, member)
                if settled[()] != before:
                    self.settle()
                at = now()
                number: int = count[()] + 1
                if number > largest:
                    raise self._too_large(number)
                pack_into(raw, places[number & _LAST], after, at, number, _pid)
                if _NEEDS_FENCE:
                    _fence()
                # A signal handler may have run after one of these calls, and have written a change. From here to the
                # end no handler can run: Python looks for signals only after a call (3.10 between any two steps).
                if count[()] < number:
                    break
            state[()] = after
            count[()] = number
            settled[()] = after
            if is_claimed:
                self.find_ownership().end(self)
            return after & 31  # flag_of(after)

        return store

    def replay(self, after: int, at: float, pid: int, *, gap: bool = False) -> bool:
        """Store a change that happened elsewhere. Call it with the lock held.

        Args:
            after: the state.
            at: seconds since the epoch.
            pid: the process.
            gap: leave out a number, because changes before this one are missing.

        Returns:
            False if the state is already this one, which is no change.
        """
        self.settle()
        if self.state[()] == after:
            return False
        self._store(after, self.count[()] + 1 + gap, pid, at)
        self._wake(after)
        return True

    def _store(self, after: int, number: int, pid: int | None, at: float | None, mark: int = 0) -> None:
        """Store a change, in the order that the text above describes."""
        self._write_entry(after, number, pid, at, mark)
        if _NEEDS_FENCE:
            _fence()
        self.state[()] = after
        self.count[()] = number
        self.settled[()] = after

    def settle(self) -> None:
        """If a writer was killed, or interrupted, after it had stored the state, count its change."""
        if self.settled[()] == self.state[()]:
            return
        after, uncounted = self._uncounted(self.count[()])
        if uncounted is not None:
            _, at, number, pid, mark = uncounted
            self._write_entry(after, number, max(pid, 0), at, mark)
            self.count[()] = number
        self.settled[()] = after
        self._wake(after)

    def _wake(self, after: int) -> None:
        """Wake those who wait for this state, with the lock held, which a write does later."""
        flag = flag_of(after)
        if self.sleepers.flags[flag]:
            self.sleepers.wake(flag)

    def _uncounted(self, count: int) -> tuple[int, _Read | None]:
        """Return the state, and the entry of the change that led to it, if `count` does not include that change.

        If another program has written the state, there is no such entry. One is made up, with the process id -1.
        """
        state: int = self.state[()]
        if state == self.settled[()]:
            return state, None
        if _NEEDS_FENCE:
            _fence()
        if self._read(count)[0] == state:  # the change is counted: its writer was killed before `settled`
            return state, None
        for number in (count + 1, count + 2):  # replay() may have left out a number
            entry = self._read(number)
            if (entry[0], entry[2]) == (state, number):
                return state, entry
        return state, (state, time.time(), count + 1, -1, 0)

    def _write_entry(
        self, after: int, number: int, pid: int | None = None, at: float | None = None, mark: int = 0
    ) -> None:
        """Write an entry into the ring. The default is this process, and now."""
        pid, at = _pid if pid is None else pid, time.time() if at is None else at
        if number > _LARGEST_COUNT:
            raise self._too_large(number)
        _ENTRY.pack_into(self._bytes, _PLACES[number & _LAST], after, at, number | mark, pid)

    def _too_large(self, number: int) -> ValueError:
        return self.damaged(f"the number of the next change is {number}")

    def _read(self, number: int) -> _Read:
        after, at, marked, pid = _ENTRY.unpack_from(self._bytes, _PLACES[number & _LAST])
        return after, at, marked & ~_BEGINNING, pid, marked & _BEGINNING

    def changes_since(self, number: int, base: int | None = None, *, by_others: bool = False) -> Found:
        """Return the changes after `number`, in order. Overwritten changes are missing.

        Each is numbered from the change with which the value began, or was begun anew, before it. If the change to the
        present state is not counted yet, it is the last one: its writer is about to count it, or was killed before.

        Args:
            number: the count with the last change that the caller already knows.
            base: the count from which that change was numbered; None: leave out what was before the value last began.
            by_others: include a state that another program has written, though it may vanish without being counted.

        Raises:
            ValueError: the words make no sense, or they are written to faster than they can be read.
        """
        tries = 0
        for _ in range(_TRIES_IF_BUSY):
            count: int = self.count[()]
            if _NEEDS_FENCE:
                _fence()
            base_now: int = self.base[()]
            # The change `number` is read as well, for the state before the first change that is asked for.
            first = max(min(number, count), count - READABLE, base_now if base is None else 0)
            found = [(each, self._read(each)) for each in range(first, count + 1)]
            is_whole = bool(found) and found[-1][1][2] == count and base_now <= count and number <= count + 2
            _, uncounted = self._uncounted(count)
            if _NEEDS_FENCE:
                _fence()
            count_now: int = self.count[()]
            last = count
            if uncounted is not None and count_now == count and (uncounted[3] >= 0 or by_others):
                last = uncounted[2]
                found += [(each, self._read(each)) for each in range(count + 1, last)]  # left out by replay()
                found.append((last, uncounted))
            known = base_now if base is None else base
            entries, last_base = self._entries(found, number, known, base_now, count_now - READABLE)
            if (entries and count_now != count) or (is_whole and (entries or number >= count)):
                return Found(count, entries, last, last_base)
            if count_now == count:
                tries += 1
                if tries == _TRIES:
                    raise self.damaged(f"the change number {count} is not among the last changes")
        raise self.damaged("the last changes are overwritten faster than they can be read")

    @staticmethod
    def _entries(
        found: list[tuple[int, _Read]], number: int, base: int, last_base: int, oldest: int
    ) -> tuple[list[Entry], int]:
        """Return the changes after `number`, and the count from which the last one is numbered.

        Changes before `oldest` may have been overwritten while they were read.
        """
        entries: list[Entry] = []
        before: int | None = None
        is_known = False  # whether `before` is right. A right None means that a change is missing
        for each, (after, at, entry_number, pid, is_beginning) in found:
            if entry_number != each or each < oldest:
                before = None
                is_known = entry_number < each  # true: replay() has left out this number; false: it was overwritten
                continue
            if is_beginning:
                base, before, is_known = each, None, True
            elif base < last_base <= each:  # that beginning was overwritten
                base = last_base
            if each > number and is_known:
                entries.append(Entry(before, after, at, each - base, max(pid, 0)))
            before, is_known = after, True
        return entries, base
