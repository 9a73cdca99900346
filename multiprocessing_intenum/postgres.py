"""A state of record in PostgreSQL, for processes on several machines. It needs psycopg 3."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path import FileCell, open_enum
from multiprocessing_intenum.cell import Cell, HasCell, cell_of
from multiprocessing_intenum.description import description_of_enum, enum_difference
from multiprocessing_intenum.file_lock import FileLock
from multiprocessing_intenum.following import follow
from multiprocessing_intenum.locks import LockLike, ThreadsLock, guarded, seconds
from multiprocessing_intenum.members import EnumMember, Members, members_of
from multiprocessing_intenum.mirror import Mirror, now
from multiprocessing_intenum.record import GRACE, NEEDS_PRIMARY, Entry, Row, Table
from multiprocessing_intenum.robust import moment
from multiprocessing_intenum.session import PATIENCE, PROMPT, Session, parameters_of
from multiprocessing_intenum.shared_file import SharedFile

__all__ = ["PostgresRecord", "confirmed"]

T = TypeVar("T", bound=EnumMember)
R = TypeVar("R")

_log = logging.getLogger(__name__)

_FRESH = 3.0
"""Seconds since when somebody has confirmed the mirror, if somebody follows the record on this machine."""

_FIRST_LOOK = 2.0
"""Seconds that a process waits for the database when it opens a mirror that is there already. See `_look`."""

_IDLE = 5.0
"""Seconds without a write after which the connection of a writer is closed. To connect anew takes some milliseconds."""

_QUEUE = 1.0
"""Seconds that a statement waits in the server's queue for the lock, or for the table, before it comes back.

