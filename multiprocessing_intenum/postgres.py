"""A state of record in PostgreSQL, for processes on several machines. It needs psycopg 3."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path import FileCell, open_enum
from multiprocessing_intenum.cell import Cell, HasCell, cell_of, default_lock
from multiprocessing_intenum.description import description_of_enum, enum_difference
from multiprocessing_intenum.file_lock import FileLock
from multiprocessing_intenum.following import follow
from multiprocessing_intenum.locks import LockLike, guarded, operations_of, seconds
from multiprocessing_intenum.members import EnumMember, Members, members_of
from multiprocessing_intenum.mirror import Mirror, now
from multiprocessing_intenum.record import Entry, Row, Table
from multiprocessing_intenum.robust import moment
from multiprocessing_intenum.session import PATIENCE, PROMPT, Session, parameters_of
from multiprocessing_intenum.shared_file import SharedFile

__all__ = ["PostgresRecord", "confirmed"]

T = TypeVar("T", bound=EnumMember)
R = TypeVar("R")

_FRESH = 3.0
"""Seconds since when somebody has confirmed the mirror, if somebody follows the record on this machine."""

_FIRST_LOOK = 2.0
"""Seconds that a process waits for the database when it opens a mirror that is there already. See `_look`."""


class PostgresRecord:
    """A state of record in PostgreSQL, for `at=`: one for all machines that write it into the same database.

    Each machine has a mirror of the record, a file as for a value by path. Reads, waiting and the command line use the
    mirror, and cost what they cost there. Every write is decided in the database, under a lock of the whole fleet, and
    then mirrored. One process of each machine follows the record, and brings the mirror up to date within milliseconds.

    Args:
        conninfo: the connection string, as for `psycopg.connect`. It is not shown in errors or in the repr.
        name: the name of the record in the table `multiprocessing_intenum`.
        mirror: the path of the file, or a `SharedFile`, whose `mode` and `readonly` count. A machine has one mirror of
            a record, and a mirror has one record.
        create: make the table if there is none.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: `conninfo` is no connection string, or `name` is empty.

    Example:
        >>> PostgresRecord("postgresql://app:secret@db.example/app", "mode", mirror="/run/app/mode")
        PostgresRecord(..., 'mode', mirror=SharedFile('/run/app/mode'))

    PostgreSQL's advisory locks and NOTIFY do the work; the fence is that of Kleppmann, "How to do distributed locking".
    """

    __slots__ = ("_create", "_parameters", "_table", "mirror", "name")

    name: str
    mirror: SharedFile

    def __init__(
        self, conninfo: str, name: str, *, mirror: str | os.PathLike[str] | SharedFile, create: bool = False
    ) -> None:
        for what, text in (("conninfo", conninfo), ("name", name)):
            if not isinstance(text, str):
                message = f"{what} must be a str, not {type(text)}"
                raise TypeError(message)
        if not name or "\0" in name:
            message = f"expected the name of a record, not {name!r}"
            raise ValueError(message)
        self._parameters = parameters_of(conninfo)
        self.name = name
        self._table = Table(name)
        given = mirror if isinstance(mirror, SharedFile) else SharedFile(mirror)
        # It goes on with what it has: the first look at the record corrects it.
        self.mirror = SharedFile(given.path, mode=given.mode, readonly=given.readonly)
        self._create = bool(create)

    def __repr__(self) -> str:
        create = ", create=True" if self._create else ""
        return f"{type(self).__name__}(..., {self.name!r}, mirror={self.mirror!r}{create})"

    def _open_cell(self, members: Members[T], number: int | None, lock: LockLike | None) -> Cell[T]:
        """Return the cell of a value: see `by_path.open_cell`."""
        if lock is not None:
            message = "a record has the lock of the whole fleet: leave lock= out, and use get_lock() of the value"
            raise TypeError(message)
        return RecordCell(members, self, number)

    def _row(self, members: Members[Any], number: int | None, limit: float) -> Row:
        """Return the row of the record, which is made if it is not there and there is a first state.

        Raises:
            ConnectionError, TimeoutError, PermissionError, FileNotFoundError: see `record.Table`.
            ValueError: the record is of another enum, or a pooler is in the way.
        """
        deadline = time.monotonic() + limit
        session = self._session(deadline)
        try:
            table = self._table
            if self._create:
                table.create(session, deadline)
            row = table.find(session, deadline)
            if row is None and number is not None:
                table.make(session, description_of_enum(members), number, os.getpid(), deadline)
                row = table.find(session, deadline)
            row = table.required(row)
        finally:
            session.close()
        self._check_of(members)(row.description)
        return row

    def _session(self, deadline: float) -> Session:
        session = Session(self._parameters, deadline)
        if not session.is_direct and self._is_pooled(session, deadline):
            session.close()
            message = (
                "a pooler in transaction mode stands before PostgreSQL (see pool_mode of PgBouncer): it gives each "
                "statement another session, which would lose the lock. Connect to the server itself, or use "
                "pool_mode = session"
            )
            raise ValueError(message)
        return session

    def _is_pooled(self, session: Session, deadline: float) -> bool:
        """Whether two connections at once are given the same session of the server."""
        other = Session(self._parameters, deadline)
        try:
            for _ in range(5):
                pids = [each.query("SELECT pg_backend_pid()", (), deadline) for each in (session, other, session)]
                if pids[0] != pids[2] or pids[0] == pids[1]:
                    return True
        finally:
            other.close()
        return False

    def _check_of(self, members: Members[Any]) -> Callable[[Mapping[str, Any]], None]:
        """Return a function that raises ValueError if the enum of a row is another one."""
        expected = description_of_enum(members)

        def check(found: Mapping[str, Any]) -> None:
            if found == expected:  # as always: each write and each look of the follower asks
                return
            difference = enum_difference(found, expected, f"the record {self.name!r}")
            if difference:
                message = (
                    f"{difference}. Give another name, or stop all processes that use this record, and then delete its "
                    "row or write the new enum into it, as the documentation says. It was left as it is"
                )
                raise ValueError(message)

        return check


class RecordLock:
    """The lock of a record: it excludes the whole fleet. It is what `get_lock()` of the value returns.

    It is re-entrant. Who takes it finds the mirror up to date. If the connection is lost meanwhile, or the process is
    killed, the server gives the lock to the next one; a write of the one who has lost it is refused.

    The interface is that of `multiprocessing.RLock`.

    Args:
        record: the record.
        members: the table of the enum.
        file: the open mirror.
    """

    __slots__ = (
        "__weakref__", "_depth", "_end_turn", "_file", "_has_written", "_is_lost", "_is_turn", "_is_writing", "_key",
        "_members", "_record", "_session", "_table", "_take_turn", "_version", "answer_by", "check", "mirror",
    )  # fmt: skip

    mirror: Mirror
    check: Callable[[Mapping[str, Any]], None]
    """Raises ValueError for a row with another enum."""
    answer_by: float
    """The moment at which a write must be over, by `time.monotonic`."""

    def __init__(self, record: PostgresRecord, members: Members[Any], file: FileLock) -> None:
        self._record, self._members, self._file = record, members, file
        self.mirror = Mirror(file.body)
        self._table, self.check = record._table, record._check_of(members)
        # It excludes the threads of this process, which share a session. Processes queue up at the server, which is
        # fair to them.
        self._take_turn, self._end_turn, self._is_turn = operations_of(default_lock(None))
        self._session: Session | None = None
        self._key = self._depth = self._version = 0
        self._is_lost = self._has_written = self._is_writing = False
        self.answer_by = math.inf

    def refuse_another(self, record: PostgresRecord) -> None:
        """Raise ValueError if this lock is of a record in another database."""
        if record._parameters != self._record._parameters:
            message = (
                f"{record.mirror!r} mirrors a record of another database, or of the same one by another connection "
                "string, in this process already: give each record a mirror of its own, and always the same string"
            )
            raise ValueError(message)

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or take it once more.

        Args:
            block: whether to wait while somebody else holds it.
            timeout: how many seconds to wait at most, for the network as well; None waits for ever for the lock, but
                30 seconds for an answer of the server; zero or less does not wait for the lock.

        Returns:
            True once it is held; False if it could not be had in time.

        Raises:
            ConnectionError, TimeoutError: the database is not there. Nothing was written.
            PermissionError, FileNotFoundError: something has to be set up in the database; or the mirror was opened
                with `readonly=True`.
            ValueError: the record is of another enum, or a pooler is in the way; or the timeout is not a number (NaN).
            RuntimeError: a signal handler asks for it while its thread is about to take it.
        """
        deadline = math.inf if timeout is None else moment(timeout)
        if not block:
            deadline = -math.inf
        if self._is_turn():
            if self._depth == 0:
                message = (
                    "a signal handler can not take the lock of a record while its thread takes it or gives it back: "
                    "try again later"
                )
                raise RuntimeError(message)
            self._depth += 1
            return True
        try:
            if not self._take_turn(block, timeout):
                return False
            if self._depth:  # a thread that held it has ended
                self._drop()
            if self._lock(deadline):
                self._depth = 1
                return True
            self._give_up(close=False)
            return False
        except BaseException:  # KeyboardInterrupt too, at any point
            self._give_up()
            raise

    __enter__ = acquire

    def release(self) -> None:
        """Undo one `acquire`; the last one frees the lock.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
            ConnectionError: the lock was lost meanwhile, and no write has said so yet.
        """
        is_lost, has_written = self._free()
        if is_lost:
            raise self._loss("What was written under it before is done" if has_written else "Nothing was written")

    def release_written(self) -> None:
        """Do as `release` does, but a write that is done is no error, though the lock is lost after it."""
        is_lost, has_written = self._free()
        if is_lost and not has_written:
            raise self._loss("Nothing was written")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.release()
        else:  # the error of the block comes first
            self._free()

    def _free(self) -> tuple[bool, bool]:
        """Undo one `acquire`. Return whether it shows only now that the lock was lost, and whether a write was done."""
        if not self._is_mine():
            message = f"cannot release {self!r}"
            raise RuntimeError(message)
        if self._depth > 1:
            self._depth -= 1
            return False, False
        session, is_reported, has_written = self._session, self._is_lost, self._has_written
        is_held = False
        try:
            self._depth = 0  # a signal handler that comes from here on gets an error
            if session is not None and not session.is_closed and not is_reported:
                with suppress(OSError):  # if it does not answer, the connection is closed, which gives the lock back
                    is_held = self._table.unlock(session, self._key, time.monotonic() + PROMPT)
            self._give_up(close=not is_held)
        except BaseException:
            self._give_up()
            raise
        return not (is_held or is_reported), has_written

    def _is_mine(self) -> bool:
        return self._depth > 0 and self._is_turn()

    def _drop(self) -> None:
        self._depth = 0
        if self._session is not None:
            self._session.close()  # and then forgotten: an interrupt may come between the two
        self._session = None

    def _give_up(self, *, close: bool = True) -> None:
        """Hold nothing any more, whatever was done before."""
        if not self._is_turn():
            return
        try:
            self._depth = 0
            if close:
                self._drop()
            self._end_turn()
        except BaseException:  # KeyboardInterrupt, in the middle
            if self._is_turn():
                self._drop()
                self._end_turn()
            raise

    def _lock(self, deadline: float) -> bool:
        """Take the lock of the fleet and bring the mirror up to date. Return False if it was not free in time."""
        self._is_lost = self._has_written = False
        is_old = self._session is not None and not self._session.is_closed
        try:
            return self._try_to_lock(deadline)
        except ConnectionError:
            if not is_old:
                raise
        # The server may have closed a connection that was not used for a while. A new one says whether it is there.
        self._drop()
        return self._try_to_lock(deadline)

    def _try_to_lock(self, deadline: float) -> bool:
        session = self._session
        question = self.mirror.asking()
        if session is None or session.is_closed:
            begun = time.monotonic()
            answer_by = min(deadline, begun + PATIENCE) if deadline > begun else begun + PROMPT
            session = self._session = self._record._session(answer_by)
            self._key = self._table.key(session, answer_by)
        try:
            row = self._table.lock(session, self._key, deadline)
        except (ConnectionError, TimeoutError) as error:
            if not session.is_closed:  # the server has answered, and the text says what
                raise
            message = f"{error}. Nothing was written"
            raise type(error)(message) from None
        if row is None:
            return False
        self.check(row.description)
        left = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
        if not _with_file(self._file, lambda: self.mirror.catch_up(row, question), left):
            self._drop()  # and with it the lock
            return False
        self._version = row.version
        return True

    def write(self, number: int) -> None:
        """Store a state in the database, and then in the mirror. The lock must be held.

        Raises:
            ConnectionError, TimeoutError: it was not written, or nobody knows whether it was. The text says which.
            RuntimeError: a signal handler writes while its thread writes.
        """
        if self._is_writing:
            message = "a signal handler can not write to a record while its thread writes to it: try again later"
            raise RuntimeError(message)
        self._is_writing = True
        try:
            entry = self._write(number)
            # If somebody is stopped in the middle of mirroring, the follower mirrors this later.
            _with_file(self._file, lambda: self.mirror.add([entry], self._version), 1.0)
            self._version = entry.version
        finally:
            self._is_writing = False

    def _write(self, number: int) -> Entry:
        session = self._session
        if self._is_lost or session is None or session.is_closed:
            self._is_lost = True
            raise self._loss("This was not written")
        begun = time.monotonic()
        answer_by = min(self.answer_by, begun + PATIENCE)
        if answer_by <= begun:
            message = "the time was over before the write was sent to PostgreSQL: nothing was written"
            raise TimeoutError(message)
        failure: OSError
        try:
            entry = self._table.write(session, self._key, self._version, number, os.getpid(), answer_by)
        except BaseException as error:  # KeyboardInterrupt too
            self._is_lost = session.is_closed
            if not (session.is_closed and isinstance(error, (ConnectionError, TimeoutError))):
                raise
            failure = error
        else:
            if entry is None:
                self._is_lost = True
                raise self._loss("This was not written")
            self._has_written = True
            return entry
        message = (
            f"{failure}. It is not known whether this write was done: look at the value when the database is back, and "
            "write again if need be"
        )
        raise type(failure)(message)

    def _loss(self, consequence: str) -> ConnectionError:
        """Return the error that says that the lock was lost. Another thread may have it by now, with a new session."""
        return ConnectionError(
            f"the lock of the record {self._record.name!r} was lost, because the connection to PostgreSQL was: another "
            f"machine may have written meanwhile. {consequence}"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._record!r} {'' if self._is_mine() else 'not '}held by this thread>"

    def __reduce__(self) -> tuple[Callable[..., Self], Any]:
        return _lock_again, (self._record, self._members.enum_type)


