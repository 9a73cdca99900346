"""The cell of a record: the words in its mirror, and writes that go to the row first."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from multiprocessing_intenum.by_path.cell import FileCell, open_enum
from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.life import description_in
from multiprocessing_intenum.by_path.mirror import Mirror, Row, describe_mirror, now
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.cell import Cell, OpensCell
from multiprocessing_intenum.enums.members import EnumMember, Members, members_of
from multiprocessing_intenum.enums.transitions import Rules
from multiprocessing_intenum.locks.holding import guarded, operations_of, seconds
from multiprocessing_intenum.memory.sleepers import NO_FLAG
from multiprocessing_intenum.memory.words import is_change
from multiprocessing_intenum.postgres.acquisition import MIRRORING, Acquisition
from multiprocessing_intenum.postgres.follower import follow
from multiprocessing_intenum.postgres.lock import RecordLock, lock_of
from multiprocessing_intenum.postgres.session import PATIENCE, PROMPT
from multiprocessing_intenum.postgres.table import Table

__all__ = ["RecordCell"]

T = TypeVar("T", bound=EnumMember)
R = TypeVar("R")

_FRESH = 3.0
"""A mirror that was confirmed within these seconds is fresh: a process of this machine follows the record."""

_FIRST_LOOK = 2.0
"""Seconds that a process waits for the database when it opens a mirror that exists. See `_look`."""


def _open_mirror(members: Members[Any], table: Table, file: SharedFile, number: int | None) -> FileLock:
    """Open the mirror of a record. Make it from the record if there is none, or if it has another enum."""
    kept = SharedFile(file.path, keep=True, mode=file.mode, readonly=file.readonly)
    try:
        opened = open_enum(kept, members, None, None, table.name)
        if not file.readonly:
            _look(opened, table, number)
        return opened
    except (FileNotFoundError, ValueError):
        # There is no mirror, or an old one with another enum: the record says what to write into it.
        if file.readonly:
            raise
    asked = now()
    row: Row | None = None
    try:
        row = table.row(None, PATIENCE)
    except FileNotFoundError:
        if number is None:
            raise

    def begin(body: memoryview, is_new: bool) -> None:
        nonlocal row
        # The row is made only now, so that a path that is refused leaves no row behind.
        row = row or table.row(number, PATIENCE)
        Mirror(body).begin(row, asked, is_new=is_new)

    opened = open_enum(file, members, None, begin, table.name)
    row = row or table.row(number, PATIENCE)  # another process was faster
    describe_mirror(opened, row, table.name, time.monotonic() + MIRRORING)
    return opened


def _look(opened: FileLock, table: Table, number: int | None) -> None:
    """Bring the mirror up to date. Without the database its state has to do.

    A process that only attaches does not ask the database if the mirror is fresh and says all about the enum. A process
    that has a first state makes the row if it was deleted.
    """
    mirror = Mirror(opened.body)
    question = mirror.asking()
    if number is not None or mirror.age() > _FRESH or table.adds_to(description_in(opened)):
        with suppress(ConnectionError, TimeoutError):
            row = table.row(number, _FIRST_LOOK)
            describe_mirror(opened, row, table.name, time.monotonic() + MIRRORING)
            operations_of(opened).try_to_hold(lambda: mirror.catch_up(row, question), MIRRORING)
    else:
        table.has_described = True


class RecordCell(FileCell[T]):
    """A cell in the mirror of a record. Its writes go to the record first.

    Args:
        members: the table of the enum.
        record: the argument `at=` of the value, for pickling.
        table: the record in its database.
        mirror: how its mirror is opened.
        number: the first state, to make the record if there is none; None: only attach.
        rules: what the class of the value declares.

    Raises:
        OSError, ValueError: see `table.Table.row` and `by_path.cell.open_enum`.
    """

    __slots__ = ("_owned", "_record")

    def __init__(
        self,
        members: Members[T],
        record: OpensCell,
        table: Table,
        mirror: SharedFile,
        number: int | None,
        rules: Rules,
    ) -> None:
        self._record, self._owned = record, None
        opened = _open_mirror(members, table, mirror, number)
        if mirror.readonly:
            super().__init__(members, mirror, opened, opened, rules)
            return
        lock = lock_of(table, opened, (_lock_again, (members.enum_type, record)))
        super().__init__(members, mirror, opened, lock, rules)
        self._owned = Mirror(opened.body).owned
        self._operations = operations_of(lock)._replace(release=lock.release_written)
        follow(opened, table)

    @property
    def claimed(self) -> memoryview[Any]:
        """The word that is zero while no process owns the state: of the record, as far as the mirror knows."""
        return super().claimed if self._owned is None else self._owned

    @property
    def _fleet_lock(self) -> RecordLock | None:
        """The lock of the fleet; None if the mirror is only read."""
        lock: object = self.lock
        return lock if isinstance(lock, RecordLock) else None

    @property
    def _held(self) -> Acquisition | None:
        """The acquisition of the calling thread; None if it does not hold the lock of the fleet."""
        lock = self._fleet_lock
        return None if lock is None else lock.held

    def _writer(self) -> Callable[[T], None]:
        lock, words = self._fleet_lock, self.words
        if lock is None:
            return super()._writer()
        described, number_of = self.described, self.members.number_of
        member_of = self.by_number.get if self.rules.unknown is None else described.member

        def store(member: T) -> int:
            held = lock.held
            assert held is not None
            held.attend(is_write=True)
            if is_change(member_of, held.state, member, described.check):
                held.write(number_of(member))
            return NO_FLAG  # the mirror wakes

        return guarded(lock, self.operations, store, words.sleepers)

    def locked(self, action: Callable[[], R], timeout: float | None) -> R:
        """Call `action` with the lock of the fleet, and return its result. The timeout covers the network as well."""
        lock, limit = self._fleet_lock, seconds(timeout)
        if limit is None or lock is None:
            return super().locked(action, timeout)
        answer_by = time.monotonic() + (limit or PROMPT)  # zero: no wait for the lock, but for an answer
        outer = lock.held

        def in_time() -> R:
            held = lock.held
            assert held is not None
            before, held.answer_by = held.answer_by, min(answer_by, held.answer_by)
            try:
                return action()
            finally:
                if outer is not None:  # else the limit also covers giving the lock back
                    held.answer_by = before

        return super().locked(in_time, timeout)

    def load(self) -> T:
        """Return the member in the mirror; to the holder of the lock, the member in the record."""
        held = self._held
        return super().load() if held is None else self.member(held.state)

    def look_after_owner(self) -> bool:
        """Leave the owner of the state to the process that follows the record for this machine."""
        return False

    def attend(self) -> None:
        """If the owner of the state has ended, let the state become what it has asked for. The lock must be held.

        Raises:
            ConnectionError: this process has owned the state until it lost its connection.
        """
        held = self._held
        assert held is not None
        held.attend(is_write=True)

    def attended(self, write: Callable[[T], object]) -> Callable[[T], object]:
        """Attend, and return `write`: the database refuses a write that the look does not fit."""
        self.attend()
        return write

    def reap(self, timeout: float | None) -> None:
        """Ask the database whether the owner of the state lives, and if not, let the state become what it asked for."""
        lock, limit, begun = self._fleet_lock, seconds(timeout), time.monotonic()
        assert lock is not None

        def attend() -> None:
            held = lock.held
            assert held is not None
            held.attend(is_write=False)

        if lock.is_left(limit):
            self.locked(attend, None if limit is None else max(0.0, limit - (time.monotonic() - begun)))

    def claim(self, write: Callable[[T], object], member: T, on_death: T, *, from_others: bool) -> bool:
        """Store a member, and own the state from then on: see `Cell`. The lock must be held.

        Raises:
            TransitionError: `on_death` must not follow `member`.
            ConnectionError, TimeoutError: this process can not connect once more, or the write fails.
        """
        self.check_follows(member, on_death)
        held = self._held
        assert held is not None
        wanted = held.wish(self.members.number_of(member), self.members.number_of(on_death))
        if held.state == wanted.state:
            owner = held.claim
            if owner is not None and owner.token != wanted.claim.token and not from_others:
                return False
            held.adopt(wanted)
            return True
        held.wanted = wanted
        try:
            write(member)
        finally:
            held.wanted = None
        if held.state == wanted.state and held.claim != wanted.claim:
            # A set() of a subclass has done something else, or a signal handler has written meanwhile.
            held.adopt(wanted)
        return True

    def owner(self) -> tuple[int, bool, T] | None:
        """Return the process that owns the state, whether it lives, and what follows its end; None if nobody owns it.

        It is what the process that follows the record has seen last.

        Raises:
            UnknownMemberError: only a newer version of the enum has that member.
        """
        found = Mirror(self.open_file.body).owner()
        return None if found is None else (found[0], found[1], self.member(found[2]))

    def pickled(self, name: str) -> tuple[Callable[..., Cell[Any]], tuple[Any, ...]]:
        """Return a function and its arguments. With them any process of the machine opens the same record."""
        return _cell_again, (self.members.enum_type, self._record)


def _cell_again(enum_type: type[Any], record: OpensCell, rules: Rules) -> Cell[Any]:
    return record._open_cell(members_of(enum_type), None, None, rules)


def _lock_again(enum_type: type[Any], record: OpensCell) -> Any:
    return _cell_again(enum_type, record, Rules()).lock
