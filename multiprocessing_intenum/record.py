"""The row of a record in PostgreSQL, and every statement on it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, cast

from multiprocessing_intenum.session import PROMPT, ServerError, Session

__all__ = ["CREATE_TABLE", "Entry", "Found", "Row", "Table", "find_all", "listen"]

CREATE_TABLE = """\
CREATE TABLE IF NOT EXISTS multiprocessing_intenum (
    name text PRIMARY KEY,
    enum jsonb NOT NULL,      -- its name, and the names and numbers of its members
    state bigint NOT NULL,    -- the number of the member
    version bigint NOT NULL,  -- how often it has changed
    history jsonb NOT NULL    -- the last changes: [version, state, seconds since the epoch, process id]
)"""

_SELECT = "SELECT enum, state, version, history FROM multiprocessing_intenum WHERE name = "

_KEPT = 16
"""Changes in the history, besides the one before them."""

_GRACE = 0.5
"""Seconds that the answer may come after the time that the server has been told to wait for the lock."""


class Entry(NamedTuple):
    """A change, as the row has it."""

    version: int
    state: int
    time: float
    pid: int


class Row(NamedTuple):
    """What the row holds."""

    description: Mapping[str, Any]
    state: int
    version: int
    history: list[Entry]


class Table:
    """The statements on one record's row.

    Args:
        name: the name of the record.

    All methods raise ConnectionError or TimeoutError if the server does not answer, and PermissionError or
    FileNotFoundError for what has to be set up there.
    """

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str) -> None:
        self.name = name

    def create(self, session: Session, deadline: float) -> None:
        """Make the table if there is none."""
        # Two that create at once would both find no table, so they take turns.
        script = f"SELECT pg_advisory_xact_lock(hashtextextended('multiprocessing_intenum', 0)); {CREATE_TABLE}"
        try:
            session.script(script, deadline)
        except ServerError as error:
            raise _meaning(error) from None

    def find(self, session: Session, deadline: float) -> Row | None:
        """Return the row, or None if there is none."""
        return _row(self._query(session, _SELECT + "$1", (self.name,), deadline))

    def make(self, session: Session, description: Mapping[str, Any], state: int, pid: int, deadline: float) -> None:
        """Make the row, unless somebody else was faster."""
        self._query(
            session,
            "INSERT INTO multiprocessing_intenum VALUES ($1, $2, $3, 0, jsonb_build_array("
            "jsonb_build_array(0, $3::bigint, extract(epoch FROM clock_timestamp()), $4::bigint))) "
            "ON CONFLICT DO NOTHING",
            (self.name, json.dumps(description), state, pid),
            deadline,
        )

    def key(self, session: Session, deadline: float) -> int:
        """Return the number of the record's advisory lock and of its channel: another one in each schema."""
        sql = "SELECT hashtextextended($1, 'multiprocessing_intenum'::regclass::oid::bigint)"
        ((key,),) = self._query(session, sql, (self.name,), deadline)
        return int(cast("bytes", key))

    def lock(self, session: Session, key: int, deadline: float) -> Row | None:
        """Take the lock of the fleet, and return the row as it is then. Return None if it was not free in time."""
        row = _SELECT + session.literal(self.name)
        left = deadline - time.monotonic()
        if left <= 0.001:  # the server's own limit of 0 would be none
            ((taken,),) = self._query(session, f"SELECT pg_try_advisory_lock({key})", (), time.monotonic() + PROMPT)
            if taken != b"t":
                return None
            script, answer_by = row, time.monotonic() + PROMPT
        else:
            # Without a timeout it waits for its turn as long as that takes. If the server is gone, keepalives notice.
            limit = 0 if left == math.inf else min(math.ceil(1000 * left), 2**31 - 1)
            script = f"SET lock_timeout = {limit}; SELECT pg_advisory_lock({key}); {row}"
            answer_by = deadline + _GRACE
        try:
            rows = session.script(script, answer_by)
        except ServerError as error:
            if error.state == "55P03":  # lock_not_available
                return None
            raise _meaning(error) from None
        return self.required(_row(rows))

    def unlock(self, session: Session, key: int, deadline: float) -> bool:
        """Give the lock back. Return False if it was lost before."""
        ((was_held,),) = self._query(session, f"SELECT pg_advisory_unlock({key})", (), deadline)
        return bool(was_held == b"t")

    def write(self, session: Session, key: int, version: int, state: int, pid: int, deadline: float) -> Entry | None:
        """Store a state and tell the followers, if the row still has this version. Return None if it has not."""
        rows = self._query(
            session,
            "WITH written AS (UPDATE multiprocessing_intenum SET state = $2, version = version + 1, history = "
            f"CASE WHEN jsonb_array_length(history) > {_KEPT} THEN history - 0 ELSE history END || "
            "jsonb_build_array(jsonb_build_array("
            "version + 1, $2::bigint, extract(epoch FROM clock_timestamp()), $4::bigint)) "
            "WHERE name = $1 AND version = $3 AND pg_backend_pid() = $5 RETURNING history -> -1 AS entry) "
            "SELECT entry, pg_notify($6, '') FROM written",
            (self.name, state, version, pid, session.pid, channel_of(key)),
            deadline,
        )
        return _entry(*json.loads(rows[0][0])) if rows else None

    def required(self, row: Row | None) -> Row:
        """Return the row; FileNotFoundError if there is none."""
        if row is None:
            message = f"there is no record {self.name!r}: start the process that makes it, with a first member"
            raise FileNotFoundError(message)
        return row

    @staticmethod
    def _query(session: Session, sql: str, arguments: Sequence[object], deadline: float) -> Any:
        try:
            return session.query(sql, arguments, deadline)
        except ServerError as error:
            raise _meaning(error) from None