def _with_file(file: FileLock, action: Callable[[], object], timeout: float | None) -> bool:
    """Call a function with the lock of a file held. Return False if that was not free in time."""
    try:  # as in Cell.locked(): no `with` and no `finally` is safe from an interrupt
        if not file.acquire(timeout=timeout):
            return False
        action()
        file.release()
    except BaseException:
        if file._is_mine():
            file.release()
        raise
    return True


def _lock_again(record: PostgresRecord, enum_type: type[Any]) -> Any:
    return _cell_again(enum_type, record).lock


# The locks of this process, by the file. A thread would wait for itself if the file had two.
_locks: weakref.WeakValueDictionary[FileLock, RecordLock] = weakref.WeakValueDictionary()
_making = fork.lock_of_threads()


def _open_mirror(members: Members[Any], record: PostgresRecord, number: int | None) -> FileLock:
    """Open the mirror of a record, made from the record if there is none or it has another enum."""
    file = record.mirror
    kept = SharedFile(file.path, keep=True, mode=file.mode, readonly=file.readonly)
    try:
        opened = open_enum(kept, members, None, record.name)
        if not file.readonly:
            _look(opened, members, record, number)
        return opened
    except (FileNotFoundError, ValueError):
        # There is none, or one that was left with another enum: the record says what to put into it.
        if file.readonly:
            raise
    asked = now()
    row: Row | None = None
    try:
        row = record._row(members, None, PATIENCE)
    except FileNotFoundError:
        if number is None:
            raise

    def begin(body: memoryview, is_new: bool) -> None:
        # The row is made only now, so that a path that is refused leaves none behind.
        Mirror(body).begin(row or record._row(members, number, PATIENCE), asked, is_new=is_new)

    return open_enum(file, members, begin, record.name)


