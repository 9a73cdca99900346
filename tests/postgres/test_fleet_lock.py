"""The lock of the fleet: that it is given back whatever happens, how it is waited for, what its holder knows."""

from __future__ import annotations

import gc
import math
import multiprocessing
import signal
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, held_elsewhere, in_a_thread, is_free, run, running, until

from multiprocessing_intenum import IntEnumValue, TransitionError, compare_and_set, exchange, history, update, wait_for
from multiprocessing_intenum.postgres import PostgresRecord, acquisition, cell, follower, lock
from multiprocessing_intenum.postgres.table import GRACE, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Machine
    from postgres_server import Server

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def unfollowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody of this process follow a record: the only sessions are those of writers."""
    gc.collect()  # what earlier tests have left in the tracebacks of their errors
    monkeypatch.setattr(cell, "follow", lambda *_: None)


def advisory_locks(server: Server) -> int:
    ((count,),) = server.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    return int(count)


def waits_for_table(server: Server) -> list[int]:
    found = server.ask("SELECT pid FROM pg_locks WHERE locktype = 'relation' AND NOT granted")
    return [pid for (pid,) in found]


def row(server: Server) -> tuple[Any, ...]:
    (found,) = server.ask("SELECT state, version FROM multiprocessing_intenum")
    return found


@contextmanager
def locked_table(server: Server) -> Iterator[None]:
    with server.connect() as migration:
        migration.autocommit = False
        migration.execute("LOCK TABLE multiprocessing_intenum IN ACCESS EXCLUSIVE MODE")
        yield
        migration.rollback()


def waiting(write: Callable[[], object]) -> tuple[threading.Thread, list[BaseException | None]]:
    """Start a thread that writes, and the list in which its error will be, or None."""
    outcome: list[BaseException | None] = []

    def attempt() -> None:
        try:
            write()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    return thread, outcome


# Whatever fails after it may have been granted gives it back


@contextmanager
def a_locked_table(server: Server, _: Any, __: pytest.MonkeyPatch) -> Iterator[Any]:
    with locked_table(server):
        yield TimeoutError


@contextmanager
def a_cancelled_statement(server: Server, _: Any, __: pytest.MonkeyPatch) -> Iterator[Any]:
    def cancel() -> None:
        until(lambda: waits_for_table(server))
        assert advisory_locks(server)
        server.ask("SELECT pg_cancel_backend(%s)", waits_for_table(server)[0])

    thread, outcome = waiting(cancel)
    with locked_table(server):
        yield ConnectionError
        thread.join(DEADLINE)
    assert outcome == [None]


@contextmanager
def a_deleted_row(server: Server, _: Any, __: pytest.MonkeyPatch) -> Iterator[Any]:
    server.ask("CREATE TABLE kept AS SELECT * FROM multiprocessing_intenum")
    server.ask("DELETE FROM multiprocessing_intenum")
    yield FileNotFoundError
    server.ask("INSERT INTO multiprocessing_intenum SELECT * FROM kept")
    server.ask("DROP TABLE kept")


@contextmanager
def another_enum(server: Server, _: Any, __: pytest.MonkeyPatch) -> Iterator[Any]:
    server.ask("UPDATE multiprocessing_intenum SET enum = jsonb_set(enum, '{members,IDLE}', '7')")
    yield ValueError
    server.ask("UPDATE multiprocessing_intenum SET enum = jsonb_set(enum, '{members,IDLE}', '2')")


@contextmanager
def a_mirror_that_is_held(_: Server, status: Any, __: pytest.MonkeyPatch) -> Iterator[Any]:
    with held_elsewhere(status._self_cell.open_file):
        yield TimeoutError


@contextmanager
def a_mirror_that_others_describe(_: Server, __: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def too_late(*_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(lock, "describe_mirror", too_late)
        yield TimeoutError


@contextmanager
def a_server_that_stands_still(server: Server, _: Any, __: pytest.MonkeyPatch) -> Iterator[Any]:
    with server.frozen():
        yield TimeoutError


@contextmanager
def an_interrupt(_: Server, __: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Table, "checked", interrupted)
        yield KeyboardInterrupt


FAILURES = [
    a_locked_table,
    a_cancelled_statement,
    a_deleted_row,
    another_enum,
    a_mirror_that_is_held,
    a_mirror_that_others_describe,
    a_server_that_stands_still,
    an_interrupt,
]


@pytest.mark.usefixtures("unfollowed")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("is_waited_for", [False, True])
def test_whatever_fails_after_the_lock_was_granted_gives_it_back(
    failure: Any, is_waited_for: bool, machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    there.set(CALCULATING)
    here.set(IDLE)
    with monkeypatch.context() as patch:
        if is_waited_for:  # another way to the lock: the first try fails
            lock = Table.lock

            def not_at_once(self: Table, *arguments: Any, wait: bool) -> Any:
                return lock(self, *arguments, wait=True) if wait else None

            patch.setattr(Table, "lock", not_at_once)
        with failure(server, here, monkeypatch) as expected, pytest.raises(expected):
            exchange(here, CALCULATING, timeout=0.5)
    until(lambda: not advisory_locks(server))
    assert exchange(there, UNAVAILABLE, timeout=DEADLINE) is IDLE
    assert exchange(here, CALCULATING, timeout=DEADLINE) is UNAVAILABLE
    assert is_free(here.get_lock())


@pytest.mark.usefixtures("unfollowed")
def test_a_lock_that_can_not_be_given_back_ends_with_its_session(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = WorkerStatus(IDLE, at=machine())
    here.set(CALCULATING)
    session = here.get_lock()._session  # type: ignore[attr-defined]
    script = type(session).script

    def cut_before(self: Any, sql: str, deadline: float) -> Any:
        if "unlock_all" in sql:
            server.cut()
        return script(self, sql, deadline)

    def interrupted_before(self: Any, sql: str, deadline: float) -> Any:
        if "unlock_all" in sql:
            raise KeyboardInterrupt
        return script(self, sql, deadline)

    for replacement, expected in (cut_before, TimeoutError), (interrupted_before, KeyboardInterrupt):
        with monkeypatch.context() as patch, locked_table(server):
            patch.setattr(type(session), "script", replacement)
            with pytest.raises(expected):
                exchange(here, IDLE, timeout=0.2)
        until(lambda: not advisory_locks(server))
    assert exchange(here, IDLE, timeout=DEADLINE) is CALCULATING


def test_a_write_without_a_timeout_waits_for_the_table_and_leaves_the_lock_to_others(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_QUEUE", 0.05)
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    given_back = threading.Semaphore(0)
    give_back = Table._give_back

    def counted(*arguments: Any) -> None:
        give_back(*arguments)
        given_back.release()

    monkeypatch.setattr(Table, "_give_back", counted)
    with locked_table(server):
        threads = [waiting(lambda: here.set(CALCULATING)), waiting(lambda: there.set(CALCULATING))]
        for _ in range(6):
            assert given_back.acquire(timeout=DEADLINE)
    for thread, outcome in threads:
        thread.join(DEADLINE)
        assert outcome == [None]
    assert row(server) == (CALCULATING, 1)


def test_a_write_that_is_the_victim_of_a_deadlock_is_not_done_and_the_lock_stays_usable(
    machine: Machine, server: Server
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    server.ask("ALTER ROLE postgres SET deadlock_timeout = '50ms'")
    try:
        with server.connect() as other, status.get_lock():
            other.autocommit = False
            other.execute("SET deadlock_timeout = '1h'")
            other.execute("LOCK TABLE multiprocessing_intenum IN ACCESS EXCLUSIVE MODE")
            key = status.get_lock()._key  # type: ignore[attr-defined]
            thread, outcome = waiting(lambda: other.execute("SELECT pg_advisory_xact_lock(%s)", (key,)))
            until(lambda: [each for each in server.ask("SELECT granted FROM pg_locks") if each == (False,)])
            with pytest.raises(ConnectionError, match=r"nothing was written: deadlock detected"):
                status.set(CALCULATING)
            status.get_lock().release()
            thread.join(DEADLINE)
            other.rollback()
            status.get_lock().acquire()
            status.set(CALCULATING)
    finally:
        server.ask("ALTER ROLE postgres RESET deadlock_timeout")
    assert outcome == [None]
    assert row(server) == (CALCULATING, 1)


@pytest.mark.usefixtures("unfollowed")
def test_a_write_that_finds_its_table_locked_is_known_not_to_be_done(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())

    def lock_first(_: object) -> WorkerStatusEnum:
        tables.__enter__()
        return CALCULATING

    tables = locked_table(server)
    with pytest.raises(TimeoutError, match="is locked by another session, nothing was written"):
        update(status, lock_first, timeout=0.5)
    tables.__exit__(None, None, None)
    until(lambda: not advisory_locks(server))
    assert row(server) == (IDLE, 0)


# What its holder knows


class Strict(
    IntEnumValue[WorkerStatusEnum],
    transitions={IDLE: [CALCULATING], CALCULATING: [UNAVAILABLE], UNAVAILABLE: [IDLE]},
):
    pass


@pytest.fixture
def unmirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "MIRRORING", 0.01)
    monkeypatch.setattr(acquisition, "MIRRORING", 0.01)


@pytest.mark.usefixtures("unmirrored")
def test_the_last_write_under_one_lock_is_in_the_record_whatever_the_mirror_has(
    machine: Machine, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        with held_elsewhere(status._self_cell.open_file):  # type: ignore[attr-defined]
            status.set(CALCULATING)
            assert "the record 'mode' was written, but not its mirror" in caplog.text
            status.set(IDLE)
            status.set(IDLE)  # no change
            assert row(server) == (IDLE, 2)
        status.set(UNAVAILABLE)
        assert status == UNAVAILABLE
    assert row(server) == (UNAVAILABLE, 3)
    assert [each.after for each in history(status)][-4:] == [IDLE, CALCULATING, IDLE, UNAVAILABLE]
    assert [each.number for each in history(status)][-4:] == [0, 1, 2, 3]


@pytest.mark.usefixtures("unmirrored")
def test_decisions_under_one_lock_are_made_against_the_record_whatever_the_mirror_has(machine: Machine) -> None:
    status = Strict(IDLE, at=machine())
    with status.get_lock(), held_elsewhere(status._self_cell.open_file):  # type: ignore[attr-defined]
        status.set(CALCULATING)
        assert not compare_and_set(status, IDLE, CALCULATING)
        with pytest.raises(TransitionError, match="from CALCULATING it goes only to UNAVAILABLE"):
            status.set(IDLE)
        assert exchange(status, UNAVAILABLE) is CALCULATING
        assert update(status, lambda member: {UNAVAILABLE: IDLE}[member]) is IDLE
        assert compare_and_set(status, IDLE, CALCULATING, timeout=DEADLINE)
    assert wait_for(status, CALCULATING, timeout=DEADLINE)


def test_a_read_under_the_lock_finds_what_was_written_under_it(machine: Machine) -> None:
    status = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        for member in [CALCULATING, UNAVAILABLE, IDLE] * 20:
            status.set(member)
            assert status == member


@pytest.mark.usefixtures("unfollowed")
def test_an_interrupt_after_a_write_was_sent_leaves_nothing_to_be_decided_under_that_lock(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    write = Table.write

    def interrupted(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with status.get_lock():
        with monkeypatch.context() as patch:
            patch.setattr(Table, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                status.set(CALCULATING)
        with pytest.raises(ConnectionError, match="This was not written"):
            status.set(UNAVAILABLE)
    assert row(server) == (CALCULATING, 1)
    assert exchange(status, IDLE, timeout=DEADLINE) is CALCULATING


# A table that is dropped and made anew


def restore(server: Server) -> None:
    """Do as pg_restore --clean does with a backup of a moment ago."""
    server.ask("CREATE TABLE backup AS SELECT * FROM multiprocessing_intenum")
    server.ask("DROP TABLE multiprocessing_intenum")
    server.make_table()
    server.ask("INSERT INTO multiprocessing_intenum SELECT * FROM backup")
    server.ask("DROP TABLE backup")


def test_processes_from_before_and_after_a_table_was_restored_exclude_each_other(
    machine: Machine, server: Server
) -> None:
    before = WorkerStatus(IDLE, at=machine("before"))
    with before.get_lock():
        restore(server)
        after = WorkerStatus(at=machine("after"))
        assert not in_a_thread(lambda: after.get_lock().acquire(timeout=0.1))
        before.set(CALCULATING)
    assert exchange(after, UNAVAILABLE, timeout=DEADLINE) is CALCULATING
    assert exchange(before, IDLE, timeout=DEADLINE) is UNAVAILABLE


def test_a_row_that_is_another_one_is_named_as_the_reason(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        restore(server)
        server.ask("UPDATE multiprocessing_intenum SET version = 7")
        for reason in ("its version is 7, expected 0. It was written by hand, or its table was restored", "was lost"):
            with pytest.raises(ConnectionError, match=reason):
                status.set(CALCULATING)
    with status.get_lock():
        server.ask("DELETE FROM multiprocessing_intenum")
        with pytest.raises(FileNotFoundError, match=r"was deleted while its lock was held\. This was not written"):
            status.set(CALCULATING)


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_loss_is_named_as_the_reason_where_the_row_is_the_same_or_can_not_be_asked_for(
    is_cut: bool, machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler has given the statement another session; then the connection breaks as well."""
    status = WorkerStatus(IDLE, at=machine())

    def refuse(*_: Any) -> None:
        if is_cut:
            server.cut()

    with status.get_lock():
        monkeypatch.setattr(Table, "write", refuse)
        with pytest.raises(ConnectionError, match=r"was lost with the connection .* This was not written"):
            status.set(CALCULATING)
    assert row(server) == (IDLE, 0)