def channel_of(key: int) -> str:
    """Return the name of the channel on which writes are notified."""
    return f"multiprocessing_intenum_{key % 2**64:016x}"


def _entry(version: int, state: int, at: float, pid: int) -> Entry:
    return Entry(version, state, at, pid & 0xFFFFFFFF)  # a mirror has 32 bits for it


def _row(rows: list[list[Any]]) -> Row | None:
    if not rows:
        return None
    ((description, state, version, history),) = rows
    row = Row(json.loads(description), int(state), int(version), [_entry(*each) for each in json.loads(history)])
    if [(each.version, each.state) for each in row.history[-1:]] != [(row.version, row.state)]:
        # Somebody has written the state by hand. Nobody knows when.
        row.history.append(Entry(row.version, row.state, time.time(), 0))
    return row


def _meaning(error: ServerError) -> OSError:
    """Return what a refusal means to the user."""
    if error.state == "42P01":  # undefined_table
        return FileNotFoundError(
            "the database has no table multiprocessing_intenum (in the schemas of its search_path): make it once with "
            "the statement in the documentation, or give PostgresRecord(..., create=True)"
        )
    if error.state in ("42501", "25006"):  # insufficient_privilege, read_only_sql_transaction
        return PermissionError(
            f"PostgreSQL refuses: {error}. The user needs SELECT, INSERT and UPDATE on the table "
            "multiprocessing_intenum, on a server that is no standby; with create=True also CREATE on the schema"
        )
    return ConnectionError(f"PostgreSQL refuses, nothing was written: {error}")


class Found(NamedTuple):
    """What there is of one of several records."""

    channel: str
    columns: list[Any]
    """The columns of the row; all None if there is none."""

    def row(self) -> Row | None:
        """Return the row, or None if there is none.

        Raises:
            ValueError: the row has something else in it than this library writes.
        """
        try:
            return None if self.columns[0] is None else _row([self.columns])
        except (LookupError, TypeError, ValueError) as error:
            message = f"its row has something else in it than this library writes ({error})"
            raise ValueError(message) from None


def find_all(session: Session, names: Sequence[str], deadline: float) -> dict[str, Found]:
    """Return what there is of each of these records. Errors are those of `Table`."""
    asked = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    sql = (
        "SELECT name, hashtextextended(name, 'multiprocessing_intenum'::regclass::oid::bigint), "
        f"enum, state, version, history FROM unnest(ARRAY[{asked}]::text[]) AS asked (name) "
        "LEFT JOIN multiprocessing_intenum USING (name)"
    )
    rows = Table._query(session, sql, names, deadline)
    return {name.decode(): Found(channel_of(int(key)), columns) for name, key, *columns in rows}


def listen(session: Session, channels: AbstractSet[str], no_more: AbstractSet[str], deadline: float) -> None:
    """Have the session notified of each write on these channels, and no more on those."""
    statements = [f"UNLISTEN {each}" for each in no_more] + [f"LISTEN {each}" for each in channels]
    try:
        session.script("; ".join(statements), deadline)
    except ServerError as error:
        if error.state != "25006":  # a standby notifies nobody: it has to be asked again and again
            raise _meaning(error) from None
