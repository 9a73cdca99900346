"""A record in its database: how it is reached, found and made, and every statement on its row."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from multiprocessing_intenum.by_path.mirror import Claim, Row, RowChange
from multiprocessing_intenum.enums.members import Members
from multiprocessing_intenum.enums.schema import description_of_enum, enum_difference, grown
from multiprocessing_intenum.enums.transitions import Transitions
from multiprocessing_intenum.postgres.columns import COLUMNS, NOW, TOKEN, added, change_of, row_of, sql_of
from multiprocessing_intenum.postgres.session import ServerError, Session

__all__ = ["CREATE_TABLE", "GRACE", "NEEDS_PRIMARY", "Found", "Table", "find_all", "listen"]

CREATE_TABLE = """\
CREATE TABLE IF NOT EXISTS multiprocessing_intenum (
    name text PRIMARY KEY,
    enum jsonb NOT NULL,      -- its name, the numbers of its members, the transitions
    state bigint NOT NULL,    -- the number of the member
    version bigint NOT NULL,  -- how often it has changed
    history jsonb NOT NULL    -- the last changes: [version, state, time, pid, claim]
)"""

_SELECT = f"SELECT {COLUMNS} FROM multiprocessing_intenum WHERE name = "

GRACE = 0.5
"""Seconds by which a write may outlast its timeout, whatever the server does."""


NEEDS_PRIMARY = (
    "Nobody can write to this server: it is a standby, or default_transaction_read_only is on. A write needs the "
    "primary: leave target_session_attrs out of the connection string, and name the host of the primary in it"
)


def _key_of(name: str) -> str:
    """Return the SQL of a record's key.

    The key comes from names, not from the table's OID: a table that was dropped and restored has another OID, but
    processes that opened it before must exclude processes that opened it afterwards.
    """
    return (
        f"hashtextextended({name}, hashtextextended((SELECT nspname FROM pg_class JOIN pg_namespace "
        "ON pg_namespace.oid = relnamespace WHERE pg_class.oid = 'multiprocessing_intenum'::regclass), 0))"
    )


class Table:
    """The table, as one record uses it: the sessions with its server, and the statements on the record's row.

    Args:
        parameters: those of the connection.
        name: the name of the record.
        members: the table of its enum.
        transitions: those that its class declares.
        create: whether to make the table if there is none.

    All methods raise ConnectionError or TimeoutError if the server does not answer, and PermissionError or
    FileNotFoundError for what has to be set up there.
    """

    __slots__ = ("_create", "_enum", "has_described", "name", "parameters")

    parameters: Mapping[str, str]
    name: str
    has_described: bool
    """Whether the row says all about our enum and our transitions."""

    def __init__(
        self,
        parameters: Mapping[str, str],
        name: str,
        members: Members[Any],
        transitions: Transitions | None = None,
        *,
        create: bool,
    ) -> None:
        self.parameters, self.name, self._create = parameters, name, create
        self._enum = description_of_enum(members, transitions)
        self.has_described = False

    def row(self, number: int | None, limit: float) -> Row:
        """Return the row of the record. If there is none, make it with the first state, if that is given.

        Raises:
            ValueError: the record is of another enum, or a pooler is in the way.
        """
        deadline = time.monotonic() + limit
        session = self.session(deadline)
        try:
            if self._create and not session.is_standby:
                # Two processes that create it at once would both find no table, so they take turns.
                turn = "SELECT pg_advisory_xact_lock(hashtextextended('multiprocessing_intenum', 0))"
                _asked(session.script, f"{turn}; {CREATE_TABLE}", deadline)
            row = self.find(session, deadline)
            if row is None and number is not None:
                self._make(session, number, deadline)
                row = self.find(session, deadline)
            return self.described(session, self.checked(row), deadline)
        finally:
            session.close()

    def session(self, deadline: float) -> Session:
        """Return a session that can hold the lock.

        Raises:
            ValueError: a pooler is in the way.
        """
        session = Session(self.parameters, deadline)
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
        """Whether two connections share a session of the server, or one of them changes its session."""
        other = Session(self.parameters, deadline)
        try:
            for _ in range(5):
                pids = [each.query("SELECT pg_backend_pid()", (), deadline) for each in (session, other, session)]
                if pids[0] != pids[2] or pids[0] == pids[1]:
                    return True
        finally:
            other.close()
        return False

    def checked(self, row: Row | None) -> Row:
        """Return the row. FileNotFoundError: there is none. ValueError: it has another enum."""
        if row is None:
            message = f"there is no record {self.name!r}: start the process that makes it, with a first member"
            raise FileNotFoundError(message)
        if row.description != self._enum:  # hardly ever, at each write and each look of the follower
            difference = enum_difference(row.description, self._enum, f"the record {self.name!r}")
            if difference:
                message = (
                    f"{difference}. Give another name, or stop all processes that use this record, and then delete its "
                    "row or take the old names out of it, as the documentation says. It was left as it is"
                )
                raise ValueError(message)
        return row

    def adds_to(self, description: Mapping[str, Any]) -> bool:
        """Whether the record, or its mirror, is to be described anew."""
        return grown(description, self._enum) is not description

    def described(self, session: Session, row: Row, deadline: float) -> Row:
        """Return the row, after it was described anew if our enum has more.

        The transitions of our class are written once, because the last class that is opened decides.
        """
        ours = {name: each for name, each in self._enum.items() if not (self.has_described and name == "transitions")}
        while True:
            description = grown(row.description, ours)
            if description is row.description or session.is_standby:  # nobody can write to that one
                self.has_described = not session.is_standby
                return row
            sql = "UPDATE multiprocessing_intenum SET enum = $2 WHERE name = $1 AND enum = $3::text::jsonb"
            _asked(session.query, sql, (self.name, json.dumps(description), json.dumps(row.description)), deadline)
            row = self.checked(self.find(session, deadline))  # another process may have been faster

    def find(self, session: Session, deadline: float) -> Row | None:
        """Return the row, or None if there is none."""
        return row_of(_asked(session.query, _SELECT + "$1", (self.name,), deadline))

    def _make(self, session: Session, state: int, deadline: float) -> None:
        """Make the row, unless another process was faster."""
        _asked(
            session.query,
            "INSERT INTO multiprocessing_intenum VALUES ($1, $2, $3, 0, jsonb_build_array("
            "jsonb_build_array(0, $3::bigint, extract(epoch FROM clock_timestamp()), $4::bigint))) "
            "ON CONFLICT DO NOTHING",
            (self.name, json.dumps(self._enum), state, os.getpid()),
            deadline,
        )

    def key(self, session: Session, deadline: float) -> int:
        """Return the number of the record's advisory lock and of its channel. Each schema has another number."""
        ((key,),) = _asked(session.query, f"SELECT {_key_of('$1')}", (self.name,), deadline)
        return int(key)

    def lock(self, session: Session, key: int, limit: float, deadline: float, *, wait: bool) -> Row | None:
        """Take the lock of the fleet, and return the row as it is then. Return None if the lock was not free in time.

        Unless a row is returned, the lock is given back, or the session is closed: the lock may have been granted
        before the failure, or at the same moment.

        Args:
            session: the session that is to have the lock.
            key: what `key` has returned.
            limit: seconds that the server waits for the lock, if `wait` is true, and for the table.
            deadline: when the server's answer must be there.
            wait: whether to queue up. The server is fair to the queue: a session that only tries can not overtake it.

        Raises:
            TimeoutError: also if the lock was free, but the table is locked.
        """
        limit_ms = min(max(1, math.ceil(1000 * limit)), 2**31 - 1)  # 0 would be no limit
        script = (
            f"SET LOCAL lock_timeout = {limit_ms}; "
            f"SELECT {f'true FROM pg_advisory_lock({key})' if wait else f'pg_try_advisory_lock({key})'}; "
            f"{_SELECT}{session.literal(self.name)}"
        )
        try:
            _, ((is_granted,),), rows = session.scripts(script, deadline)
            if is_granted == b"t":
                return self.checked(row_of(rows))
        except ServerError as error:
            self._give_back(session, deadline)
            if error.state != "55P03":  # lock_not_available
                raise _meaning(error) from None
            if error.done > 1:
                message = (
                    "the table multiprocessing_intenum is locked by another session (ALTER TABLE, VACUUM FULL, LOCK "
                    "TABLE): nothing was written"
                )
                raise TimeoutError(message) from None
        except BaseException:  # there is no row, or it has another enum; or an interrupt, at any point
            session.close()
            raise
        return None

    def _give_back(self, session: Session, deadline: float) -> None:
        """Give back all locks, whether or not one was granted."""
        try:
            session.script("SELECT pg_advisory_unlock_all()", deadline)
        except BaseException as error:
            session.close()
            if not isinstance(error, (ServerError, OSError)):
                raise

    def unlock(self, session: Session, key: int, deadline: float, tell: bool = False) -> bool:
        """Give the lock back. Return False if it was lost before.

        Args:
            session: the session that has the lock.
            key: what `key` has returned.
            deadline: when the server's answer must be there.
            tell: whether to notify the processes that wait outside the server's queue.
        """
        told = f", pg_notify('{_channel_of_releases(key)}', '')" if tell else ""
        ((was_held, *_),) = _asked(session.script, f"SELECT pg_advisory_unlock({key}){told}", deadline)
        return bool(was_held == b"t")

    def listen_for_release(self, session: Session, key: int, deadline: float) -> None:
        """Have the session notified when `unlock` says that the lock is free."""
        _asked(session.script, f"LISTEN {_channel_of_releases(key)}", deadline)

    def write(
        self, session: Session, key: int, version: int, state: int, deadline: float, claim: Claim | None = None
    ) -> RowChange | None:
        """If the row still has this version, store a state and notify the followers; else return None.

        `claim`: which process owns the state from then on.
        """
        entry = f"version + 1, ({state})::bigint, {NOW}, {os.getpid()}{sql_of(claim)}"
        return self._write(session, key, version, f"state = {state}, version = version + 1, {added(entry)}", deadline)

    def adopt(self, session: Session, key: int, last: RowChange, claim: Claim, deadline: float) -> RowChange | None:
        """Do the same with the present state, without a change: another process owns it from then on.

        Args:
            session: the session that has the lock.
            key: what `key` has returned.
            last: the last change of the row. If the state was written by hand, the history does not have it.
            claim: which process owns the state.
            deadline: when the server's answer must be there.
        """
        entry = f"version, state, {last.time!r}::float8, {last.pid}{sql_of(claim)}"
        kept = "CASE WHEN history -> -1 -> 0 = to_jsonb(version) AND history -> -1 -> 1 = to_jsonb(state) "
        kept += "THEN history - -1 ELSE history END"
        return self._write(session, key, last.version, added(entry, kept), deadline)

    def reap(
        self, session: Session, key: int, version: int, dead: Claim, deadline: float, wait: float = math.inf
    ) -> RowChange | None:
        """If the owner of the state is dead, and no other session has the lock of the fleet, store what follows.

        Return None if the row is another one by now, or is locked. The session need not have the lock of the fleet.

        Args:
            session: any session with the server.
            key: what `key` has returned.
            version: the version of the row, as it was read.
            dead: the claim in it.
            deadline: when the server's answer must be there.
            wait: seconds that the server waits at most for the table.
        """
        entry = f"version + 1, ({dead.on_death})::bigint, {NOW}, {dead.pid}"
        changed = f"state = {dead.on_death}, version = version + 1, {added(entry)} FROM turn"
        # The first lock is that of the fleet, so no holder finds its row changed. The row is read once more if another
        # session has written it after this statement began. So of all that look at once, one writes.
        turn = f"turn AS (SELECT pg_try_advisory_xact_lock({key}) AS is_mine), "
        condition = f" AND is_mine AND {TOKEN} = '{dead.token}' AND pg_try_advisory_xact_lock_shared({dead.token})"
        return self._write(session, key, version, changed, deadline, condition, turn, wait)

    def _write(
        self,
        session: Session,
        key: int,
        version: int,
        change: str,
        deadline: float,
        condition: str = "",
        turn: str = "",
        wait: float = math.inf,
    ) -> RowChange | None:
        # If the table is locked, the server says before the deadline that it has not written.
        left = max(1, math.floor(1000 * min(wait, deadline - time.monotonic())))
        script = (
            f"SET LOCAL lock_timeout = {left}; WITH {turn}written AS (UPDATE multiprocessing_intenum SET {change} "
            f"WHERE name = {session.literal(self.name)} AND version = {version} AND pg_backend_pid() = {session.pid}"
            f"{condition} RETURNING history -> -1 AS entry) "
            f"SELECT entry, pg_notify('{channel_of(key)}', '') FROM written"
        )
        rows = _asked(session.script, script, deadline + GRACE / 2)
        return change_of(*json.loads(rows[0][0])) if rows else None

    def lock_token(self, session: Session, token: int, deadline: float) -> None:
        """Have the session hold the lock by which others see that this process lives."""
        _asked_before_write(session, f"SELECT pg_advisory_lock({token})", deadline)

    def lives(self, session: Session, token: int, deadline: float) -> bool:
        """Whether any session holds the lock of this token."""
        ((is_free,),) = _asked_before_write(session, f"SELECT pg_try_advisory_xact_lock_shared({token})", deadline)
        return bool(is_free != b"t")


