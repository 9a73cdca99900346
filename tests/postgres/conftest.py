from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from postgres_server import Server, running_server

from multiprocessing_intenum.postgres import PostgresRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Machine = Callable[..., PostgresRecord]


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """A server that runs and has the table, with no row in it."""
    running.ask("DROP TABLE IF EXISTS multiprocessing_intenum")
    running.make_table()
    return running


@pytest.fixture
def machine(server: Server, tmp_path: Path) -> Machine:
    """Return the record as a machine of this name has it: a machine is a mirror."""

    def record(name: str = "one", conninfo: str = "", **options: object) -> PostgresRecord:
        return PostgresRecord(conninfo or server.conninfo, "mode", mirror=tmp_path / name, **options)  # type: ignore[arg-type]

    return record