def test_records_of_two_schemas_do_not_exclude_each_other(machine: Machine, server: Server) -> None:
    server.ask("CREATE SCHEMA other")
    try:
        one = WorkerStatus(IDLE, at=machine("one"))
        conninfo = f"{server.conninfo}?options=-c%20search_path%3Dother"
        two = WorkerStatus(IDLE, at=machine("two", conninfo, create=True))
        with one.get_lock():
            assert exchange(two, CALCULATING, timeout=DEADLINE) is IDLE
        assert one == IDLE
    finally:
        server.ask("DROP SCHEMA other CASCADE")


# How it is waited for


def set_calculating(record: PostgresRecord) -> None:
    WorkerStatus(at=record).set(CALCULATING)


@pytest.mark.usefixtures("unfollowed")
def test_the_sessions_of_killed_waiters_end_while_the_lock_is_held(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine("holder"))
    with status.get_lock():
        until(lambda: len(server.sessions()) == 1)  # those of other tests have ended
        children = [FORK.Process(target=set_calculating, args=(machine(f"{number}"),)) for number in range(5)]
        for child in children:
            child.start()
        until(lambda: len(server.sessions()) == 1 + 5)
        for child in children:
            child.kill()
            child.join(DEADLINE)
        until(lambda: len(server.sessions()) == 1)
        status.set(UNAVAILABLE)
    assert row(server) == (UNAVAILABLE, 1)