def _asked(ask: Callable[..., Any], *arguments: object) -> Any:
    """Return what the server answers. If it refuses, raise what that means to the user."""
    try:
        return ask(*arguments)
    except ServerError as error:
        raise _meaning(error) from None


def _asked_before_write(session: Session, sql: str, deadline: float) -> Any:
    """Return what the server answers to a question without which nothing is written."""
    try:
        return _asked(session.script, sql, deadline)
    except (ConnectionError, TimeoutError) as error:
        if not session.is_closed:  # the server has answered, and the text says what
            raise
        message = f"{error}. Nothing was written"
        raise type(error)(message) from None


def channel_of(key: int) -> str:
    """Return the name of the channel on which writes are notified."""
    return f"multiprocessing_intenum_{key % 2**64:016x}"


def _channel_of_releases(key: int) -> str:
    return f"{channel_of(key)}_free"


def _meaning(error: ServerError) -> OSError:
    """Return what a refusal means to the user."""
    if error.state == "42P01":  # undefined_table
        return FileNotFoundError(
            "the database has no table multiprocessing_intenum (in the schemas of its search_path): make it once with "
            "the statement in the documentation, or give PostgresRecord(..., create=True)"
        )
    if error.state == "42501":  # insufficient_privilege
        return PermissionError(
            f"PostgreSQL refuses: {error}. The user needs SELECT, INSERT and UPDATE on the table "
            "multiprocessing_intenum; with create=True also CREATE on the schema"
        )
    if error.state == "25006":  # read_only_sql_transaction
        return PermissionError(f"PostgreSQL refuses: {error}. {NEEDS_PRIMARY}")
    if error.state == "55P03":
        return TimeoutError(
            f"the table multiprocessing_intenum is locked by another session, nothing was written: {error}"
        )
    return ConnectionError(f"PostgreSQL refuses, nothing was written: {error}")


