"""The cell: the words in shared memory, the table that gives them their meaning, and the lock of the writers."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing import process, synchronize
from multiprocessing.context import BaseContext, get_spawning_popen
from multiprocessing.sharedctypes import RawArray
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

from multiprocessing_intenum.core import allowed_in, core, here_address, table_of
from multiprocessing_intenum.enums.members import EnumMember, Members, UnknownMemberError, members_of
from multiprocessing_intenum.enums.transitions import Rules
from multiprocessing_intenum.locks.holding import (
    Lock,
    LockLike,
    NotFreeError,
    Operations,
    OwnedLock,
    guarded,
    operations_of,
    seconds,
)
from multiprocessing_intenum.locks.robust import RobustRLock
from multiprocessing_intenum.memory import keepalive
from multiprocessing_intenum.memory.words import SIZE, Words

__all__ = ["Cell", "OpensCell", "default_lock"]

T = TypeVar("T", bound=EnumMember)
R = TypeVar("R")


class Cell(Generic[T]):
    """A shared value without its masquerade: where its state lies, how a writer locks it and stores to it."""

    __slots__ = (
        "_block", "_core", "_operations", "by_number", "exact_type", "lock", "members", "rules", "view", "words",
        "write",
    )  # fmt: skip

    members: Members[T]
    by_number: dict[int, T]
    """The dict of the table itself: it saves each read a load."""
    exact_type: type
    """The `exact_type` of the table: a value of this type is written without a check."""
    rules: Rules
    """What the class of the value declares."""
    words: Words
    view: memoryview[Any]
    """The state: a memoryview without dimensions loads it in 17 ns, `c_int64.value` in 43 ns."""
    lock: Lock
    """The very object that the user gave as `lock=`, or the default one."""
    write: Callable[[T], None] | None
    """Store a member under the lock. It must be a member of the table that fits the cell. None until `begin_to_write`
    is called: a value that this process only reads takes 1,800 bytes less."""

    def __init__(self, members: Members[T], block: Any, lock: LockLike, rules: Rules) -> None:
        self._block, self._core, self.rules = block, None, rules
        # Any other lock may be of a wrong type.
        self._operations = None if issubclass(type(lock), OwnedLock) else operations_of(lock)
        self.words = words = Words(block)
        self.view = words.state
        words.find_owners = _owners_in_memory
        self.lock = cast("Lock", lock)
        self.members, self.by_number, self.exact_type = members, members.by_number, members.exact_type
        self.write = None

    def begin_to_write(self) -> Callable[[T], None]:
        """Make the function `write`, and return it."""
        self.write = write = self._writer()
        return write

    @property
    def operations(self) -> Operations:
        """What a writer needs of the lock."""
        if self._operations is None:
            self._operations = operations_of(self.lock)
        return self._operations

    @property
    def claimed(self) -> memoryview[Any]:
        """The word that is zero while no process owns the state."""
        return self.words.claimed

    @property
    def core(self) -> Any:
        """What the C core, if there is one, needs of this cell."""
        if self._core is None:
            table, allowed = table_of(self.members), allowed_in(self.members, self.rules.transitions)
            given = table, self.exact_type, self.lock, self.words, allowed, self._described()
            self._core = core.Core(*given, *self._addresses())
        return self._core

    def _addresses(self) -> tuple[int, int, int, int, int]:
        """Return where these are: state, words, mutex, `fork.here`, what says where a file describes the enum.

        Zero means that Python does what needs it: C writes with the default lock, and with that of a file.
        """
        address, mutex = self.words.address, 0
        if type(self.lock) is RobustRLock:
            mutex = self.lock.address_if_plain
        return address, address, mutex, here_address, 0

    def _described(self) -> Any:
        """Return what says how a file describes the enum; None if there is no file."""
        return None

    def waiter(self, wanted: Iterable[int], *, once: bool = False) -> Callable[[int, float], T | None] | None:
        """Return the function that waits in C for a state of one of these numbers; None where Python has to do it.

        `once`: whether it returns after each sleep, so that Python can look after other things.
        """
        if not self._addresses()[1]:
            return None
        numbers = b"".join(number.to_bytes(8, sys.byteorder, signed=True) for number in wanted)
        return partial(self.core.wait, numbers, once)

    @property
    def place(self) -> str:
        """Where the value is, for the text of an error."""
        return ""

    def _writer(self) -> Callable[[T], None]:
        """Return the function `write`."""
        transitions = self.rules.transitions
        check = None if transitions is None else transitions.check
        return self._guarded(self.words.writer(self.members.number_of, check))

    def _guarded(self, store: Callable[[T], int]) -> Callable[[T], None]:
        return guarded(self.lock, self.operations, store, self.words.sleepers)

    @classmethod
    def in_memory(cls, members: Members[T], number: int, lock: LockLike | _NewLock, rules: Rules) -> Cell[T]:
        """Return a new cell. Its memory stays alive for any child that inherits it."""
        block: Any
        if type(lock) is _NewLock:
            lock, block = lock
        else:
            block = RawArray(ctypes.c_char, SIZE)
            keepalive.track(block)
        Words(block).begin(number)  # not the words of the cell: they would keep the views that this needs
        return cls(members, block, cast("LockLike", lock), rules)

    def locked(self, action: Callable[[], R], timeout: float | None) -> R:
        """Call `action` as `Operations.hold` does; TimeoutError if the lock is not free within `timeout` seconds."""
        try:
            return self.operations.hold(action, seconds(timeout))
        except NotFreeError:
            may_be_dead = "" if isinstance(self.lock, OwnedLock) else ", or dead (see RobustRLock)"
            message = (
                f"could not lock '{self.members.enum_type.__name__}' within {timeout} s, nothing was written, "
                f"the state is {self.shown()}: the holder of the lock is busy{may_be_dead}{self.place}"
            )
            raise TimeoutError(message) from None

    def load(self) -> T:
        """Return the member that the state names now."""
        try:
            return self.by_number[self.view[()]]
        except KeyError:
            return self.member(self.view[()])

    def member(self, number: int) -> T:
        """Return the member of a number in the shared memory; ValueError if the enum has no such member."""
        return self.members[number]

    def member_in_history(self, number: int) -> T:
        """Return the member of a number that is among the last changes; ValueError if the enum has no such member."""
        try:
            return self.member(number)
        except UnknownMemberError:
            raise
        except ValueError:
            raise self.words.damaged(f"{number} is no member of '{self.members.enum_type}'") from None

    def known(self) -> T | None:
        """Return the member that the state names now, or None if this version of the enum does not have it."""
        try:
            return self.load()
        except UnknownMemberError:
            return None

    def shown(self) -> str:
        """Return the state for the text of an error."""
        try:
            return repr(self.load())
        except UnknownMemberError as error:
            return error.name or str(error.number)

    def is_named(self) -> bool:
        """Whether the file of the value still has its name. A value in memory has none to lose."""
        return True

    def keep_up(self) -> bool:
        """Do what a waiter does between two looks: see whether the owner of the state, and the file, are still there.

        Returns:
            Whether to look again: the owner has ended, or the cell goes on with another file.

        Raises:
            FileNotFoundError: the file of the value has lost its name.
        """
        return self.look_after_owner()

    def look_after_owner(self) -> bool:
        """If the owner of the state has ended, let the state become what it has asked for. Do not wait for the lock.

        Returns:
            Whether there may be a change to look at.
        """
        if self.claimed[()]:
            from multiprocessing_intenum.memory import ownership  # needed only where states have owners

            return ownership.is_left(self.words) and self.operations.try_to_hold(self.attend, 0)
        return False

    def attend(self) -> None:
        """Do the same before a look at the state. The lock must be held."""
        if self.claimed[()]:
            from multiprocessing_intenum.memory import ownership

            ownership.attend(self.words)

    def attended(self, write: Callable[[T], object]) -> Callable[[T], object]:
        """Attend, and return how to store what the caller decides on by the look that comes next."""
        if not self.claimed[()]:
            return write
        self.attend()
        return lambda member: self.decided(write, member)

    def owner(self) -> tuple[int, bool, T] | None:
        """Return the process that owns the state, whether it lives, and what follows its end; None if nobody owns it.

        Raises:
            UnknownMemberError: only a newer version of the enum has that member.
        """
        from multiprocessing_intenum.memory.ownership import owner_of

        found = owner_of(self.words)
        if found is None:
            return None
        owners, owner = self.words.owners, found[1]
        return owner.pid, owner.token == owners.token or owners.lives(owner.token), self.member(owner.on_death)

    def decided(self, write: Callable[[T], object], member: T) -> None:
        """Store a member, after `attend` and a look at the state. If the owner has ended since, that comes later."""
        try:
            self.words.looked = self.words.count[()]
            write(member)
        finally:
            self.words.looked = -1

    def reap(self, timeout: float | None) -> None:
        """Look whether the owner of the state lives, and if not, let the state become what it has asked for."""
        from multiprocessing_intenum.memory.ownership import is_left

        if is_left(self.words):
            self.locked(self.attend, timeout)

    def check_follows(self, member: T, after: T) -> None:
        """Raise TransitionError if a member must not follow another one."""
        transitions = self.rules.transitions
        if transitions is not None and after is not member:
            transitions.check(self.members.number_of(member), after)

    def claim(self, write: Callable[[T], object], member: T, on_death: T, *, from_others: bool) -> bool:
        """Store a member, and own the state from then on. The lock must be held.

        Args:
            write: stores a member, as the value's own `set()` does.
            member: what to store.
            on_death: what the state becomes if this process ends while it owns the state.
            from_others: whether to take a state from another process, if it is this member already.

        Returns:
            False if another process owns the state.

        Raises:
            TransitionError: `on_death` must not follow `member`.
            NotImplementedError: the platform can not tell whether an owner lives.
        """
        from multiprocessing_intenum.memory.ownership import Owner, attend, claim, owner_of

        self.check_follows(member, on_death)
        words, number_of = self.words, self.members.number_of
        token = words.owners.choose()
        owner = Owner(0, number_of(member), number_of(on_death), os.getpid(), token)
        if words.state[()] == owner.state:
            present = owner_of(words)
            if present is not None and present[1].token != token and not from_others:
                return False
        else:
            try:
                claim(words, owner._replace(since=words.count[()] + 1))
                self.decided(write, member)
            except BaseException:  # KeyboardInterrupt too
                attend(words)
                raise
            present = owner_of(words)
            if present is not None and present[1].token == token:
                return True
            # A set() of a subclass has done something else, or a signal handler has written meanwhile.
            attend(words)
        while words.state[()] == owner.state:
            count = words.count[()]
            claim(words, owner._replace(since=count))
            if words.count[()] == count:  # else a signal handler has written meanwhile
                break
        return True

    def is_same(self, other: Cell[Any]) -> bool:
        """Whether the other cell is known to be in the same memory, and to give the same meaning to it."""
        return other._block is self._block and other.members is self.members

    def copy(self) -> Cell[T]:
        """Return a cell with the same lock and its own state, at first an equal one."""
        return self.in_memory(self.members, self.view[()], self.lock, self.rules)

    def pickled(self, name: str) -> tuple[Callable[..., Cell[Any]], tuple[Any, ...]]:
        """Return a function and its arguments. Another process calls it to make a cell that shares this state.

        RuntimeError, which names the class `name`: no process is being started, or not in a way that can share the
        lock.
        """
        if get_spawning_popen() is None:
            message = (
                f"{name} can only be sent to a process that is being started (as an argument of Process or as initargs "
                "of a Pool or an executor): send snapshot(status), its member, to any other process, or give the value "
                "a path with at=..., which any process can open"
            )
            raise RuntimeError(message)
        lock: Any = self.lock
        # The semaphore of a lock of the fork context has no name by which a child that is not forked could open it.
        # multiprocessing refuses it as well, but its error does not mention `ctx=`; on Python 3.10 the child crashes.
        if issubclass(type(lock), synchronize.SemLock) and os.name != "nt" and lock._semlock.name is None:
            message = (
                "the lock of this value was made for children that are forked: give ctx= or lock= when you make the "
                "value, IntEnumValue(..., ctx=multiprocessing.get_context('spawn')), to send it by spawn or forkserver"
            )
            raise RuntimeError(message)
        keepalive.pin(self._block)
        keepalive.pin(lock)
        return _unpickled, (self.members.enum_type, self._block, lock)


def _unpickled(enum_type: type[Any], block: Any, lock: LockLike, rules: Rules) -> Cell[Any]:
    """Make the cell anew in a spawned child, with the same memory and the same lock."""
    if not getattr(process.current_process(), "_inheriting", False):
        message = (
            "a pickled shared value can only be loaded by the process that it was pickled for, while that process "
            "starts"
        )
        raise RuntimeError(message)
    return Cell(members_of(enum_type), block, lock, rules)


@runtime_checkable
class OpensCell(Protocol):
    """What `at=` takes besides a path: `PostgresRecord`. Its module is loaded only by programs that use it."""

    def _open_cell(self, members: Members[T], number: int | None, lock: LockLike | None, rules: Rules) -> Cell[T]:
        """Return a cell. `number` is the first state, if one was given."""
        ...


def _ownership(words: Words) -> Any:
    from multiprocessing_intenum.memory import ownership

    return ownership


Words.find_ownership = _ownership


def _owners_in_memory(words: Words) -> Any:
    from multiprocessing_intenum.locks.owners import owners_in_memory  # needed only where states have owners

    return owners_in_memory(words.block)


class _NewLock(NamedTuple):
    """A lock that was made for one value, and beside it the memory of that value: one block takes 1,900 bytes less."""

    lock: LockLike
    block: Any


def default_lock(ctx: BaseContext | None) -> LockLike | _NewLock:
    """Return the lock of a value without `lock=`: a RobustRLock, or an RLock of the context where that is missing."""
    make = getattr(multiprocessing if ctx is None else ctx, "RLock", None)
    if not callable(make):
        message = f"Can not use {type(ctx)} as ctx: expected a context, such as multiprocessing.get_context('spawn')"
        raise TypeError(message)
    try:
        return _NewLock(*RobustRLock._with_room_for(SIZE))
    except NotImplementedError:
        return make()  # type: ignore[no-any-return]
