"""The lock of a record, which excludes the whole fleet: how it is waited for, and given back whatever happens."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.mirror import Mirror, Question, Row, describe_mirror
from multiprocessing_intenum.locks.execution import moment
from multiprocessing_intenum.locks.holding import OwnedLock, ThreadsLock, operations_of
from multiprocessing_intenum.postgres.acquisition import MIRRORING, Acquisition, loss
from multiprocessing_intenum.postgres.owner import Claims
from multiprocessing_intenum.postgres.session import PATIENCE, PROMPT, Session
from multiprocessing_intenum.postgres.table import GRACE, NEEDS_PRIMARY, Table

__all__ = ["RecordLock", "close_idle", "lock_of"]

_QUEUE = 1.0
"""Seconds that a statement waits in the server's queue for the lock, or for the table, before it comes back.

Every statement that waits for an advisory lock has a snapshot. VACUUM keeps what the snapshot might see, and CREATE
INDEX CONCURRENTLY waits for its end: for ever, if the holder of the lock has called CREATE INDEX."""

_ASIDE = 4.0
"""Seconds that a process then waits without a statement before it queues up again."""

_LOOK = 0.5
"""Seconds between two looks at the lock meanwhile: a holder that is killed tells nobody."""

_IDLE = 5.0
"""Seconds without a write after which the connection of a writer is closed. To connect anew takes some milliseconds."""


class RecordLock(OwnedLock):
    """The lock of a record: it excludes the whole fleet. `get_lock()` of the value returns it.

    It is re-entrant. Its holder finds the mirror up to date. If the connection is lost meanwhile, or the process is
    killed, the server gives the lock to the next process; a write of the process that has lost it is refused.

    The interface is that of `multiprocessing.RLock`.

    Args:
        table: the record in its database.
        file: the open mirror.
        reduced: what `__reduce__` returns.
    """

    __slots__ = (
        "__weakref__", "_claims", "_file", "_hears", "_held", "_key", "_mirror", "_reduced", "_session", "_table",
        "_threads", "_used",
    )  # fmt: skip

    def __init__(self, table: Table, file: FileLock, reduced: tuple[Callable[..., Any], Any]) -> None:
        self._table, self._file, self._reduced, self._mirror = table, file, reduced, Mirror(file.body)
        # This lock excludes the threads of this process, which share a session. Processes queue up at the server, which
        # is fair to them.
        self._threads = ThreadsLock()
        # Only the thread that holds it changes what follows.
        self._claims = Claims()
        self._held: Acquisition | None = None
        self._session: Session | None = None
        self._hears = False  # whether the session is notified of releases
        self._key = 0
        self._used = 0.0  # when the session was last needed, by time.monotonic()

    @property
    def held(self) -> Acquisition | None:
        """The acquisition of the calling thread, or None if it does not hold the lock."""
        return self._held if self._threads.is_mine() else None

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or take it once more.

        Args:
            block: whether to wait while another thread or process holds it.
            timeout: how many seconds to wait at most, for the network as well; None waits for ever for the lock, but
                30 seconds for an answer of the server; zero or less does not wait for the lock.

        Returns:
            True if the lock is held now; False if it was not free in time.

        Raises:
            ConnectionError, TimeoutError: the database was not reached, or its table is locked. Nothing was written.
            PermissionError, FileNotFoundError: something has to be set up in the database; or the server is a standby;
                or the mirror was opened with `readonly=True`.
            ValueError: the record is of another enum, or a pooler is in the way; or the timeout is not a number (NaN).
            RuntimeError: a signal handler asks for it while its thread is about to take it.
        """
        deadline = math.inf if timeout is None else moment(timeout)
        if not block or deadline <= time.monotonic():
            deadline = -math.inf  # no wait for the lock, but the server needs some time to answer
        fork.notice()
        if self._threads.is_mine():
            if self._held is None:
                message = (
                    "a signal handler can not take the lock of a record while its thread takes it or gives it back: "
                    "try again later"
                )
                raise RuntimeError(message)
            self._held.depth += 1
            return True
        try:
            if not self._threads.acquire(block, timeout):
                return False
            if self._held is not None:  # a thread that held it has ended
                self._drop()
            self._held = self._lock(deadline)
            if self._held is None:
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
            what = "What was written under it before is done" if has_written else "Nothing was written"
            raise loss(self._table.name, what)

    def release_written(self) -> None:
        """Do as `release` does, but raise no error if the lock was lost after a write was done."""
        is_lost, has_written = self._free()
        if is_lost and not has_written:
            raise loss(self._table.name, "Nothing was written")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.release()
        else:  # the error of the block comes first
            self._free()

    def _free(self) -> tuple[bool, bool]:
        """Undo one `acquire`. Return whether the loss of the lock shows only now, and whether a write was done."""
        held = self.held
        if held is None:
            message = f"cannot release {self!r}"
            raise RuntimeError(message)
        if held.depth > 1:
            held.depth -= 1
            return False, False
        is_held = False
        try:
            self._held = None  # a signal handler that comes from here on gets an error
            if not (held.session.is_closed or held.is_lost):
                present = time.monotonic()
                # Others may have left the server's queue by now.
                tell = present - held.begun > _QUEUE
                deadline = min(held.answer_by + GRACE, present + PROMPT)
                with suppress(OSError):  # no answer: the lock is freed by closing the connection
                    is_held = self._table.unlock(held.session, self._key, deadline, tell)
            self._give_up(close=not is_held)
        except BaseException:
            self._give_up()
            raise
        return not (is_held or held.is_lost), held.has_written

    def _is_mine(self) -> bool:
        return self.held is not None

    def _drop(self) -> None:
        self._held = None
        if self._session is not None:
            self._session.close()  # closed first, then forgotten: an interrupt may come between
        self._session = None

    def _give_up(self, *, close: bool = True) -> None:
        """Give everything back, whatever was done before."""
        if not self._threads.is_mine():
            return
        try:
            self._held = None
            if close:
                self._drop()
            if self._session is not None:
                self._used = time.monotonic()
            self._threads.release()
        except BaseException:  # KeyboardInterrupt, in the middle
            if self._threads.is_mine():
                self._drop()
                self._threads.release()
            raise

    def close_if_idle(self) -> None:
        """Close the session if it was not used for a while."""
        if self._session is not None and self._threads.acquire(False):
            try:
                if self._held is None and time.monotonic() - self._used >= _IDLE:
                    self._drop()
            finally:
                self._threads.release()

    def _lock(self, deadline: float) -> Acquisition | None:
        """Take the lock of the fleet and bring the mirror up to date. Return None if the lock was not free in time."""
        while True:
            question = self._mirror.asking()
            row = self._twice(lambda: self._locked_row(deadline))
            if row is None:
                return None
            session = self._session
            assert session is not None
            found = self._table.described(session, row, time.monotonic() + PATIENCE)
            if self._mirrors(found, question, min(max(0.0, deadline - time.monotonic()), MIRRORING)):
                table, file, mirror, claims = self._table, self._file, self._mirror, self._claims
                return Acquisition(
                    table, self._key, file, mirror, session, claims, list(found.history), found.dead_owner
                )
            # The rest of the fleet must not wait for a process that is stopped on this machine.
            self._drop()
            if time.monotonic() >= deadline:
                return None

    def _mirrors(self, row: Row, question: Question, left: float) -> bool:
        """Bring the mirror up to date. Return False if that takes longer than `left` seconds."""
        with suppress(TimeoutError):
            describe_mirror(self._file, row, self._table.name, time.monotonic() + left)
            return operations_of(self._file).try_to_hold(lambda: self._mirror.catch_up(row, question), left)
        return False

    def _twice(self, ask: Callable[[], Row | None]) -> Row | None:
        """Return what the server says. It may have closed a connection that was not used for a while.

        A new connection shows whether the server is there.
        """
        is_old = self._session is not None and not self._session.is_closed
        try:
            return ask()
        except ConnectionError:
            if not (is_old and self._session is not None and self._session.is_closed):
                raise
            return ask()

    def is_left(self, timeout: float | None) -> bool:
        """Whether the owner of the state has ended. The lock of the fleet is not taken.

        The mirror is brought up to date.

        Args:
            timeout: how many seconds to wait for the server; zero: 2; None: 30. If a thread of this process holds the
                lock for longer, the answer is yes.

        Raises:
            ConnectionError, TimeoutError, PermissionError, FileNotFoundError, ValueError: as for `acquire`.
        """
        fork.notice()
        held = self.held
        if held is not None:
            return held.look()
        if self._threads.is_mine():  # a signal handler asks: `acquire` says so
            return True
        end = math.inf if timeout is None else time.monotonic() + (timeout or PROMPT)
        try:
            if not self._threads.acquire(timeout=timeout):
                return True
            deadline = min(end, time.monotonic() + PATIENCE)
            if self._held is not None:  # a thread that held it has ended
                self._drop()
            question = self._mirror.asking()
            row = self._twice(lambda: self._row(deadline))
            assert row is not None
            left = min(max(0.0, deadline - time.monotonic()), MIRRORING)
            self._mirrors(row, question, left)
            return row.dead_owner is not None
        finally:
            self._give_up(close=False)

    def _row(self, deadline: float) -> Row:
        return self._table.checked(self._table.find(self._connected(deadline), deadline))

    def _connected(self, deadline: float) -> Session:
        """Return the session of this process. Make one if there is none."""
        session = self._session
        if session is None or session.is_closed:
            begun = time.monotonic()
            answer_by = begun + PROMPT if deadline == -math.inf else min(deadline, begun + PATIENCE)
            session = self._session = self._table.session(answer_by)
            self._hears = False
            if session.is_standby:  # its lock would exclude nobody
                raise PermissionError(NEEDS_PRIMARY)
            self._key = self._table.key(session, answer_by)
        return session

    def _locked_row(self, deadline: float) -> Row | None:
        """Take the lock of the fleet, and return the row. Return None if the lock was not free in time."""
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
        """Ask for the lock once, and return the row if the lock was granted within `_QUEUE` seconds."""
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
        """Wait for a while, with no statement at the server. Return the row if this process got the lock."""
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

    def __repr__(self) -> str:
        held = "" if self._is_mine() else "not "
        return f"<{type(self).__name__} of the record {self._table.name!r} {held}held by this thread>"

    def __reduce__(self) -> tuple[Callable[..., Self], Any]:
        return self._reduced


# The locks of this process, by the file. A thread would wait for itself if a file had two.
_locks: weakref.WeakValueDictionary[FileLock, RecordLock] = weakref.WeakValueDictionary()
_making = fork.lock_of_threads()


def lock_of(table: Table, file: FileLock, reduced: tuple[Callable[..., Any], Any]) -> RecordLock:
    """Return the lock of a record. The arguments are those of `RecordLock`.

    Raises:
        ValueError: the file mirrors a record with another connection string.
    """
    with _making:
        lock = _locks.get(file)
        if lock is None:
            lock = _locks[file] = RecordLock(table, file, reduced)
    if table.parameters != lock._table.parameters:
        message = (
            f"this process has {file.path!r} open as the mirror of a record of another database, or with "
            "another connection string: give each record its own mirror, and always the same string"
        )
        raise ValueError(message)
    if not table.has_described:  # the database was away when it was opened: the next write describes the row
        lock._table = table
    return lock


def close_idle() -> None:
    """Close the sessions of this process that were not used for a while."""
    for reference in _locks.valuerefs():  # a copy, as other threads open and close records meanwhile
        lock = reference()
        if lock is not None:
            lock.close_if_idle()