def hold_and_write(record: PostgresRecord, is_held: Any, may_write: Any) -> None:
    status = WorkerStatus(at=record)
    with status.get_lock():
        is_held.set()
        assert may_write.wait(DEADLINE)
        status.set(CALCULATING)


def test_a_killed_writer_that_waits_for_the_table_gives_the_lock_back(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine("one"))
    is_held, may_write = FORK.Event(), FORK.Event()
    with running(FORK, hold_and_write, machine("two"), is_held, may_write) as writer:
        assert is_held.wait(DEADLINE)
        with locked_table(server):
            may_write.set()
            until(lambda: advisory_locks(server) and waits_for_table(server))
            writer.kill()
            until(lambda: not advisory_locks(server))
    assert exchange(status, UNAVAILABLE, timeout=DEADLINE) is IDLE


@pytest.mark.usefixtures("unfollowed")
def test_an_index_is_made_concurrently_inside_the_lock_although_others_wait(machine: Machine, server: Server) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    server.ask("CREATE TABLE big (number int)")
    try:
        with one.get_lock():
            thread, outcome = waiting(lambda: two.set(CALCULATING))
            until(lambda: len(server.sessions()) == 2)
            with server.connect() as connection:
                connection.execute(f"SET statement_timeout = '{DEADLINE / 2:g}s'")
                connection.execute("CREATE INDEX CONCURRENTLY ON big (number)")
            assert thread.is_alive()
    finally:
        server.ask("DROP TABLE big")
    thread.join(DEADLINE)
    assert outcome == [None]


