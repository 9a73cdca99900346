"""The owner of a state, a process whose end changes the state: `adopt` and `reap`. See also `on_death=` in mutator."""

from __future__ import annotations

from typing import TypeVar

from multiprocessing_intenum.enums.members import EnumMember
from multiprocessing_intenum.mutator import resolve
from multiprocessing_intenum.value import HasCell, cell_of, has_cell

__all__ = ["adopt", "reap"]

T = TypeVar("T", bound=EnumMember)


def adopt(status: HasCell[T], *, on_death: T | str, timeout: float | None = None) -> T:
    """Own the present state of a shared value: if this process ends while it owns it, the state becomes `on_death`.

    It is for a process that goes on with what another one has claimed: a web server claims CALCULATING, and the process
    that calculates adopts it. The state is taken from its owner, if it has one. It is owned until it changes.

    The idea is that of the ephemeral nodes of ZooKeeper.

    Args:
        status: the shared value.
        on_death: the member, or its name, that follows when this process ends, in whatever way.
        timeout: seconds to wait for the lock; None waits for ever.

    Returns:
        The present member.

    Raises:
        TimeoutError: the lock was not free in time: its holder is busy or dead.
        TypeError, KeyError: `on_death` is of the wrong kind or names no member, or `status` is no shared value.
        TransitionError: `on_death` must not follow the present state.
        NotImplementedError: the platform can not tell whether a process lives. By path, Linux and macOS can.
        After any error nothing has changed.

    Example:
        >>> status = WorkerStatus("CALCULATING")
        >>> adopt(status, on_death="IDLE").name
        'CALCULATING'
    """
    cell = cell_of(status)
    heir = resolve(cell.members, on_death)

    def step() -> T:
        cell.attend()
        member = cell.load()
        cell.claim(status.set, member, heir, from_others=True)
        return member

    return cell.locked(step, timeout)


def reap(status: HasCell[T], timeout: float | None = None) -> T:
    """Return the member of a shared value, after a look whether the owner of the state lives.

    If the owner has ended, the state first becomes what it has asked for with `on_death=`. A plain read, and
    `snapshot`, do not look. Every function that writes does, and every process that waits looks within a second.

    No lock is taken while the owner lives.

    Args:
        status: the shared value.
        timeout: seconds to wait for the lock, if the owner has ended; None waits for ever.

    Returns:
        The member.

    Raises:
        TimeoutError: the lock was not free in time: its holder is busy or dead.
        TypeError: `status` is no shared value.
        PermissionError: the owner has ended, and this process may only read the value.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> reap(status).name
        'IDLE'
    """
    if not has_cell(status):
        cell_of(status)  # raises the error
    cell = status._self_cell
    if cell.claimed[()]:
        cell.reap(timeout)
    try:  # the lines of Cell.load(), without the call
        return cell.by_number[cell.view[()]]
    except KeyError:
        return cell.load()
