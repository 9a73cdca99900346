"""A session: how it finds the server, what it has the server do, and what its errors do not say."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from helpers import DEADLINE, in_a_thread
from postgres_server import free_port

from multiprocessing_intenum.postgres import hosts
from multiprocessing_intenum.postgres import session as module
from multiprocessing_intenum.postgres.hosts import parameters_of
from multiprocessing_intenum.postgres.session import ServerError, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from postgres_server import Server


def opened(conninfo: str, seconds: float = DEADLINE) -> Session:
    return Session(parameters_of(conninfo), time.monotonic() + seconds)


def answer_of(session: Session, sql: str) -> Any:
    ((answer, *_), *_) = session.query(sql, (), time.monotonic() + DEADLINE)
    return None if answer is None else answer.decode()


def check(conninfo: str) -> None:
    session = opened(conninfo)
    assert answer_of(session, "SELECT 1") == "1"
    session.close()


# Names of hosts


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    found = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    yield found
    found.answers.set()


class NameServer:
    """It knows db.example, and answers while `answers` is set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0
        self._getaddrinfo = socket.getaddrinfo

    def getaddrinfo(self, host: str, port: Any, *others: Any, **more: Any) -> Any:
        if host == "db.example":
            self.asked += 1
            assert self.answers.wait(DEADLINE)
            host = "127.0.0.1"
        return self._getaddrinfo(host, port, *others, **more)


def test_a_name_server_that_does_not_answer_is_left_behind_at_the_deadline(
    server: Server, name_server: NameServer
) -> None:
    conninfo = f"postgresql://postgres@db.example:{server.port}/postgres"
    for _ in range(3):
        with pytest.raises(TimeoutError, match="no name server has said in time which address the host has"):
            opened(conninfo, 0.05)
    # The tries share the thread that is left behind.
    assert name_server.asked == 1
    assert [each.name for each in threading.enumerate()].count("multiprocessing_intenum.postgres.session") == 1
    name_server.answers.set()
    check(conninfo)
    check(conninfo)  # it was asked anew: the address of a host may change
    assert name_server.asked >= 2
    assert not hosts.unanswered


def test_a_host_whose_name_is_not_found_in_time_is_passed_over(server: Server, name_server: NameServer) -> None:
    check(f"host=db.example,127.0.0.1 port={server.port} user=postgres connect_timeout=1")


