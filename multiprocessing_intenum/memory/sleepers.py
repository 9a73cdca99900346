"""Who sleeps until a value is in a certain state, and how a writer wakes these sleepers, and no others.

The words lie in the memory of a cell: see words.py.

    16    ticket: 32 bits, on which the sleepers sleep in the kernel
    1176  flags: 32 bytes. Byte n is not zero if somebody may sleep who waits for a state whose number is n modulo 32.
          The byte behind them is always zero

A waiter announces itself: it sets the ticket, and the flags of the states that it waits for. Then it looks whether it
has to wait, and then it sleeps, unless the ticket has changed meanwhile. A writer stores its change first. Then, if the
flag of the new state is set, it clears flag and ticket, and wakes those who sleep for this flag. So a change that comes
after the look finds the flag. It wakes the waiter, or keeps it from falling asleep.

The words are bytes and not bits, because two waiters may set flags at the same moment: without an atomic "or", one
would undo what the other does. A ticket depends on the count of changes, so a waiter that has announced itself after a
change cannot bring back the ticket of another one that has done so before.

A wake-up is lost if the writer is killed before it. Therefore every sleep has an end. No lock is involved. A waiter
that is killed leaves nothing behind but flags: the next change to that state clears them.
"""

from __future__ import annotations

import ctypes
import struct

from multiprocessing_intenum.memory import futex
from multiprocessing_intenum.memory.fence import IS_NEEDED, fence

__all__ = ["ALL", "NO_FLAG", "Sleepers", "flag_of"]

_TICKET_AT, _FLAGS_AT = 16, 1176
_TICKET = struct.Struct("@I")

_FLAGS = 32
_EVERY_BIT = 2**_FLAGS - 1
_NOBODY = bytes(_FLAGS)

NO_FLAG = _FLAGS
"""The place of the byte that is always zero. A write that changes nothing looks at it."""

ALL = tuple(range(_FLAGS))
"""The flags of a waiter that cannot say for which states it waits."""


def flag_of(number: int) -> int:
    """Return the flag of the state with this number."""
    return number & _FLAGS - 1


class Sleepers:
    """The words by which the sleepers and the writers of one cell find each other.

    Args:
        block: the bytes of the cell. If they are read-only, nobody can sleep here.
        address: where they lie.
    """

    __slots__ = ("_block", "_ticket", "can_sleep", "flags")

    can_sleep: bool
    """Whether `announce` and `sleep` can be called."""
    flags: memoryview[int]
    """A writer calls `wake` if the flag of its state is not zero."""

    def __init__(self, block: memoryview[int], address: int) -> None:
        self._block, self.can_sleep = block, not block.readonly
        self._ticket = ctypes.c_void_p(address + _TICKET_AT)
        self.flags = block[_FLAGS_AT : _FLAGS_AT + _FLAGS + 1]

    def announce(self, flags: tuple[int, ...], count: int) -> int:
        """Announce a sleeper, and return its ticket. It must look once more before it sleeps.

        Args:
            flags: those of the states that it waits for.
            count: the present count of changes.
        """
        # The ticket comes first: a writer that clears a flag of this waiter then takes its ticket back, too.
        ticket: int = (2 * count + 1) & _EVERY_BIT  # never zero
        _TICKET.pack_into(self._block, _TICKET_AT, ticket)
        for flag in flags:
            self.flags[flag] = 1
        if IS_NEEDED:
            fence()
        return ticket

    def sleep(self, flags: tuple[int, ...], ticket: int, seconds: float) -> None:
        """Sleep until the state gets one of these flags, but no longer than `seconds`. It may return early."""
        futex.wait(self._ticket, ticket, seconds, _EVERY_BIT if flags is ALL else sum(1 << flag for flag in flags))

    def wake(self, flag: int) -> None:
        """Wake those who wait for a state with this flag. Call it after the change.

        Where this process cannot wake them, the flag stays: another writer may be able to.
        """
        self.flags[flag] = 0
        _TICKET.pack_into(self._block, _TICKET_AT, 0)
        if futex.wake(self._ticket, 1 << flag) < 0:
            self.flags[flag] = 1

    def wake_all(self) -> None:
        """Wake everybody who sleeps."""
        if self.can_sleep and futex.is_available():
            self.flags[:_FLAGS] = _NOBODY
            _TICKET.pack_into(self._block, _TICKET_AT, 0)
            futex.wake(self._ticket, _EVERY_BIT)