def snapshots(server: Server) -> int:
    ((count,),) = server.ask(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = 'multiprocessing_intenum' AND (backend_xmin IS NOT NULL OR state <> 'idle')"
    )
    return int(count)


@pytest.mark.usefixtures("unfollowed")
def test_a_waiter_has_no_snapshot_and_is_told_of_the_release(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_QUEUE", 0.05)
    monkeypatch.setattr(lock, "_ASIDE", 2 * DEADLINE)
    monkeypatch.setattr(lock, "_LOOK", 2 * DEADLINE)  # so it does not look for itself
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    for member in CALCULATING, UNAVAILABLE:
        stands_aside = threading.Event()
        aside = lock.RecordLock._stand_aside

        def noted(*arguments: Any, aside: Any = aside, event: threading.Event = stands_aside) -> Any:
            event.set()
            return aside(*arguments)

        with monkeypatch.context() as patch, one.get_lock():
            patch.setattr(lock.RecordLock, "_stand_aside", noted)
            thread, outcome = waiting(lambda member=member: two.set(member))  # type: ignore[misc]
            assert stands_aside.wait(DEADLINE)
            until(lambda: not snapshots(server))
            assert thread.is_alive()
        thread.join(DEADLINE)
        assert outcome == [None]
    assert row(server) == (UNAVAILABLE, 2)


def hold_until_killed(record: PostgresRecord, is_held: Any) -> None:
    WorkerStatus(at=record).get_lock().acquire()
    is_held.set()
    signal.pause()


def test_a_waiter_that_stands_aside_gets_the_lock_of_a_killed_holder(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine("one"))
    monkeypatch.setattr(lock, "_QUEUE", 0.05)
    monkeypatch.setattr(lock, "_ASIDE", 2 * DEADLINE)
    is_held, stands_aside = FORK.Event(), threading.Event()
    aside = lock.RecordLock._stand_aside

    def noted(*arguments: Any) -> Any:
        stands_aside.set()
        return aside(*arguments)

    monkeypatch.setattr(lock.RecordLock, "_stand_aside", noted)
    with running(FORK, hold_until_killed, machine("two"), is_held) as holder:
        assert is_held.wait(DEADLINE)
        thread, outcome = waiting(lambda: status.set(CALCULATING))
        assert stands_aside.wait(DEADLINE)
        holder.kill()
        thread.join(DEADLINE)
    assert outcome == [None]


def test_a_timeout_ends_the_wait_of_one_that_stands_aside(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_QUEUE", 0.05)
    monkeypatch.setattr(lock, "_ASIDE", 0.1)
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    with one.get_lock():
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match="the holder of the lock is busy"):
            exchange(two, CALCULATING, timeout=0.5)
        assert time.monotonic() - begun >= 0.5
    assert exchange(two, CALCULATING, timeout=DEADLINE) is IDLE


def test_a_mirror_that_is_held_keeps_the_fleet_from_nothing(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one whose mirror it is waits without a timeout, as long as that takes."""
    monkeypatch.setattr(lock, "MIRRORING", 0.05)
    monkeypatch.setattr(acquisition, "MIRRORING", 0.05)
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    with held_elsewhere(here._self_cell.open_file):  # type: ignore[attr-defined]
        thread, outcome = waiting(lambda: here.set(CALCULATING))
        until(lambda: advisory_locks(server))
        assert exchange(there, UNAVAILABLE, timeout=DEADLINE) is IDLE
    thread.join(DEADLINE)
    assert outcome == [None]
    assert row(server) == (CALCULATING, 2)


# Timeouts


@pytest.mark.parametrize("timeout", [0.5, 5])
def test_a_timeout_covers_giving_the_lock_back(
    timeout: float, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    deadlines: list[float] = []
    unlock = Table.unlock

    def noted(self: Table, session: Any, key: int, deadline: float, *others: Any) -> bool:
        deadlines.append(deadline)
        return unlock(self, session, key, deadline, *others)

    monkeypatch.setattr(Table, "unlock", noted)
    begun = time.monotonic()
    exchange(status, CALCULATING, timeout=timeout)
    ended = time.monotonic()
    assert deadlines[0] <= min(begun + timeout + 0.05 + GRACE, ended + lock.PROMPT)
    with status.get_lock():
        exchange(status, IDLE, timeout=0.01)
        while time.monotonic() < begun + timeout / 10:
            pass
    assert deadlines[1] > time.monotonic()  # that of the lock, which was given none


# Threads and forks


def take_the_turn(lock: Any) -> None:
    assert lock._threads.acquire(False)
    lock._threads.release()


def test_processes_do_not_share_the_turn_of_the_threads_of_one(machine: Machine) -> None:
    status: Any = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        run(FORK, take_the_turn, status.get_lock())
        assert not in_a_thread(lambda: status.get_lock()._threads.acquire(False))
    run(FORK, take_the_turn, status.get_lock())


# A connection that is not used


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close unused connections soon. The thread that does so follows no record: the only sessions are of writers."""
    gc.collect()  # what earlier tests have left in the tracebacks of their errors
    monkeypatch.setattr(lock, "_IDLE", 0.05)
    monkeypatch.setattr(follower, "TICK", 0.01)
    monkeypatch.setattr(follower._Followed, "_look", lambda *_: None)


@pytest.mark.usefixtures("impatient")
def test_the_connection_of_a_writer_is_closed_when_it_is_not_used(machine: Machine, server: Server) -> None:
    statuses = [WorkerStatus(IDLE, at=machine(name)) for name in ("one", "two")]
    for _ in range(2):
        for status in statuses:
            status.set(CALCULATING)
            status.set(IDLE)
        until(lambda: not server.sessions())
    assert row(server)[0] == IDLE


@pytest.mark.usefixtures("impatient")
def test_the_connection_of_a_holder_is_not_closed(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    one.set(CALCULATING)
    looked_at: list[int] = []
    close_if_idle = lock.RecordLock.close_if_idle

    def noted(self: lock.RecordLock) -> None:
        close_if_idle(self)
        looked_at.append(id(self))

    with one.get_lock():
        until(lambda: len(server.sessions()) == 1)  # those of other tests have ended
        (session,) = server.sessions()
        two_thread, outcome = waiting(lambda: two.set(IDLE))
        until(lambda: one.get_lock()._used + 1 < time.monotonic())  # type: ignore[attr-defined]
        monkeypatch.setattr(lock.RecordLock, "close_if_idle", noted)
        until(lambda: id(one.get_lock()) in looked_at)
        assert session in server.sessions()
        one.set(UNAVAILABLE)
    two_thread.join(DEADLINE)
    assert outcome == [None]
    until(lambda: not server.sessions())


@pytest.mark.usefixtures("impatient")
def test_writes_and_the_end_of_an_idle_connection_come_at_the_same_moment(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_IDLE", 0.002)
    monkeypatch.setattr(follower, "TICK", 0.001)
    status = WorkerStatus(IDLE, at=machine())
    for number in range(150):
        status.set([CALCULATING, IDLE][number % 2])
        time.sleep(0.004 * (number % 3))  # not to wait for something, but to be idle as long as the limit, or longer
    assert row(server) == (IDLE, 150)


def write_in_a_child(status: Any) -> None:
    status.set(UNAVAILABLE)
    assert status.get_lock()._session is not None
    until(lambda: status.get_lock()._session is None)


@pytest.mark.usefixtures("impatient")
def test_a_forked_child_closes_its_own_connection(machine: Machine, server: Server) -> None:
    status: Any = WorkerStatus(IDLE, at=machine())
    status.set(CALCULATING)
    run(FORK, write_in_a_child, status)
    status.set(IDLE)
    until(lambda: not server.sessions())
    assert row(server) == (IDLE, 3)


@pytest.mark.usefixtures("impatient")
def test_a_value_that_is_dropped_leaves_its_connection_to_nobody(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    monkeypatch.setattr(lock, "_IDLE", math.inf)  # what closes the connection is the end of its lock
    status.set(CALCULATING)
    file = weakref.ref(status._self_cell.open_file)  # type: ignore[attr-defined]
    assert server.sessions()
    del status
    gc.collect()
    until(lambda: not server.sessions())
    until(lambda: file() is None)


@pytest.mark.usefixtures("unfollowed")
def test_a_value_that_is_dropped_while_its_process_looks_for_unused_connections_is_passed_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_locks", weakref.WeakValueDictionary())
    values = [WorkerStatus(IDLE, at=machine(name)) for name in ("first", "second")]
    first = values[0]._self_cell.open_file.path  # type: ignore[attr-defined]
    asked: list[str] = []

    def drop_all(self: Any) -> None:
        asked.append(self._file.path)
        values.clear()

    monkeypatch.setattr(lock.RecordLock, "close_if_idle", drop_all)
    lock.close_idle()
    assert {*asked} == {first}
    assert not lock._locks


# A standby


def test_a_standby_can_be_read_and_followed_but_not_written(machine: Machine, server: Server, tmp_path: Path) -> None:
    primary = WorkerStatus(IDLE, at=machine("one"))
    with server.standby() as standby:
        any_server = f"{standby.conninfo}?target_session_attrs=any"
        until(lambda: standby.ask("SELECT 1 FROM multiprocessing_intenum"))
        reader = WorkerStatus(IDLE, at=machine("two", any_server, create=True))
        assert reader == IDLE
        primary.set(CALCULATING)
        assert wait_for(reader, CALCULATING, timeout=DEADLINE)
        primary.set(UNAVAILABLE)
        assert wait_for(reader, UNAVAILABLE, timeout=DEADLINE)
        connections = set(standby.sessions())
        assert len(connections) == 1
        with pytest.raises(PermissionError, match=r"it is a standby, .* leave target_session_attrs out"):
            reader.set(IDLE)
        with pytest.raises(PermissionError, match="A write needs the primary"):
            reader.get_lock().acquire(block=False)
        assert is_free(primary.get_lock())
        other = PostgresRecord(any_server, "other", mirror=tmp_path / "other")
        with pytest.raises(PermissionError, match=r"cannot execute INSERT in a read-only transaction.*it is a standby"):
            WorkerStatus(IDLE, at=other)
        with pytest.raises(ConnectionError, match="read-only"):
            WorkerStatus(at=machine("three", standby.conninfo))
        assert set(standby.sessions()) == connections
        primary.set(IDLE)
        assert wait_for(reader, IDLE, timeout=DEADLINE)
