"""docs/howto/postgres.md, and the docstrings of the modules that need psycopg: they do what they say."""

from __future__ import annotations

import doctest
import enum
import importlib
import inspect
import pickle
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest
from helpers import NEED_PSYCOPG
from pages import DEADLINE, DOCS, OPTIONS, PARSERS, run_page
from sybil.parsers.myst import CodeBlockParser

from multiprocessing_intenum import IntEnumValue, exchange, postgres, wait_for
from multiprocessing_intenum.postgres import PostgresRecord, confirmed
from multiprocessing_intenum.postgres.table import CREATE_TABLE

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Server
    from sybil import Example

PAGE = DOCS / "howto" / "postgres.md"
TEXT = PAGE.read_text("utf-8")
CONNINFO, DIRECTORY = "postgresql://app:secret@db.example/app", "/run/app"


class Mode(enum.IntEnum):
    NORMAL = 1
    MAINTENANCE = 2


class OtherMode(enum.IntEnum):
    NORMAL = 1
    MAINTENANCE = 3


FleetMode = IntEnumValue[Mode]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def as_admin(server: Server, sql: str) -> None:
    with server.connect(dbname="app") as connection:
        connection.execute(sql)


@pytest.fixture
def server(app_database: Server) -> Server:
    """A server with the users and the database of the page, and the table and the rights that it tells to make."""
    for sql in blocks("sql")[:2]:
        as_admin(app_database, sql)
    return app_database


def conninfo(server: Server, user: str = "app") -> str:
    return f"postgresql://{user}:secret@{server.host}:{server.port}/app"


def says(error: BaseException, text: str) -> bool:
    return doctest.OutputChecker().check_output(text, f"{type(error).__name__}: {error}\n", OPTIONS)


def test_the_page_has_the_statement_of_the_table():
    assert blocks("sql")[0] == f"{CREATE_TABLE};\n"


