"""docs/examples/django_fleet: the migration, the connection string made of Django's settings, two machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from postgres_server import DEADLINE

from multiprocessing_intenum.postgres.table import CREATE_TABLE

if TYPE_CHECKING:
    from postgres_server import Server

PROJECT = Path(__file__).resolve().parents[2] / "docs" / "examples" / "django_fleet"

VISIT = """
import django, json, sys
django.setup()
from django.test import Client
from multiprocessing_intenum import wait_for
from fleet.mode import fleet_mode

def visit():
    answer = Client().get("/")
    return answer.status_code, answer.content.decode()

found = [visit()]
for line in sys.stdin:
    verb, name = line.split()
    if verb == "set":
        fleet_mode().set(name)
    else:
        wait_for(fleet_mode(), name, timeout=60)
    found.append(visit())
print(json.dumps(found))
"""

OPEN, CLOSED = [200, "open"], [503, "in maintenance"]


class Machine:
    """A machine of the fleet: the project with a mirror of its own."""

    def __init__(self, server: Server, mirror: Path) -> None:
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings",
            "DATABASE_HOST": server.host,
            "DATABASE_PORT": str(server.port),
            "FLEET_MIRROR": str(mirror),
            "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]),
        }

    def run(self, *arguments: str, given: str = "") -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, env=self._environment, cwd=PROJECT, input=given, capture_output=True, text=True,
            timeout=DEADLINE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def machines(app_database: Server, tmp_path: Path) -> list[Machine]:
    app_database.ask("ALTER DATABASE app OWNER TO app")  # for Django's own tables
    return [Machine(app_database, tmp_path / name) for name in ("here", "there")]


def test_the_migration_makes_the_table_and_a_write_reaches_the_other_machine(machines: list[Machine]):
    here, there = machines
    assert "Applying fleet.0001_table... OK" in here.run("-m", "django", "migrate")
    assert json.loads(here.run("-c", VISIT, given="set MAINTENANCE")) == [OPEN, CLOSED]
    assert json.loads(there.run("-c", VISIT, given="wait MAINTENANCE\nset NORMAL")) == [CLOSED, CLOSED, OPEN]
    assert json.loads(here.run("-c", VISIT, given="wait NORMAL\n"))[-1] == OPEN
    here.run("-m", "django", "migrate", "fleet", "zero")
    assert "Applying fleet.0001_table... OK" in there.run("-m", "django", "migrate")


def test_django_itself_finds_no_fault_with_the_project(machines: list[Machine]):
    machines[0].run("-m", "django", "check", "--fail-level", "WARNING")
    machines[0].run("-m", "django", "makemigrations", "--check")


def test_the_migration_has_the_statement_of_the_library():
    migration = (PROJECT / "fleet" / "migrations" / "0001_table.py").read_text("utf-8")
    assert f'"""\\\n{CREATE_TABLE}"""' in migration
