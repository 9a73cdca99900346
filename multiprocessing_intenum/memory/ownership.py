"""Which process owns the state: the words of a claim, and what becomes of the state when its owner has ended.

A claim is two slots of words, of which one is in use, and the word `claimed`, which tells which one. While `claimed` is
zero nobody owns the state, and a write looks at nothing else here. All is written with the lock held. A process that
claims the state may be killed between any two stores:

1. It fills the slot that is not in use. The slot has the count that the state will have by then: its own change is the
   next one, or for `adopt` the present one.
2. It stores `claimed`.
3. It stores the state, with its count. From now on it owns the state.

A slot is valid while its count is the present one, so any change of the state ends the ownership. If the process is
killed before step 3, the next writer empties the slot, before another change could get that count. The slot of the
owner before is still there until then.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from multiprocessing_intenum.memory.words import Words

__all__ = ["Owner", "attend", "claim", "end", "is_left", "owner_of"]

_SLOT = struct.Struct("@QqqQQ")  # native: struct then stores each field in one piece
_NOBODY = 0
_CLAIMED = 2
"""Together with the number of the slot this is never zero."""


class Owner(NamedTuple):
    """Who owns the state, and what becomes of it."""

    since: int
    """The count of changes at which the state is owned."""
    state: int
    on_death: int
    """The state that follows if the owner ends."""
    pid: int
    token: int
    """The byte that the owner has locked, in a file that all processes can reach, as long as it lives."""


def owner_of(words: Words) -> tuple[int, Owner] | None:
    """Return the slot of the process that owns the state, and what it says; None if nobody owns the state.

    Without the lock the answer may be wrong: it is read while others write.
    """
    claimed = words.claimed[()]
    if claimed:
        count, state = words.count[()], words.state[()]
        for slot in (claimed & 1, 1 - (claimed & 1)):
            found = _read(words, slot)
            if found.since == count and found.state == state:
                return slot, found
    return None


def _read(words: Words, slot: int) -> Owner:
    count, *rest = _SLOT.unpack_from(words.claims, 8 + slot * _SLOT.size)
    return Owner(count - 1, *rest)


def _fill(words: Words, slot: int, owner: Owner | None) -> None:
    at = 8 + slot * _SLOT.size
    count = words.claims[at : at + 8].cast("Q", ())
    count[()] = _NOBODY
    if owner is not None:
        _SLOT.pack_into(words.claims, at, _NOBODY, *owner[1:])
        count[()] = owner.since + 1


def claim(words: Words, owner: Owner) -> None:
    """Have the state owned from the count of `owner` on: the present one, or the next one."""
    present = owner_of(words)
    slot = 0 if present is None else 1 - present[0]
    _fill(words, slot, owner)
    words.claimed[()] = _CLAIMED | slot


def attend(words: Words, after: int | None = None) -> None:
    """Let the state become what its owner has asked for, if the owner has ended. Call it with the lock held.

    A writer calls it before it looks at the state.

    Args:
        words: the words of the cell.
        after: the state that this process is about to store; None: none.
    """
    words.settle()
    count: int = words.count[()]
    is_pending = False
    for slot in (0, 1):
        found = _read(words, slot)
        if found.since > count:
            # A process was killed before it stored the state that it claimed; or this one is about to store it.
            if found.state == after and found.token == words.owners.token:
                is_pending = True
            else:
                _fill(words, slot, None)
    present = owner_of(words)
    if present is not None:
        _, owner = present
        is_known = after is not None and words.looked == count  # the caller has decided on what it saw then
        if is_known or owner.token == words.owners.token or words.owners.lives(owner.token):
            return
        words.replay(owner.on_death, time.time(), owner.pid)
    if not is_pending:
        words.claimed[()] = 0


def is_left(words: Words) -> bool:
    """Whether the owner of the state has ended, as far as can be seen without the lock."""
    if words.settled[()] != words.state[()]:  # a writer was killed, and perhaps it has claimed the state
        return True
    present = owner_of(words)
    return present is not None and not words.owners.lives(present[1].token) and present[1].token != words.owners.token


def end(words: Words) -> None:
    """Forget a claim that a change of the state has ended. Call it with the lock held."""
    if owner_of(words) is None:
        words.claimed[()] = 0
