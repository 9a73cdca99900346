"""`PostgresRecord`, a state of record in PostgreSQL for processes on several machines, and `confirmed`."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from multiprocessing_intenum.by_path.cell import FileCell
from multiprocessing_intenum.by_path.mirror import Mirror
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.enums.members import EnumMember, Members
from multiprocessing_intenum.enums.transitions import Rules
from multiprocessing_intenum.locks.holding import LockLike
from multiprocessing_intenum.postgres.cell import RecordCell
from multiprocessing_intenum.postgres.hosts import parameters_of
from multiprocessing_intenum.postgres.table import Table
from multiprocessing_intenum.value import HasCell, cell_of

__all__ = ["PostgresRecord", "confirmed"]

T = TypeVar("T", bound=EnumMember)


class PostgresRecord:
    """A state of record in PostgreSQL, for `at=`. All machines that use the same database share it.

    Each machine has a mirror of the record: a file like that of a value by path. Reads, waiting and the command line
    use the mirror, and cost as much as with a value by path. Every write is decided in the database, under a lock of
    the whole fleet, and then mirrored. One process of each machine follows the record, and brings the mirror up to
    date, usually within milliseconds. The row describes the largest version of the enum that has opened it, and has the
    transitions of the last class that declared some.

    Args:
        conninfo: the connection string, as for `psycopg.connect`. It is not shown in errors or in the repr.
        name: the name of the record in the table `multiprocessing_intenum`.
        mirror: the path of the file, or a `SharedFile`, whose `keep` has no effect. A machine has one mirror of each
            record, and a mirror has one record.
        create: make the table if there is none.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: `conninfo` is no connection string, or `name` is empty.

    Example:
        >>> PostgresRecord("postgresql://app:secret@db.example/app", "mode", mirror="/run/app/mode")
        PostgresRecord(..., 'mode', mirror=SharedFile('/run/app/mode'))

    PostgreSQL's advisory locks and NOTIFY do the work; the fence is that of Kleppmann, "How to do distributed locking".
    """

    __slots__ = ("_create", "_parameters", "mirror", "name")

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
        self.name, self._parameters, self._create = name, parameters_of(conninfo), bool(create)
        given = mirror if isinstance(mirror, SharedFile) else SharedFile(mirror)
        # `keep` is left out: a mirror goes on with what it has, and the first look at the record corrects it.
        self.mirror = SharedFile(given.path, mode=given.mode, readonly=given.readonly)

    def __repr__(self) -> str:
        create = ", create=True" if self._create else ""
        return f"{type(self).__name__}(..., {self.name!r}, mirror={self.mirror!r}{create})"

    def _open_cell(self, members: Members[T], number: int | None, lock: LockLike | None, rules: Rules) -> Cell[T]:
        """Return the cell of a value: see `by_path.cell.open_cell`."""
        if lock is not None:
            message = "a record has the lock of the whole fleet: leave lock= out, and use get_lock() of the value"
            raise TypeError(message)
        table = Table(self._parameters, self.name, members, rules.transitions, create=self._create)
        return RecordCell(members, self, table, self.mirror, number, rules)


def confirmed(status: HasCell[Any]) -> float:
    """Return how many seconds ago this machine's mirror was known to agree with the record.

    While the database can be reached and the process that follows the record runs, this is little more than a second.
    The state of the record may have changed since then. Each machine measures with its own clock, from one look at the
    record to the next; no clocks are compared.

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
