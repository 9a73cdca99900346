"""What happens when the database is away, slow, refuses, or has lost the connection."""

from __future__ import annotations

import enum
import gc
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from forged import BODY_AT
from helpers import DEADLINE, held_elsewhere, is_free
from pooler import pooler
from postgres_server import free_port

from multiprocessing_intenum import compare_and_set, exchange, last_change, snapshot, update, wait_for
from multiprocessing_intenum.postgres import PostgresRecord, cell, confirmed, lock
from multiprocessing_intenum.postgres.hosts import parameters_of
from multiprocessing_intenum.postgres.session import Session
from multiprocessing_intenum.postgres.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Machine
    from postgres_server import Server

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


def version(server: Server) -> int:
    ((found,),) = server.ask("SELECT version FROM multiprocessing_intenum")
    return int(found)


def text_of(error: BaseException) -> str:
    """Return what a log would have of an error and of those that led to it, without the lines of this file."""
    chain = [error, error.__cause__, error.__context__]
    return " ".join(f"{each} {each!r}" for each in chain)


# Away


def test_without_the_database_reads_go_on_and_writes_are_errors(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    server.stop()
    try:
        for write in (lambda: status.set(CALCULATING), lambda: update(status, lambda _: CALCULATING, timeout=1)):
            with pytest.raises(ConnectionError, match=r"nothing was written: .*: Connection refused\. Check the"):
                write()
            assert snapshot(status) is IDLE
        again = WorkerStatus(at=machine())
        assert again == IDLE
    finally:
        server.start()
    assert version(server) == 0
    status.set(CALCULATING)
    assert version(server) == 1


def test_a_mirror_is_opened_without_the_database_but_not_made(machine: Machine, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "one"
    subprocess.run([sys.executable, "-c", OPEN, server.conninfo, str(path)], check=True, timeout=DEADLINE)
    mirror = path.read_bytes()
    server.stop()
    try:
        with pytest.raises(ConnectionError, match="could not connect"):
            WorkerStatus(IDLE, at=machine("two"))
        assert not (tmp_path / "two").exists()
        path.write_bytes(mirror)
        assert WorkerStatus(UNAVAILABLE, at=machine()) == CALCULATING
    finally:
        server.start()


OPEN = """
import sys
sys.path[:0] = ["tests/support"]
from enums import WorkerStatus
from multiprocessing_intenum.postgres import PostgresRecord
WorkerStatus("CALCULATING", at=PostgresRecord(sys.argv[1], "mode", mirror=sys.argv[2]))
"""


def test_a_mirror_that_nobody_has_confirmed_is_looked_at_when_it_is_opened(
    machine: Machine, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "one"
    subprocess.run([sys.executable, "-c", OPEN, server.conninfo, str(path)], check=True, timeout=DEADLINE)
    other = WorkerStatus(at=machine("two"))
    other.set(UNAVAILABLE)
    file = bytearray(path.read_bytes())
    confirmed = BODY_AT + 48  # the word that says when it was confirmed
    file[confirmed : confirmed + 8] = bytes(8)
    path.write_bytes(file)
    assert WorkerStatus(at=machine()) == UNAVAILABLE


def test_a_connection_that_was_cut_while_nobody_needed_it_is_made_again(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    status.set(CALCULATING)
    assert server.cut()
    status.set(UNAVAILABLE)
    assert version(server) == 2


# Slow


def test_a_timeout_covers_a_server_that_does_not_answer(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    for connect in (True, False):
        with server.frozen():
            begun = time.monotonic()
            with pytest.raises(TimeoutError, match="in time") as caught:
                exchange(status, CALCULATING, timeout=0.3)
            assert "nothing was written" in str(caught.value).lower()
            # It is not said how much later it may be; but it is not one of the limits of those who give no timeout.
            assert time.monotonic() - begun < 10
            assert status == IDLE
        if connect:
            assert exchange(status, IDLE, timeout=DEADLINE) is IDLE
    assert version(server) == 0


def test_a_write_whose_outcome_is_unknown_says_so(machine: Machine, server: Server) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    with one.get_lock():
        with server.frozen(), pytest.raises(TimeoutError, match="not known whether this write was done"):
            exchange(one, CALCULATING, timeout=0.3)
        assert one == IDLE
        with pytest.raises(ConnectionError, match=r"the lock of the record 'mode' was lost .* This was not written"):
            one.set(UNAVAILABLE)
    # The server has the statement all the same. Both machines hear of it.
    assert wait_for(two, CALCULATING, timeout=DEADLINE)
    assert wait_for(one, CALCULATING, timeout=DEADLINE)


def test_a_timeout_of_zero_waits_for_the_server_but_not_for_the_lock(machine: Machine, server: Server) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    assert exchange(one, CALCULATING, timeout=0) is IDLE
    assert compare_and_set(one, CALCULATING, IDLE, timeout=0)
    assert update(one, lambda _: CALCULATING, timeout=0) is CALCULATING
    lock = one.get_lock()
    assert lock.acquire(block=False)
    assert exchange(one, UNAVAILABLE, timeout=0) is CALCULATING
    with pytest.raises(TimeoutError, match="the holder of the lock is busy"):
        exchange(two, IDLE, timeout=0)
    lock.release()
    assert version(server) == 4


def test_a_write_that_would_come_too_late_is_not_sent(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())

    def slow(_: object) -> WorkerStatusEnum:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        return CALCULATING

    with pytest.raises(TimeoutError, match="over before the write was sent to PostgreSQL: nothing was written"):
        update(status, slow, timeout=0.2)
    assert (status, version(server)) == (IDLE, 0)


def test_a_table_that_has_another_shape_is_an_error_that_says_so(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    status.set(CALCULATING)
    server.ask("ALTER TABLE multiprocessing_intenum RENAME COLUMN history TO gone")
    with pytest.raises(ConnectionError, match=r"^PostgreSQL refuses, nothing was written: .* \(SQLSTATE 42703\)$"):
        status.set(IDLE)
    server.ask("ALTER TABLE multiprocessing_intenum RENAME COLUMN gone TO history")
    status.set(IDLE)


# The lock is lost


def test_a_holder_who_has_lost_the_lock_writes_nothing(machine: Machine, server: Server) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    with one.get_lock():
        server.cut()
        two.set(UNAVAILABLE)
        for _ in range(2):
            with pytest.raises(ConnectionError, match="lost"):
                one.set(CALCULATING)
    assert version(server) == 1
    assert wait_for(one, UNAVAILABLE, timeout=DEADLINE)
    one.set(IDLE)
    assert version(server) == 2


@pytest.mark.parametrize("writes", [True, False])
def test_a_holder_hears_of_the_loss_at_the_end(machine: Machine, server: Server, writes: bool) -> None:
    status = WorkerStatus(IDLE, at=machine())
    lock = status.get_lock()
    lock.acquire()
    if writes:
        status.set(CALCULATING)
    server.cut()
    what = "What was written under it before is done" if writes else "Nothing was written"
    with pytest.raises(ConnectionError, match=rf"the lock of the record 'mode' was lost with .* {what}"):
        lock.release()
    assert exchange(status, IDLE, timeout=DEADLINE) is (CALCULATING if writes else IDLE)
    assert version(server) == (2 if writes else 0)


def test_a_loss_is_none_of_the_next_threads(machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    status = WorkerStatus(IDLE, at=machine())
    lock: Any = status.get_lock()
    is_reported, is_held = threading.Event(), threading.Event()

    def take_write_and_release() -> None:
        with lock:
            is_held.set()
            assert is_reported.wait(DEADLINE)
            status.set(CALCULATING)

    give_up = type(lock)._give_up
    nexts: list[threading.Thread] = []

    def give_up_and_be_followed(self: Any, *, close: bool = True) -> None:
        give_up(self, close=close)
        if not nexts:
            nexts.append(threading.Thread(target=take_write_and_release))
            nexts[0].start()
            assert is_held.wait(DEADLINE)

    lock.acquire()
    server.cut()
    monkeypatch.setattr(type(lock), "_give_up", give_up_and_be_followed)
    with pytest.raises(ConnectionError, match="was lost"):
        lock.release()
    is_reported.set()
    nexts[0].join(DEADLINE)
    assert status == CALCULATING
    assert version(server) == 1


def test_an_error_of_the_block_comes_before_the_loss(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())

    def fail() -> None:
        with status.get_lock():
            server.cut()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert is_free(status.get_lock())


def test_a_loss_after_a_write_is_no_error_of_the_write(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    unlock = Table.unlock

    def cut_before(*arguments: Any) -> bool:
        server.cut()
        return unlock(*arguments)

    monkeypatch.setattr(Table, "unlock", cut_before)
    status.set(CALCULATING)
    assert compare_and_set(status, CALCULATING, IDLE) is True
    assert version(server) == 2
    with pytest.raises(ConnectionError, match=r"was lost with .* Nothing was written"):
        compare_and_set(status, CALCULATING, IDLE)  # it has seen the state, but cannot say that it held the lock


def test_another_write_in_between_is_seen_by_its_version(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        server.ask("UPDATE multiprocessing_intenum SET version = version + 1")
        with pytest.raises(ConnectionError, match="another machine may have written meanwhile"):
            status.set(CALCULATING)
    assert status == IDLE


# Refused


@pytest.fixture
def clerk(server: Server) -> Any:
    server.ask("DROP ROLE IF EXISTS clerk")
    server.ask("CREATE ROLE clerk LOGIN")
    yield server.conninfo.replace("postgres:tiger@", "clerk@")
    server.ask("DROP OWNED BY clerk")
    server.ask("DROP ROLE clerk")


def test_a_right_that_is_missing_is_named(machine: Machine, server: Server, clerk: str) -> None:
    status = WorkerStatus(IDLE, at=machine())
    with pytest.raises(PermissionError, match=r"permission denied .* needs SELECT, INSERT and UPDATE"):
        WorkerStatus(at=machine("two", clerk))
    server.ask("GRANT SELECT ON multiprocessing_intenum TO clerk")
    reader = WorkerStatus(at=machine("two", clerk))
    status.set(CALCULATING)
    assert wait_for(reader, CALCULATING, timeout=DEADLINE)
    with pytest.raises(PermissionError, match="permission denied"):
        reader.set(IDLE)
    server.ask("GRANT UPDATE ON multiprocessing_intenum TO clerk")
    reader.set(IDLE)
    server.ask("REVOKE SELECT ON multiprocessing_intenum FROM clerk")
    with pytest.raises(PermissionError, match="permission denied"):
        reader.set(CALCULATING)
    assert reader == IDLE
    with pytest.raises(PermissionError, match="with create=True also CREATE on the schema"):
        WorkerStatus(at=machine("three", clerk, create=True))


def test_a_standby_is_refused(machine: Machine, server: Server) -> None:
    with pytest.raises(ConnectionError, match="read-only"):
        WorkerStatus(IDLE, at=machine(conninfo=server.conninfo + "?options=-c%20default_transaction_read_only%3Don"))


def test_a_statement_that_the_server_refuses_says_why(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    server.ask("ALTER TABLE multiprocessing_intenum ADD CHECK (state <> 3)")
    with pytest.raises(ConnectionError, match=r"refuses, nothing was written: .*violates check .*\(SQLSTATE 23514\)"):
        status.set(CALCULATING)
    status.set(UNAVAILABLE)
    assert version(server) == 1


@pytest.mark.parametrize("shared", [True, False])
def test_a_pooler_in_transaction_mode_is_refused(machine: Machine, server: Server, shared: bool) -> None:
    with pooler((server.host, server.port), shared=shared) as found:
        record = machine(conninfo=f"host=127.0.0.1 port={found.port} user=postgres")
        if shared:
            with pytest.raises(ValueError, match=r"a pooler in transaction mode .* pool_mode = session"):
                WorkerStatus(IDLE, at=record)
        else:
            status = WorkerStatus(IDLE, at=record)
            status.set(CALCULATING)
            assert version(server) == 1


# Names and secrets


def test_names_and_secrets_stay_out_of_errors(machine: Machine, server: Server, tmp_path: Path, clerk: str) -> None:
    secrets = ("mallory", "hunter2", "salesdb", "nowhere.invalid", server.host)
    texts: list[str] = []
    for conninfo in (
        f"postgresql://mallory:hunter2@{server.host}:{server.port}/salesdb",
        f"postgresql://mallory:hunter2@{server.host}:{free_port()}/salesdb",
        f"postgresql://mallory:hunter2@localhost:{free_port()}/salesdb",  # libpq then writes its address as well
        "postgresql://mallory:hunter2@nowhere.invalid/salesdb",
        f"host={tmp_path}/mallory user=mallory password=hunter2 dbname=salesdb",
    ):
        record = PostgresRecord(conninfo, "mode", mirror=tmp_path / "one")
        with pytest.raises(ConnectionError) as caught:
            WorkerStatus(IDLE, at=record)
        texts += [text_of(caught.value), repr(record)]
    with pytest.raises(PermissionError) as refused:
        WorkerStatus(IDLE, at=machine("two", clerk))
    texts += [text_of(refused.value)]
    for secret in (*secrets, "clerk"):
        assert not [text for text in texts if secret in text]


def test_the_reason_stays_in_the_errors(machine: Machine, server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r'database "\.\.\." does not exist'):
        WorkerStatus(IDLE, at=machine(conninfo=server.conninfo + "_of_nobody"))


# The mirror is held by somebody who is stopped


def test_who_can_not_mirror_does_not_write(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    status.set(CALCULATING)
    with held_elsewhere(status._self_cell.open_file), pytest.raises(TimeoutError, match="nothing was written"):  # type: ignore[attr-defined]
        exchange(status, UNAVAILABLE, timeout=0.1)
    assert version(server) == 1
    assert exchange(status, UNAVAILABLE, timeout=DEADLINE) is CALCULATING


def test_an_interrupt_while_the_mirror_is_brought_up_to_date_leaves_its_lock_free(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell, "follow", lambda *_: None)  # an interrupt strikes the main thread only
    status = WorkerStatus(IDLE, at=machine())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lock.Mirror, "catch_up", interrupted)
        with pytest.raises(KeyboardInterrupt):
            status.set(CALCULATING)
    assert is_free(status._self_cell.open_file)  # type: ignore[attr-defined]
    assert is_free(status.get_lock())
    status.set(CALCULATING)
    assert version(server) == 1


def test_what_was_written_and_could_not_be_mirrored_is_mirrored_later(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        with held_elsewhere(status._self_cell.open_file):  # type: ignore[attr-defined]
            status.set(CALCULATING)
            assert version(server) == 1
        assert wait_for(status, CALCULATING, timeout=DEADLINE)


# One statement after the other


def test_a_session_sends_one_statement_at_a_time(machine: Machine, server: Server) -> None:
    """A signal handler comes while its thread gives the lock back: it has the lock, and can not write."""
    status = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        session = status.get_lock()._session  # type: ignore[attr-defined]
        session.is_busy = True
        with pytest.raises(RuntimeError, match=r"a signal handler can not write .* talks to the server"):
            status.set(CALCULATING)
        session.is_busy = False
        status.set(UNAVAILABLE)
    assert version(server) == 1


def test_a_statement_that_does_not_fit_the_sockets_buffer_is_sent_in_parts(server: Server) -> None:
    session = Session(parameters_of(server.conninfo), time.monotonic() + DEADLINE)
    try:
        long = "x" * 30_000_000
        assert session.query("SELECT length($1)", (long,), time.monotonic() + DEADLINE) == [[b"30000000"]]
    finally:
        session.close()


# Without psycopg


def test_without_psycopg_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['psycopg'] = None; import multiprocessing_intenum.postgres"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE)
    assert 'ImportError: this needs psycopg 3: pip install "multiprocessing-intenum[postgres]"' in done.stderr


# Following


def test_a_record_that_is_gone_is_logged_and_found_again(
    machine: Machine, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    ((enum_text,),) = server.ask("SELECT enum::text FROM multiprocessing_intenum")
    server.ask("DELETE FROM multiprocessing_intenum")
    with pytest.raises(FileNotFoundError, match="there is no record 'mode'"):
        status.set(CALCULATING)
    end = time.monotonic() + DEADLINE
    while not [each for each in caplog.messages if "is not followed at the moment: there is no record" in each]:
        assert time.monotonic() < end
    assert status == IDLE
    server.ask("INSERT INTO multiprocessing_intenum VALUES ('mode', %s::jsonb, 3, 9, '[]')", enum_text)
    assert wait_for(status, CALCULATING, timeout=DEADLINE)


def test_a_state_that_is_written_by_hand_is_followed(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    server.ask("UPDATE multiprocessing_intenum SET state = 3, version = version + 1")
    assert wait_for(status, CALCULATING, timeout=DEADLINE)
    server.ask("UPDATE multiprocessing_intenum SET state = 1")
    assert wait_for(status, UNAVAILABLE, timeout=DEADLINE)
    change = last_change(status)
    assert (change.after, change.pid) == (UNAVAILABLE, 0)
    assert exchange(status, IDLE) is UNAVAILABLE


def test_a_follower_does_not_take_over_the_state_of_another_enum(
    machine: Machine, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    server.ask(
        "UPDATE multiprocessing_intenum SET state = 3, version = 5, enum = jsonb_set(enum, '{members,IDLE}', '7')"
    )
    end = time.monotonic() + DEADLINE
    while not [each for each in caplog.messages if "IDLE = 7 in the record 'mode', 2 here" in each]:
        assert time.monotonic() < end
    assert status == IDLE
    with pytest.raises(ValueError, match="IDLE = 7 in the record 'mode', 2 here"):
        status.set(UNAVAILABLE)


def test_a_value_that_is_dropped_is_followed_no_more(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    assert confirmed(status) < DEADLINE
    status.set(CALCULATING)
    assert server.sessions()
    del status
    gc.collect()  # what earlier tests have left in the tracebacks of their errors
    end = time.monotonic() + DEADLINE
    while server.sessions():
        assert time.monotonic() < end


class Odd(enum.IntEnum):
    A = -(2**63)
    B = 2**63 - 1


def test_the_largest_and_smallest_numbers_are_stored(machine: Machine) -> None:
    from multiprocessing_intenum import IntEnumValue

    one, two = IntEnumValue(Odd.A, at=machine("one")), IntEnumValue[Odd](at=machine("two"))
    one.set(Odd.B)
    assert wait_for(two, Odd.B, timeout=DEADLINE) is Odd.B
    two.set(Odd.A)
    assert wait_for(one, Odd.A, timeout=DEADLINE) is Odd.A