def test_every_block_of_the_page_does_what_it_says(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run_sql(example: Example) -> None:
        as_admin(server, example.parsed)

    replaced = {CONNINFO: conninfo(server), DIRECTORY: tmp_path.as_posix()}
    run_page(PAGE, replaced, tmp_path, monkeypatch, [*PARSERS, CodeBlockParser("sql", run_sql)])


def test_the_rights_of_the_page_are_enough(server: Server, tmp_path: Path):
    def opened(user: str, *first: str) -> Any:
        return FleetMode(*first, at=PostgresRecord(conninfo(server, user), "mode", mirror=tmp_path / user))

    with pytest.raises(PermissionError):
        opened("watcher", "NORMAL")  # it may not make a record
    app = opened("app", "NORMAL")
    watcher = opened("watcher")
    app.set("MAINTENANCE")
    assert wait_for(watcher, "MAINTENANCE", timeout=DEADLINE) is Mode.MAINTENANCE
    with pytest.raises(PermissionError, match="SELECT, INSERT and UPDATE"):
        watcher.set("NORMAL")
    assert watcher.get_lock().acquire()
    with pytest.raises(TimeoutError, match="nothing was written"):
        exchange(app, "NORMAL", timeout=0.1)
    watcher.get_lock().release()
    with pytest.raises(PermissionError, match="CREATE on the schema"):
        FleetMode("NORMAL", at=PostgresRecord(conninfo(server), "new", mirror=tmp_path / "new", create=True))


def test_the_page_quotes_the_errors_as_they_are(server: Server, tmp_path: Path):
    refused, unknown, other_enum = blocks("text")
    mode = FleetMode("NORMAL", at=PostgresRecord(conninfo(server), "mode", mirror=tmp_path / "mode"))
    with pytest.raises(ValueError, match="MAINTENANCE") as caught:
        IntEnumValue[OtherMode]("NORMAL", at=PostgresRecord(conninfo(server), "mode", mirror=tmp_path / "other"))
    assert says(caught.value, other_enum.replace("Mode here", f"{OtherMode.__name__} here"))
    with mode.get_lock(), server.frozen(), pytest.raises(TimeoutError) as lost:
        exchange(mode, "MAINTENANCE", timeout=0.5)
    assert says(lost.value, f"...{unknown}")
    server.stop()
    try:
        with pytest.raises(ConnectionError) as away:
            mode.set("MAINTENANCE")
        assert says(away.value, refused)
        with pytest.raises(ConnectionError) as away:
            FleetMode("NORMAL", at=PostgresRecord(conninfo(server), "mode", mirror=tmp_path / "none"))
        assert says(away.value, refused)
    finally:
        server.start()


PROGRAM = """
import enum, sys
from multiprocessing_intenum import IntEnumValue
from multiprocessing_intenum.postgres import PostgresRecord
Mode = enum.IntEnum("Mode", dict(each.split("=") for each in sys.argv[3].split()))
mode = IntEnumValue[Mode](sys.argv[4], at=PostgresRecord(sys.argv[1], "mode", mirror=sys.argv[2]))
print(mode.name)
mode.set(sys.argv[5])
"""


@pytest.mark.parametrize(
    ("verb", "found", "refused"),
    [
        # a number is given to another name, and the state begins anew
        ("DELETE", "NORMAL", "NORMAL=1 DRAINING=2"),
        # a member is removed, and later another one is added, with the state kept
        ("UPDATE", "DRAINING", "NORMAL=1 DRAINING=3 CLOSED=4"),
    ],
)
def test_the_statements_for_another_version_of_the_enum(
    server: Server, tmp_path: Path, verb: str, found: str, refused: str
):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PROGRAM, conninfo(server), str(tmp_path / "mode"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)

    assert run("NORMAL=1 MAINTENANCE=2 DRAINING=3", "NORMAL", "MAINTENANCE").stdout == "NORMAL\n"
    assert run("NORMAL=1 DRAINING=3", "NORMAL", "DRAINING").returncode == 1  # the state is one that it does not know
    assert run("NORMAL=1 MAINTENANCE=2 DRAINING=3", "NORMAL", "DRAINING").stdout == "MAINTENANCE\n"
    assert "ValueError: " in run(refused, "NORMAL", "DRAINING").stderr
    (statement,) = (sql for sql in blocks("sql") if sql.startswith(verb))
    as_admin(server, statement)
    assert run(refused, "NORMAL", "DRAINING").stdout == f"{found}\n"
    assert run(refused, "NORMAL", "NORMAL").stdout == "DRAINING\n"


def test_the_row_loses_a_name_while_processes_without_it_use_the_record(server: Server, tmp_path: Path):
    def opened(mirror: str, **members: int) -> Any:
        return IntEnumValue[enum.IntEnum("Mode", members)](  # type: ignore[misc]
            "NORMAL", at=PostgresRecord(conninfo(server), "mode", mirror=tmp_path / mirror)
        )

    opened("mirror", NORMAL=1, MAINTENANCE=2, DRAINING=3)
    running = opened("mirror", NORMAL=1, DRAINING=3)
    (statement,) = (sql for sql in blocks("sql") if sql.startswith("UPDATE"))
    as_admin(server, statement)
    later = opened("other", NORMAL=1, DRAINING=3, CLOSED=4)
    later.set("DRAINING")
    assert wait_for(running, "DRAINING", timeout=DEADLINE).name == "DRAINING"
    beside = opened("mirror", NORMAL=1, DRAINING=3, CLOSED=4)  # the mirror has lost the name, too
    beside.set("NORMAL")
    assert wait_for(running, "NORMAL", timeout=DEADLINE).name == "NORMAL"


def test_only_a_pickle_has_the_password(server: Server, tmp_path: Path):
    mode = FleetMode("NORMAL", at=PostgresRecord(conninfo(server), "mode", mirror=tmp_path / "mode"))
    assert b"secret" in pickle.dumps(mode)
    assert "secret" not in repr(mode.get_lock())


def test_the_command_line_does_not_set_a_mirror(server: Server, tmp_path: Path):
    mode = FleetMode("NORMAL", at=PostgresRecord(conninfo(server), "mode", mirror=tmp_path / "mode"))
    command = [sys.executable, "-m", "multiprocessing_intenum", "set", str(tmp_path / "mode"), "MAINTENANCE"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "a database, which decides on all writes" in done.stderr
    assert mode.name == "NORMAL"


@pytest.mark.parametrize("name", sorted(NEED_PSYCOPG))
def test_the_examples_in_the_docstrings_do_what_they_say(name: str, server: Server, tmp_path: Path):
    module = importlib.import_module(f"multiprocessing_intenum.{name}")
    mode = FleetMode("NORMAL", at=PostgresRecord(conninfo(server), "mode", mirror=tmp_path / "mode"))
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for examples in doctest.DocTestFinder().find(module, globs=vars(postgres) | {"mode": mode}):
        runner.run(examples)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", sorted(NEED_PSYCOPG))
def test_each_module_says_what_it_is_for_and_what_it_gives(name: str):
    module = importlib.import_module(f"multiprocessing_intenum.{name}")
    assert (module.__doc__ or "").split("\n")[0].endswith(".")
    assert set(module.__all__) <= set(vars(module))
    assert sorted(module.__all__) == sorted(set(module.__all__))


def test_the_public_names_are_documented_with_an_example_and_in_the_reference():
    assert {name: getattr(postgres, name) for name in postgres.__all__} == {
        "PostgresRecord": PostgresRecord,
        "confirmed": confirmed,
    }
    reference = (DOCS / "reference.md").read_text("utf-8")
    for public in (PostgresRecord, confirmed):
        text = inspect.getdoc(public) or ""
        assert doctest.DocTestParser().get_examples(text)
        assert "Args:" in text
        assert "Raises:" in text
        assert f":: multiprocessing_intenum.postgres.{public.__name__}\n" in reference
    for function in (PostgresRecord.__init__, confirmed):
        assert set(get_type_hints(function)) == set(function.__annotations__)