def test_a_name_is_looked_up_where_no_thread_can_be_started(
    server: Server, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a function of atexit, under Python 3.12."""
    name_server.answers.set()

    def refuse(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    check(f"host=db.example port={server.port} user=postgres")


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 70, "..", "300.1.1.1"])
def test_a_name_that_there_is_not_is_a_connection_error(name: str) -> None:
    with pytest.raises(ConnectionError, match="could not connect to PostgreSQL") as caught:
        opened(f"host={name} user=postgres")
    assert name not in str(caught.value)


def in_the_environment(server: Server, patch: pytest.MonkeyPatch, _: Path) -> str:
    patch.setenv("PGHOST", "127.0.0.1")
    patch.setenv("PGPORT", str(server.port))
    patch.setenv("PGUSER", "postgres")
    return ""


def several_in_the_environment(server: Server, patch: pytest.MonkeyPatch, _: Path) -> str:
    patch.setenv("PGHOST", "127.0.0.1,127.0.0.1")
    patch.setenv("PGPORT", f"{free_port()},{server.port}")
    return "user=postgres"


def in_a_service(server: Server, patch: pytest.MonkeyPatch, directory: Path) -> str:
    (directory / "services").write_text(f"[fleet]\nhost=localhost\nport={server.port}\nuser=postgres\n")
    patch.setenv("PGSERVICEFILE", str(directory / "services"))
    return "service=fleet"


def at_a_socket(server: Server, _: pytest.MonkeyPatch, __: Path) -> str:
    return f"host={server.directory} port={server.port} user=postgres"


def by_its_address(server: Server, _: pytest.MonkeyPatch, __: Path) -> str:
    return f"host=db.example hostaddr=127.0.0.1 port={server.port} user=postgres"


def among_several(server: Server, _: pytest.MonkeyPatch, __: Path) -> str:
    return f"host={server.directory},127.0.0.1 port={free_port()},{server.port} user=postgres"


def without_a_limit(server: Server, _: pytest.MonkeyPatch, __: Path) -> str:
    return f"host=127.0.0.1 port={server.port} user=postgres connect_timeout=0"


@pytest.mark.parametrize(
    "way",
    [
        in_the_environment,
        several_in_the_environment,
        in_a_service,
        at_a_socket,
        by_its_address,
        among_several,
        without_a_limit,
    ],
)
def test_the_server_is_found_in_each_way_that_libpq_has(
    way: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check(way(server, monkeypatch, tmp_path))


def test_hosts_and_ports_that_do_not_go_together_are_refused_in_the_words_of_libpq(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConnectionError, match=r"nothing was written: could not match 2 port numbers to 3 hosts$"):
        opened("host=a,b,c port=1,2")
    with pytest.raises(ConnectionError, match="could not match 2 host names to 1 hostaddr values"):
        opened("host=a,b hostaddr=127.0.0.1")
    with pytest.raises(ConnectionError, match=r'definition of service "\.\.\." not found'):
        opened("service=secret")
    monkeypatch.setenv("PGHOST", "a,b,c")
    with pytest.raises(ConnectionError, match="could not match 2 port numbers to 3 hosts"):
        opened("port=1,2")


# What its errors do not say


@pytest.mark.parametrize("source", ["string", "environment", "service"])
@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  role "mallory" does not exist',
        "FATAL:  Rolle »mallory« existiert nicht",
        "FATAL:  le rôle « mallory » n'existe pas",
        'FATAL: 用户"mallory"在数据库“salesdb”的认证失败',
        "密码认证失败,用户mallory,数据库salesdb",
        "keine pg_hba.conf-Zeile für Host »192.0.2.77«, Benutzer »mallory«, Datenbank »salesdb«, keine Verschlüsselung",
    ],
)
def test_a_name_is_not_in_an_error_whatever_its_language_and_wherever_it_comes_from(
    source: str, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = ""
    if source == "string":
        given = "user=mallory dbname=salesdb"
    elif source == "environment":
        monkeypatch.setenv("PGUSER", "mallory")
        monkeypatch.setenv("PGDATABASE", "salesdb")
    else:
        (tmp_path / "services").write_text("[fleet]\nuser=mallory\ndbname=salesdb\n")
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
        given = "service=fleet"
    found = hosts.without(hosts.names_in(hosts.filled_in(parameters_of(given))), text)
    for secret in ("mallory", "salesdb", "192.0.2.77"):
        assert secret not in found
    assert hosts.without([], "the rest stays") == "the rest stays"


def test_a_user_from_the_environment_is_not_in_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", "mallory")
    with pytest.raises(ConnectionError, match=r'role "\.\.\." does not exist') as caught:
        opened(f"host=127.0.0.1 port={server.port}")
    assert "mallory" not in str(caught.value)


# What the server does by itself


def limits_of(server: Server) -> set[str]:
    """Return the settings by which this server would end a statement or a session, those of a newer one, too."""
    sql = "SELECT name FROM pg_settings WHERE name ~ 'timeout' AND context = 'user' AND unit = 'ms'"
    return {name for (name,) in server.ask(sql)} - {"tcp_user_timeout", "wal_sender_timeout"}


@pytest.fixture
def limited(server: Server) -> Iterator[str]:
    """The connection string of a user for whom the administrator has set short limits."""
    server.ask("CREATE ROLE limited LOGIN")
    server.ask("GRANT SELECT, INSERT, UPDATE ON multiprocessing_intenum TO limited")
    for name in limits_of(server):
        server.ask(f"ALTER ROLE limited SET {name} = '300ms'")
    yield server.conninfo.replace("postgres:tiger@", "limited@")
    server.ask("DROP OWNED BY limited")
    server.ask("DROP ROLE limited")


def test_no_limit_of_the_administrator_ends_a_statement(server: Server, limited: str) -> None:
    session = opened(limited)
    assert limits_of(server) >= {"transaction_timeout", "statement_timeout", "lock_timeout", "idle_session_timeout"}
    for name in limits_of(server):
        assert answer_of(session, f"SHOW {name}") == "0", name
    assert answer_of(session, "SELECT 'done' FROM pg_sleep(0.7)") == "done"
    session.close()


def test_a_server_that_can_not_check_its_clients_is_used_all_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses any other interval than 0, as every system refuses this one."""
    monkeypatch.setitem(module._SETTINGS, "client_connection_check_interval", "-1")
    session = opened(server.conninfo)
    assert answer_of(session, "SHOW idle_session_timeout") == "0"
    session.close()


def test_a_server_that_refuses_the_settings_says_why(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._SETTINGS, "statement_timeout", "never")
    with pytest.raises(ConnectionError, match=r"PostgreSQL refuses, nothing was written: invalid value for parameter"):
        opened(server.conninfo)


# One statement after the other


def test_an_error_says_how_many_statements_were_done_before_it(server: Server) -> None:
    session = opened(server.conninfo)
    with pytest.raises(ServerError, match=r"division by zero \(SQLSTATE 22012\)") as caught:
        session.script("SELECT 1; SELECT 2; SELECT 1 / 0; SELECT 3", time.monotonic() + DEADLINE)
    assert (caught.value.state, caught.value.done) == ("22012", 2)
    assert session.scripts("SELECT 1; SELECT 2", time.monotonic() + DEADLINE) == [[[b"1"]], [[b"2"]]]
    session.close()


def test_a_notification_that_comes_with_an_answer_is_not_missed(server: Server) -> None:
    session = opened(server.conninfo)
    session.script("LISTEN here", time.monotonic() + DEADLINE)
    assert not session.notified(time.monotonic())
    session.script("NOTIFY here", time.monotonic() + DEADLINE)
    assert session.notified(time.monotonic())
    assert not session.notified(time.monotonic())
    server.ask("NOTIFY here")
    assert in_a_thread(lambda: session.notified(time.monotonic() + DEADLINE))
    session.close()


def test_a_connection_that_breaks_without_a_word_is_an_error_without_names(server: Server) -> None:
    for use in (
        lambda session: session.query("SELECT 1", (), time.monotonic() + DEADLINE),
        lambda session: session.notified(time.monotonic() + DEADLINE),
    ):
        session = opened(server.conninfo)
        with socket.socket(fileno=os.dup(session._pgconn.socket)) as connection:
            connection.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionError, match="the connection to PostgreSQL was lost: ") as caught:
            use(session)
        assert session.is_closed
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