class Found(NamedTuple):
    """What the database has of one record."""

    key: int
    """What `Table.key` returns."""
    columns: list[Any]
    """The columns of the row; all None if there is none."""

    @property
    def channel(self) -> str:
        """The channel on which its writes are notified."""
        return channel_of(self.key)

    def row(self) -> Row | None:
        """Return the row, or None if there is none.

        Raises:
            ValueError: the row holds something that this library does not write.
        """
        try:
            return None if self.columns[0] is None else row_of([self.columns])
        except (LookupError, TypeError, ValueError) as error:
            message = f"its row holds something that this library does not write ({error})"
            raise ValueError(message) from None


def find_all(session: Session, names: Sequence[str], deadline: float) -> dict[str, Found]:
    """Return what the database has of each of these records. Errors are those of `Table`."""
    asked = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    sql = (
        f"SELECT name, {_key_of('name')}, {COLUMNS} "
        f"FROM unnest(ARRAY[{asked}]::text[]) AS asked (name) LEFT JOIN multiprocessing_intenum USING (name)"
    )
    rows = _asked(session.query, sql, names, deadline)
    return {name.decode(): Found(int(key), columns) for name, key, *columns in rows}


def listen(session: Session, channels: AbstractSet[str], no_more: AbstractSet[str], deadline: float) -> None:
    """Have the session notified of each write on `channels`, and no longer on `no_more`."""
    statements = [f"UNLISTEN {each}" for each in no_more] + [f"LISTEN {each}" for each in channels]
    try:
        session.script("; ".join(statements), deadline)
    except ServerError as error:
        if error.state != "25006":  # a standby notifies nobody: the follower has to ask again and again
            raise _meaning(error) from None
