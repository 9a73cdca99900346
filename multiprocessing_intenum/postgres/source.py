"""A record in its database: how it is reached, found and made, and whether it is of the expected enum."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from multiprocessing_intenum.by_path.mirror import Row
from multiprocessing_intenum.enums.members import Members
from multiprocessing_intenum.enums.schema import description_of_enum, enum_difference
from multiprocessing_intenum.postgres.session import Session
from multiprocessing_intenum.postgres.table import Table

__all__ = ["Source"]


class Source:
    """A record in its database.

    Args:
        parameters: those of the connection.
        name: the name of the record.
        create: whether to make the table if there is none.
    """

    __slots__ = ("_create", "name", "parameters", "table")

    parameters: Mapping[str, str]
    name: str
    table: Table
    """The statements on the row."""

    def __init__(self, parameters: Mapping[str, str], name: str, *, create: bool) -> None:
        self.parameters, self.name, self.table, self._create = parameters, name, Table(name), create

    def row(self, members: Members[Any], number: int | None, limit: float) -> Row:
        """Return the row of the record. If there is none, make it with the first state, if that is given.

        Raises:
            ConnectionError, TimeoutError, PermissionError, FileNotFoundError: see `table.Table`.
            ValueError: the record is of another enum, or a pooler is in the way.
        """
        deadline = time.monotonic() + limit
        session = self.session(deadline)
        try:
            table = self.table
            if self._create and not session.is_standby:
                table.create(session, deadline)
            row = table.find(session, deadline)
            if row is None and number is not None:
                table.make(session, description_of_enum(members), number, os.getpid(), deadline)
                row = table.find(session, deadline)
            row = table.required(row)
        finally:
            session.close()
        self.check_of(members)(row.description)
        return row

    def session(self, deadline: float) -> Session:
        """Return a session that can hold the lock.

        Raises:
            ConnectionError, TimeoutError: see `session.Session`.
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

    def check_of(self, members: Members[Any]) -> Callable[[Mapping[str, Any]], None]:
        """Return a function that raises ValueError for a row with another enum."""
        expected = description_of_enum(members)

        def check(found: Mapping[str, Any]) -> None:
            if found == expected:  # nearly always, at each write and each look of the follower
                return
            difference = enum_difference(found, expected, f"the record {self.name!r}")
            if difference:
                message = (
                    f"{difference}. Give another name, or stop all processes that use this record, and then delete its "
                    "row or write the new enum into it, as the documentation says. It was left as it is"
                )
                raise ValueError(message)

        return check