While it waits there it has a snapshot. VACUUM keeps what that might see, and CREATE INDEX CONCURRENTLY waits for its
end: for ever, if that is called by the holder of the lock. No statement waits for an advisory lock without one."""

_ASIDE = 4.0
"""Seconds that a process then waits without a statement, before it queues up again."""

_LOOK = 0.5
"""Seconds between two looks at the lock meanwhile: a holder that is killed tells nobody."""

_MIRRORING = 1.0
"""Seconds that the holder of the fleet's lock waits for the lock of this machine's mirror, which a process that is
stopped may hold."""


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
            if self._create and not session.is_standby:
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


class _Hold:
    """What an acquisition of the lock has: a session, and what the row holds."""

    __slots__ = (
        "answer_by", "begun", "depth", "has_written", "is_lost", "is_writing", "session", "state", "unmirrored",
        "version",
    )  # fmt: skip

    session: Session
    version: int
    state: int
    """The number of the member in the row. The mirror may not have it yet."""
    begun: float
    """When the lock was taken, by `time.monotonic`."""
    answer_by: float
    """The moment at which a write must be over, by `time.monotonic`."""
    depth: int
    """How often the lock was acquired and not released."""
    unmirrored: list[Entry]
    """What was written and is not in the mirror yet."""
    has_written: bool
    is_lost: bool
    """Whether an error has said that the lock was lost, or that nobody knows what a write has done."""
    is_writing: bool

    def __init__(self, session: Session, row: Row) -> None:
        self.session, self.version, self.state = session, row.version, row.state
        self.begun, self.answer_by, self.depth = time.monotonic(), math.inf, 1
        self.unmirrored = []
        self.has_written = self.is_lost = self.is_writing = False


class RecordLock:
    """The lock of a record: it excludes the whole fleet. It is what `get_lock()` of the value returns.

    It is re-entrant. Its holder finds the mirror up to date. If the connection is lost meanwhile, or the process is
    killed, the server gives the lock to the next one; a write of the one who has lost it is refused.

    The interface is that of `multiprocessing.RLock`.

    Args:
        record: the record.
        members: the table of the enum.
        file: the open mirror.
    """

    __slots__ = (
        "__weakref__", "_end_turn", "_file", "_hears", "_hold", "_is_turn", "_key", "_members", "_record", "_session",
        "_table", "_take_turn", "_used", "check", "mirror",
    )  # fmt: skip

    mirror: Mirror
    check: Callable[[Mapping[str, Any]], None]
    """Raises ValueError for a row with another enum."""

    def __init__(self, record: PostgresRecord, members: Members[Any], file: FileLock) -> None:
        self._record, self._members, self._file = record, members, file
        self.mirror = Mirror(file.body)
        self._table, self.check = record._table, record._check_of(members)
        # It excludes the threads of this process, which share a session. Processes queue up at the server, which is
        # fair to them.
        turn = ThreadsLock()
        self._take_turn, self._end_turn, self._is_turn = turn.acquire, turn.release, turn.is_mine
        # What follows is changed only by the thread whose turn it is.
        self._hold: _Hold | None = None
        self._session: Session | None = None
        self._hears = False  # whether that is told of releases
        self._key = 0
        self._used = 0.0  # when the session was needed last, by time.monotonic()

    def refuse_another(self, record: PostgresRecord) -> None:
        """Raise ValueError if this lock is of a record in another database."""
        if record._parameters != self._record._parameters:
            message = (
                f"{record.mirror!r} mirrors a record of another database, or of the same one by another connection "
                "string, in this process already: give each record a mirror of its own, and always the same string"
            )
            raise ValueError(message)

    @property
    def hold(self) -> _Hold | None:
        """What the calling thread has, or None if it does not hold the lock."""
        return self._hold if self._is_turn() else None

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or take it once more.

        Args:
            block: whether to wait while somebody else holds it.
            timeout: how many seconds to wait at most, for the network as well; None waits for ever for the lock, but
                30 seconds for an answer of the server; zero or less does not wait for the lock.

        Returns:
            True once it is held; False if it could not be had in time.

        Raises:
            ConnectionError, TimeoutError: the database is not there, or somebody has locked the table. Nothing was
                written.
            PermissionError, FileNotFoundError: something has to be set up in the database; or the server is a standby;
                or the mirror was opened with `readonly=True`.
            ValueError: the record is of another enum, or a pooler is in the way; or the timeout is not a number (NaN).
            RuntimeError: a signal handler asks for it while its thread is about to take it.
        """
        deadline = math.inf if timeout is None else moment(timeout)
        if not block or deadline <= time.monotonic():
            deadline = -math.inf  # not to wait for the lock. But the server needs some time to answer
        fork.notice()
        if self._is_turn():
            if self._hold is None:
                message = (
                    "a signal handler can not take the lock of a record while its thread takes it or gives it back: "
                    "try again later"
                )
                raise RuntimeError(message)
            self._hold.depth += 1
            return True
        try:
            if not self._take_turn(block, timeout):
                return False
            if self._hold is not None:  # a thread that held it has ended
                self._drop()
            self._hold = self._lock(deadline)
            if self._hold is None:
                self._give_up(close=False)
                return False
            return True
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
        hold = self.hold
        if hold is None:
            message = f"cannot release {self!r}"
            raise RuntimeError(message)
        if hold.depth > 1:
            hold.depth -= 1
            return False, False
        is_held = False
        try:
            self._hold = None  # a signal handler that comes from here on gets an error
            if not (hold.session.is_closed or hold.is_lost):
                present = time.monotonic()
                # Others may have left the server's queue by now.
                tell = present - hold.begun > _QUEUE
                deadline = min(hold.answer_by + GRACE, present + PROMPT)
                with suppress(OSError):  # if it does not answer, the connection is closed, which gives the lock back
                    is_held = self._table.unlock(hold.session, self._key, deadline, tell)
            self._give_up(close=not is_held)
        except BaseException:
            self._give_up()
            raise
        return not (is_held or hold.is_lost), hold.has_written

    def _is_mine(self) -> bool:
        return self.hold is not None

    def _drop(self) -> None:
        self._hold = None
        if self._session is not None:
            self._session.close()  # and then forgotten: an interrupt may come between the two
        self._session = None

    def _give_up(self, *, close: bool = True) -> None:
        """Hold nothing any more, whatever was done before."""
        if not self._is_turn():
            return
        try:
            self._hold = None
            if close:
                self._drop()
            if self._session is not None:
                self._used = time.monotonic()
                _close_later(self)
            self._end_turn()
        except BaseException:  # KeyboardInterrupt, in the middle
            if self._is_turn():
                self._drop()
                self._end_turn()
            raise

    def close_if_idle(self) -> bool:
        """Close the session if it was not used for a while. Return whether there is none any more."""
        if self._take_turn(False):
            try:
                if self._hold is None and time.monotonic() - self._used >= _IDLE:
                    self._drop()
            finally:
                self._end_turn()
        return self._session is None

    def _lock(self, deadline: float) -> _Hold | None:
        """Take the lock of the fleet and bring the mirror up to date. Return None if it was not free in time."""
        while True:
            question = self.mirror.asking()
            is_old = self._session is not None and not self._session.is_closed
            try:
                row = self._locked_row(deadline)
            except ConnectionError:
                if not (is_old and self._session is not None and self._session.is_closed):
                    raise
                # The server may have closed a connection that was not used for a while. A new one says whether it is
                # there.
                row = self._locked_row(deadline)
            if row is None:
                return None
            found = row
            self.check(found.description)
            left = min(max(0.0, deadline - time.monotonic()), _MIRRORING)
            session = self._session
            assert session is not None
            if _with_file(self._file, lambda: self.mirror.catch_up(found, question), left):  # noqa: B023 # it is called
                return _Hold(session, found)
            # The rest of the fleet does not have to wait for somebody who is stopped on this machine.
            self._drop()
            if time.monotonic() >= deadline:
                return None

    def _connected(self, deadline: float) -> Session:
        """Return the session of this process, which is made if there is none."""
        session = self._session
        if session is None or session.is_closed:
            begun = time.monotonic()
            answer_by = begun + PROMPT if deadline == -math.inf else min(deadline, begun + PATIENCE)
            session = self._session = self._record._session(answer_by)
            self._hears = False
            if session.is_standby:  # its lock would exclude nobody
                raise PermissionError(NEEDS_PRIMARY)
            self._key = self._table.key(session, answer_by)
        return session

    def _locked_row(self, deadline: float) -> Row | None:
        """Take the lock of the fleet, and return the row. Return None if it was not free in time."""
        session = self._connected(deadline)
        try:
            row = self._ask_for_lock(session, deadline, wait=False)
            while row is None and time.monotonic() < deadline:
                row = self._ask_for_lock(session, deadline, wait=True)
                if row is None:
                    row = self._stand_aside(session, deadline)
        except (ConnectionError, TimeoutError) as error:
            if not session.is_closed:  # the server has answered, and the text says what
                raise
            message = f"{error}. Nothing was written"
            raise type(error)(message) from None
        return row

    def _ask_for_lock(self, session: Session, deadline: float, *, wait: bool) -> Row | None:
        """Ask for the lock once, and return the row if it was granted within `_QUEUE` seconds."""
        begun = time.monotonic()
        if deadline == -math.inf:
            limit, answer_by = PROMPT, begun + PROMPT
        else:
            limit, answer_by = min(deadline - begun, _QUEUE), min(deadline + GRACE, begun + PATIENCE)
        try:
            return self._table.lock(session, self._key, limit, answer_by, wait=wait)
        except TimeoutError:
            if session.is_closed or time.monotonic() >= deadline:
                raise
            return None  # the table is locked, and the fleet's lock was given back

    def _stand_aside(self, session: Session, deadline: float) -> Row | None:
        """Wait a while without a statement on its way. Return the row if the lock was granted to this process."""
        end = min(deadline, time.monotonic() + _ASIDE)
        if not self._hears and end > time.monotonic():
            self._table.listen_for_release(session, self._key, min(deadline + GRACE, time.monotonic() + PATIENCE))
            self._hears = True
        while time.monotonic() < end:
            if session.notified(min(end, time.monotonic() + _LOOK)):
                return None
            row = self._ask_for_lock(session, deadline, wait=False)
            if row is not None:
                return row
        return None

    def write(self, number: int) -> None:
        """Store a state in the database, and then in the mirror. The lock must be held.

        Raises:
            ConnectionError, TimeoutError: it was not written, or nobody knows whether it was. The text says which.
            FileNotFoundError: the row was deleted.
            RuntimeError: a signal handler writes while its thread writes.
        """
        hold = self._hold
        assert hold is not None
        if hold.is_writing:
            message = "a signal handler can not write to a record while its thread writes to it: try again later"
            raise RuntimeError(message)
        hold.is_writing = True
        try:
            self._write(hold, number)
            left = min(max(0.0, hold.answer_by - time.monotonic()), _MIRRORING)
            if not _with_file(self._file, lambda: self._mirror(hold), left):
                _log.warning(
                    "the record %r was written, but not its mirror %r, whose lock was not free: a process that has it "
                    "may be stopped. Whoever follows the record will mirror this",
                    self._record.name,
                    self._file.path,
                )
        finally:
            hold.is_writing = False

    def _mirror(self, hold: _Hold) -> None:
        version = self.mirror.asking().version
        self.mirror.add([entry for entry in hold.unmirrored if entry.version > version], version)
        hold.unmirrored = []

    def _write(self, hold: _Hold, number: int) -> None:
        session = hold.session
        if hold.is_lost or session.is_closed:
            hold.is_lost = True
            raise self._loss("This was not written")
        begun = time.monotonic()
        answer_by = min(hold.answer_by, begun + PATIENCE)
        if answer_by <= begun:
            message = "the time was over before the write was sent to PostgreSQL: nothing was written"
            raise TimeoutError(message)
        hold.is_lost = True  # until the outcome is known: an interrupt may come at any point
        failure: OSError
        try:
            entry = self._table.write(session, self._key, hold.version, number, os.getpid(), answer_by)
        except (OSError, RuntimeError) as error:
            hold.is_lost = session.is_closed
            if not (session.is_closed and isinstance(error, (ConnectionError, TimeoutError))):
                raise
            failure = error
        else:
            if entry is None:
                raise self._refusal(hold, answer_by)
            hold.unmirrored.append(entry)
            hold.version, hold.state = entry.version, number
            hold.has_written, hold.is_lost = True, False
            return
        message = (
            f"{failure}. It is not known whether this write was done: look at the value when the database is back, and "
            "write again if need be"
        )
        raise type(failure)(message)

    def _refusal(self, hold: _Hold, answer_by: float) -> OSError:
        """Return the error that says why the server has found no row to write to."""
        with suppress(ConnectionError, TimeoutError):
            row = self._table.find(hold.session, answer_by)
            if row is None:
                return FileNotFoundError(
                    f"the row of the record {self._record.name!r} was deleted while its lock was held. This was not "
                    "written: start the process that makes it, with a first member"
                )
            if row.version != hold.version:
                return ConnectionError(
                    f"the row of the record {self._record.name!r} is another one than the one whose lock was taken: "
                    f"its version is {row.version}, expected {hold.version}. It was written by hand, or its table was "
                    "restored, so that another machine may have written meanwhile. This was not written: take the lock "
                    "again"
                )
        return self._loss("This was not written")

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