def _look(opened: FileLock, members: Members[Any], record: PostgresRecord, number: int | None) -> None:
    """Look at the record. Without the database the mirror's state has to do.

    Who only attaches need not look, if somebody has lately. Who has a first state makes the row if it was deleted.
    """
    mirror = Mirror(opened.body)
    question = mirror.asking()
    if number is not None or mirror.age() > _FRESH:
        with suppress(ConnectionError, TimeoutError):
            row = record._row(members, number, _FIRST_LOOK)
            _with_file(opened, lambda: mirror.catch_up(row, question), None)


class RecordCell(FileCell[T]):
    """A cell in the mirror of a record, whose writes go to the record first.

    Args:
        members: the table of the enum.
        record: the record.
        number: the first state, for who makes the record; None: only attach.

    Raises:
        OSError, ValueError: see `PostgresRecord._row` and `by_path.open_cell`.
    """

    __slots__ = ("_record",)

    release: Callable[[], object]
    write: Callable[[T], None]

    def __init__(self, members: Members[T], record: PostgresRecord, number: int | None) -> None:
        self._record = record
        opened = _open_mirror(members, record, number)
        if record.mirror.readonly:
            super().__init__(members, record.mirror, opened, opened)
            return
        with _making:
            lock = _locks.get(opened)
            if lock is None:
                lock = _locks[opened] = RecordLock(record, members, opened)
            lock.refuse_another(record)
        super().__init__(members, record.mirror, opened, lock)
        follow(opened, record._table, record._parameters, lock.check)

    def check_writes(self, check: Callable[[int, T], None] | None) -> None:
        """Have each write refused that `check` raises an error for, and then decided in the database."""
        lock, words = self.lock, self.words
        if not isinstance(lock, RecordLock):  # read-only
            super().check_writes(check)
            return
        member_of, number_of = self.by_number.get, self.members.number_of

        def store(member: T) -> None:
            before = words.state[()]
            if member_of(before) is member:  # staying is no change
                return
            if check is not None:
                check(before, member)
            lock.write(number_of(member))

        self.release = lock.release_written
        self.write = guarded(lock, (self.acquire, self.release, self.is_mine), store, words.sleepers, words.wake)

    def locked(self, action: Callable[[], R], timeout: float | None) -> R:
        """Return `action()`, called with the lock of the fleet held. The time covers the network as well."""
        lock, limit = self.lock, seconds(timeout)
        if limit is None or not isinstance(lock, RecordLock):
            return super().locked(action, timeout)
        answer_by = time.monotonic() + (limit or PROMPT)  # zero: not to wait for the lock, but for an answer

        def in_time() -> R:
            before, lock.answer_by = lock.answer_by, min(answer_by, lock.answer_by)
            try:
                return action()
            finally:
                lock.answer_by = before

        return super().locked(in_time, timeout)

    def pickled(self, name: str) -> tuple[Callable[..., Cell[Any]], tuple[Any, ...]]:
        """Return a function and its arguments, with which any process of the machine opens the same record."""
        return _cell_again, (self.members.enum_type, self._record)


def _cell_again(enum_type: type[Any], record: PostgresRecord) -> RecordCell[Any]:
    return RecordCell(members_of(enum_type), record, None)


def confirmed(status: HasCell[Any]) -> float:
    """Return how many seconds ago this machine's mirror was known to agree with the record.

    While the database can be reached, that is less than a second or so. The state of the record may have changed since
    then. Each machine measures with its own clock, from one look at the record to the next; no clocks are compared.

    Args:
        status: a value with `at=PostgresRecord(...)`, or one that reads its mirror.

    Returns:
        Seconds. Infinity if the mirror has not been confirmed since the machine was started.

    Raises:
        TypeError: `status` is no such value.

    Example:
        >>> confirmed(mode) < 60
        True
    """
    cell = cell_of(status)
    mirror = Mirror(cell.open_file.body) if isinstance(cell, FileCell) else None
    if mirror is None or not mirror.is_one:
        message = "expected a value with at=PostgresRecord(...), or one that reads the mirror of a record"
        raise TypeError(message)
    return mirror.age()