# The locks whose session is open, and the thread that closes those sessions. It ends when there is none.
_resting: weakref.WeakSet[RecordLock] = weakref.WeakSet()
_closing: dict[int, threading.Thread] = {}
"""By the process, because a forked child has no such thread. `setdefault` decides who starts it."""


def _close_later(lock: RecordLock) -> None:
    """Have the session of a lock closed when it is not used for a while."""
    _resting.add(lock)
    if os.getpid() not in _closing:
        _start_closing(threading.Thread(target=_close_idle, name="multiprocessing_intenum.idle", daemon=True))


def _start_closing(thread: threading.Thread) -> None:
    if _closing.setdefault(os.getpid(), thread) is thread:
        try:
            thread.start()
        except BaseException as error:
            _closing.pop(os.getpid(), None)
            if not isinstance(error, RuntimeError):  # the interpreter is ending, which closes the sessions as well
                raise


def _close_idle() -> None:
    while _resting:
        time.sleep(_IDLE / 5)
        for reference in [weakref.ref(lock) for lock in list(_resting)]:
            _close_if_idle(reference)
    _closing.pop(os.getpid(), None)
    for lock in list(_resting):  # it has come after the last look, when this thread still seemed to be there
        _close_later(lock)


def _close_if_idle(reference: weakref.ref[RecordLock]) -> None:
    lock = reference()
    if lock is not None and lock.close_if_idle():
        _resting.discard(lock)


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

    A process that only attaches need not look if somebody has looked lately. One that has a first state makes the row
    if it was deleted.
    """
    mirror = Mirror(opened.body)
    question = mirror.asking()
    if number is not None or mirror.age() > _FRESH:
        with suppress(ConnectionError, TimeoutError):
            row = record._row(members, number, _FIRST_LOOK)
            _with_file(opened, lambda: mirror.catch_up(row, question), _MIRRORING)


class RecordCell(FileCell[T]):
    """A cell in the mirror of a record, whose writes go to the record first.

    Args:
        members: the table of the enum.
        record: the record.
        number: the first state, to make the record if there is none; None: only attach.

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
            hold = lock.hold
            assert hold is not None
            before = hold.state
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
        outer = lock.hold

        def in_time() -> R:
            hold = lock.hold
            assert hold is not None
            before, hold.answer_by = hold.answer_by, min(answer_by, hold.answer_by)
            try:
                return action()
            finally:
                if outer is not None:  # else it covers giving it back as well
                    hold.answer_by = before

        return super().locked(in_time, timeout)

    def load(self) -> T:
        """Return the member in the mirror. The holder of the lock is given that in the record, and decides on that."""
        lock = self.lock
        hold = lock.hold if isinstance(lock, RecordLock) else None
        return super().load() if hold is None else self.members[hold.state]

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
