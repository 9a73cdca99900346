"""A state of record: what it holds, who decides on writes, who is excluded. "Machines" are two mirrors."""

from __future__ import annotations

import copy
import enum
import json
import multiprocessing
import os
import pickle
import re
import signal
import socket
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from enums import RecordType, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, in_a_thread, interrupt_at_random, is_free, run, running

from multiprocessing_intenum import (
    EnumAttribute,
    EnumValue,
    IntEnumValue,
    SharedFile,
    TransitionError,
    changes,
    compare_and_set,
    exchange,
    history,
    last_change,
    snapshot,
    update,
    wait_for,
)
from multiprocessing_intenum.__main__ import main
from multiprocessing_intenum.by_path import mirror
from multiprocessing_intenum.locks.holding import ThreadsLock
from multiprocessing_intenum.postgres import PostgresRecord, cell, confirmed

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Machine
    from postgres_server import Server

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def unfollowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody of this process follow a record: the mirrors know what their own writers have seen."""
    monkeypatch.setattr(cell, "follow", lambda *_: None)


# What it holds


def test_the_first_one_makes_the_record_and_the_others_find_it(machine: Machine) -> None:
    one = WorkerStatus(IDLE, at=machine("one"))
    two = WorkerStatus(at=machine("two"))
    again = WorkerStatus(CALCULATING, at=machine("two"))
    assert (one, two, again) == (IDLE, IDLE, IDLE)
    assert type(two) is WorkerStatus


def test_without_a_first_member_there_must_be_a_record(machine: Machine) -> None:
    with pytest.raises(FileNotFoundError, match="there is no record 'mode': start the process that makes it"):
        WorkerStatus(at=machine())


def test_a_row_that_was_deleted_is_made_anew_by_who_has_a_first_member(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    status.set(CALCULATING)
    del status
    server.ask("DELETE FROM multiprocessing_intenum")
    with pytest.raises(FileNotFoundError, match="there is no record 'mode': start the process that makes it"):
        WorkerStatus(at=machine()).set(UNAVAILABLE)
    status = WorkerStatus(IDLE, at=machine())  # at once: the mirror was confirmed a moment ago
    assert status == IDLE
    status.set(UNAVAILABLE)
    assert server.ask("SELECT state, version FROM multiprocessing_intenum") == [(int(UNAVAILABLE), 1)]


def test_a_mirror_that_is_refused_leaves_no_row(machine: Machine, server: Server, tmp_path: Path) -> None:
    own = WorkerStatus(IDLE, at=tmp_path / "own")
    (tmp_path / "text").write_text("something else")
    for name, error in (
        ("own", ValueError),
        ("text", ValueError),
        ("nowhere/mode", FileNotFoundError),
        ("x" * 256, OSError),
    ):
        with pytest.raises(error):
            WorkerStatus(IDLE, at=machine(name))
    assert server.ask("SELECT name FROM multiprocessing_intenum") == []
    assert own == IDLE


def test_a_write_is_seen_on_the_other_machine(machine: Machine) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    feed = changes(two, timeout=DEADLINE)
    one.set(CALCULATING)
    assert one == CALCULATING
    assert wait_for(two, CALCULATING, timeout=DEADLINE) is CALCULATING
    two.value = "UNAVAILABLE"
    change = next(feed), next(feed)
    assert [(each.before, each.after, each.pid) for each in change] == [
        (IDLE, CALCULATING, os.getpid()),
        (CALCULATING, UNAVAILABLE, os.getpid()),
    ]


def test_the_time_of_a_change_is_the_servers(machine: Machine, server: Server) -> None:
    one = WorkerStatus(IDLE, at=machine())
    ((before,),) = server.ask("SELECT clock_timestamp()")
    one.set(CALCULATING)
    ((after,),) = server.ask("SELECT clock_timestamp()")
    second = timedelta(milliseconds=1)  # a float has not all digits
    assert before - second <= last_change(one).at <= after + second


def test_any_enum_has_a_record(machine: Machine) -> None:
    class Level(str, enum.Enum):
        LOW = "low"
        HIGH = "high"

    one, two = EnumValue(Level.LOW, at=machine("one")), EnumValue[Level](at=machine("two"))
    one.set("HIGH")
    assert wait_for(two, Level.HIGH, timeout=DEADLINE) is Level.HIGH


def test_the_table_is_made_by_many_at_once(machine: Machine, server: Server) -> None:
    server.ask("DROP TABLE multiprocessing_intenum")
    with pytest.raises(FileNotFoundError, match=r"no table multiprocessing_intenum .* create=True"):
        WorkerStatus(IDLE, at=machine())
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(WorkerStatus(IDLE, at=machine(f"{n}", create=True))))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert [snapshot(each) for each in found] == [IDLE] * 8


def test_the_record_of_another_enum_is_refused(machine: Machine) -> None:
    WorkerStatus(IDLE, at=machine())
    with pytest.raises(ValueError, match=r"the enum WorkerStatusEnum in the record 'mode' is not RecordType here \("):
        IntEnumValue[RecordType](at=machine("two"))


def test_an_enum_may_have_another_name(machine: Machine) -> None:
    renamed: Any = enum.IntEnum("Renamed", {member.name: member.value for member in WorkerStatusEnum})
    WorkerStatus(IDLE, at=machine())
    status: Any = IntEnumValue[renamed](at=machine("two"))
    status.set("CALCULATING")
    assert status.name == "CALCULATING"


def make(record: PostgresRecord) -> None:
    WorkerStatus(CALCULATING, at=record)


def test_a_mirror_left_from_another_enum_is_begun_anew(machine: Machine, server: Server) -> None:
    run(FORK, make, machine())
    server.ask("DELETE FROM multiprocessing_intenum")
    first = next(iter(RecordType))
    assert IntEnumValue(first, at=machine()) == first


def test_a_mirror_in_use_of_another_enum_is_refused(machine: Machine, server: Server) -> None:
    one = WorkerStatus(CALCULATING, at=machine())
    server.ask("DELETE FROM multiprocessing_intenum")
    with pytest.raises(ValueError, match="WorkerStatusEnum in the file is not RecordType here"):
        IntEnumValue(next(iter(RecordType)), at=machine())
    assert one == CALCULATING


def test_a_mirror_and_a_value_of_its_own_are_not_taken_for_each_other(
    machine: Machine, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = WorkerStatus(IDLE, at=machine())
    with pytest.raises(ValueError, match=r"mirrors the record 'mode' of a database, .* give PostgresRecord\(\.\.\.\)"):
        WorkerStatus(IDLE, at=tmp_path / "one")
    assert main(["set", str(tmp_path / "one"), "CALCULATING"]) == 2
    assert "mirrors the record 'mode' of a database, which decides on all writes" in capsys.readouterr().err
    own = WorkerStatus(IDLE, at=tmp_path / "own")
    with pytest.raises(ValueError, match="mirrors no record, expected a mirror of the record 'mode'"):
        WorkerStatus(at=machine("own"))
    other = PostgresRecord(server.conninfo, "other", mirror=tmp_path / "one")
    with pytest.raises(ValueError, match="mirrors another record, 'mode', expected a mirror of the record 'other'"):
        WorkerStatus(IDLE, at=other)
    assert (one, own) == (IDLE, IDLE)


def test_the_mirror_is_read_as_any_file(machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = WorkerStatus(IDLE, at=machine())
    reader = WorkerStatus(at=SharedFile(tmp_path / "one", readonly=True))
    one.set(CALCULATING)
    assert reader == CALCULATING
    assert 0 <= confirmed(reader) < DEADLINE
    assert main(["show", str(tmp_path / "one")]) == 0
    second = r"in use; the mirror of a record, confirmed \d+\.\d s ago"
    assert re.match(rf"CALCULATING since .*\n{second}\n", capsys.readouterr().out)
    assert main(["show", "--json", str(tmp_path / "one")]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["confirmed"] < DEADLINE


def test_a_mirror_of_before_the_machine_was_started_is_shown_as_that(
    machine: Machine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    unfollowed: None,
) -> None:
    WorkerStatus(IDLE, at=machine())
    monkeypatch.setattr(mirror, "_this_boot", mirror._this_boot ^ 2)
    assert main(["show", str(tmp_path / "one")]) == 0
    assert "no process uses it; the mirror of a record, not confirmed since this machine" in capsys.readouterr().out
    assert main(["show", "--json", str(tmp_path / "one")]) == 0
    assert json.loads(capsys.readouterr().out)["confirmed"] is None


def test_who_may_only_read_the_mirror_writes_nothing(server: Server, tmp_path: Path, machine: Machine) -> None:
    def reader() -> Any:
        file = SharedFile(tmp_path / "one", readonly=True)
        return WorkerStatus(at=PostgresRecord(server.conninfo, "mode", mirror=file))

    with pytest.raises(FileNotFoundError):
        reader()
    WorkerStatus(IDLE, at=machine())
    with pytest.raises(PermissionError, match="readonly=True"):
        reader().set(CALCULATING)


def test_an_object_with_an_attribute_shares_the_record(machine: Machine) -> None:
    class Fleet:
        mode = EnumAttribute(WorkerStatus)

        def __init__(self, name: str) -> None:
            self.mode = WorkerStatus(IDLE, at=machine(name))

    one, two = Fleet("one"), Fleet("two")
    twin = copy.deepcopy(one)
    one.mode = CALCULATING
    assert twin.mode is CALCULATING
    assert wait_for(Fleet.mode.proxy_of(two), CALCULATING, timeout=DEADLINE)


@pytest.mark.parametrize("bad", [{"name": ""}, {"name": "a\0b"}, {"conninfo": "=secret="}])
def test_what_is_no_record_is_refused(bad: dict[str, str], tmp_path: Path) -> None:
    given = {"conninfo": "", "name": "mode", **bad}
    with pytest.raises(ValueError, match=r"expected the name of a record|no connection string") as caught:
        PostgresRecord(mirror=tmp_path / "one", **given)
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError, match="must be a str"):
        PostgresRecord(7, "mode", mirror=tmp_path / "one")  # type: ignore[arg-type]


def test_a_record_has_its_own_lock(machine: Machine) -> None:
    with pytest.raises(TypeError, match="a record has the lock of the whole fleet"):
        WorkerStatus(IDLE, at=machine(), lock=multiprocessing.RLock())


# Who decides


@pytest.mark.usefixtures("unfollowed")
def test_a_write_is_decided_by_the_record_and_not_by_the_mirror(machine: Machine) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    one.set(CALCULATING)
    assert two == IDLE
    assert not compare_and_set(two, IDLE, CALCULATING)
    assert two == CALCULATING  # who asks finds the mirror up to date
    assert exchange(one, UNAVAILABLE) is CALCULATING
    assert update(two, lambda member: IDLE if member is UNAVAILABLE else member) is IDLE


class Strict(
    IntEnumValue[WorkerStatusEnum],
    transitions={IDLE: [CALCULATING], CALCULATING: [IDLE, UNAVAILABLE], UNAVAILABLE: [IDLE]},
):
    pass


@pytest.mark.usefixtures("unfollowed")
def test_transitions_are_checked_against_the_record(machine: Machine, server: Server) -> None:
    one, two = Strict(IDLE, at=machine("one")), Strict(at=machine("two"))
    one.set(CALCULATING)
    one.set(UNAVAILABLE)
    with pytest.raises(TransitionError, match="from UNAVAILABLE it goes only to IDLE"):
        two.set(CALCULATING)
    assert server.ask("SELECT state, version FROM multiprocessing_intenum") == [(int(UNAVAILABLE), 2)]
    assert is_free(two.get_lock())


@pytest.mark.usefixtures("unfollowed")
@pytest.mark.parametrize(("missed", "gap"), [(3, False), (16, False), (40, True)])
def test_a_mirror_that_was_away_gets_the_changes_it_has_missed(machine: Machine, missed: int, gap: bool) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    before = last_change(two).number
    for number in range(missed):
        one.set([CALCULATING, UNAVAILABLE, IDLE][number % 3])
    with two.get_lock():
        pass
    found = [each for each in history(two) if each.number > before]
    kept = history(one)[-min(missed, 16) :]
    assert [(each.after, each.at, each.pid) for each in found] == [(each.after, each.at, each.pid) for each in kept]
    # A number that is left out says that some are missing.
    assert (found[0].number > before + 1) is gap


@pytest.mark.usefixtures("unfollowed")
def test_a_mirror_follows_a_record_that_was_set_back(machine: Machine, server: Server) -> None:
    one = WorkerStatus(IDLE, at=machine())
    saved = server.ask("SELECT state, version, history::text FROM multiprocessing_intenum")
    one.set(CALCULATING)
    one.set(UNAVAILABLE)
    server.ask("UPDATE multiprocessing_intenum SET state = %s, version = %s, history = %s::jsonb", *saved[0])
    assert compare_and_set(one, IDLE, CALCULATING)
    assert one == CALCULATING
    # Another write under the same version, as after a failover.
    server.ask("UPDATE multiprocessing_intenum SET state = 1, history = jsonb_set(history, '{-1,1}', '1')")
    with one.get_lock():
        assert one == UNAVAILABLE


def add_one(records: list[PostgresRecord], number: int, count: int) -> None:
    status: Any = IntEnumValue[RecordType](at=records[number % 2])
    members = list(RecordType)
    for _ in range(count):
        update(status, lambda member: members[(members.index(member) + 1) % len(members)])


def test_updates_of_several_machines_lose_nothing(machine: Machine, server: Server) -> None:
    records = [machine("one"), machine("two")]
    first = next(iter(RecordType))
    values = [IntEnumValue(first, at=record) for record in records]
    children = [FORK.Process(target=add_one, args=(records, number, 50)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(DEADLINE)
        assert child.exitcode == 0
    ((version, state),) = server.ask("SELECT version, state FROM multiprocessing_intenum")
    last = list(RecordType)[200 % len(RecordType)]
    assert (version, state) == (200, int(last))
    assert [wait_for(value, last, timeout=DEADLINE) for value in values] == [last, last]


# Who is excluded


def test_the_lock_excludes_the_other_machine(machine: Machine) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    with one.get_lock(), one.get_lock():
        one.set(CALCULATING)
        assert not in_a_thread(lambda: two.get_lock().acquire(False))
        with pytest.raises(TimeoutError, match=r"could not lock 'WorkerStatusEnum' within 0\.01 s, nothing was.*two'$"):
            exchange(two, UNAVAILABLE, timeout=SHORT)
        begun = time.monotonic()
        assert not two.get_lock().acquire(timeout=0.2)
        assert time.monotonic() - begun >= 0.2
        assert not is_free(one.get_lock())
    assert exchange(two, UNAVAILABLE, timeout=DEADLINE) is CALCULATING
    with pytest.raises(RuntimeError, match="cannot release <RecordLock of the record 'mode' not held by this thread>"):
        one.get_lock().release()
    with pytest.raises(ValueError, match="not a number"):
        one.get_lock().acquire(timeout=float("nan"))


def test_two_values_of_a_process_have_one_lock(machine: Machine) -> None:
    one, again = WorkerStatus(IDLE, at=machine()), WorkerStatus(at=machine())
    assert one.get_lock() is again.get_lock()
    with one.get_lock():
        again.set(CALCULATING)
    assert pickle.loads(pickle.dumps(one.get_lock())) is one.get_lock()


def hold(record: PostgresRecord, ready: Any, end: str) -> None:
    lock = WorkerStatus(at=record).get_lock()
    lock.acquire()
    ready.set()
    if end == "thread":
        return
    signal.pause()


def test_a_killed_holder_gives_the_lock_back(machine: Machine) -> None:
    status = WorkerStatus(IDLE, at=machine("two"))
    for name in ("one", "two"):  # of another machine, and of this one
        ready = FORK.Event()
        with running(FORK, hold, machine(name), ready, "") as holder:
            assert ready.wait(DEADLINE)
            assert not status.get_lock().acquire(False)
            holder.kill()
            assert status.get_lock().acquire(timeout=DEADLINE)
            status.get_lock().release()


def test_a_thread_that_ends_gives_the_lock_back(machine: Machine) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    in_a_thread(one.get_lock().acquire)
    assert exchange(one, CALCULATING, timeout=DEADLINE) is IDLE
    assert exchange(two, IDLE, timeout=DEADLINE) is CALCULATING


def in_a_forked_child(status: Any, number: int) -> None:
    assert status == CALCULATING
    assert not status.get_lock().acquire(False)  # it is the parent's, not ours
    os.write(number, b"1")
    assert exchange(status, UNAVAILABLE, timeout=DEADLINE) is CALCULATING


def test_a_forked_child_does_not_have_its_parents_lock(machine: Machine) -> None:
    status = WorkerStatus(IDLE, at=machine())
    status.set(CALCULATING)
    reader, writer = os.pipe()
    with status.get_lock(), running(FORK, in_a_forked_child, status, writer) as child:
        assert os.read(reader, 1)
        assert child.is_alive()
        status.get_lock().release()
        assert wait_for(status, UNAVAILABLE, timeout=DEADLINE)
        status.get_lock().acquire()


def close_what_is_inherited(status: Any, number: int) -> None:
    """`number`: that of the parent's socket, which is another file here by now."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), number)
    status.get_lock()._drop()
    os.fstat(number)


def test_a_forked_child_does_not_close_the_number_of_its_parents_socket(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    with status.get_lock():
        session = status.get_lock()._session  # type: ignore[attr-defined]
        run(FORK, close_what_is_inherited, status, session._pgconn.socket)
        status.set(CALCULATING)  # and has not ended its session
    assert server.ask("SELECT version FROM multiprocessing_intenum") == [(1,)]


def hold_beside_a_child(record: PostgresRecord, pids: Any) -> None:
    """Be the parent of a child that lives on: it has the sockets of this process, if it keeps them."""
    status = WorkerStatus(at=record)
    status.get_lock().acquire()
    if os.fork() == 0:
        pids.put(os.getpid())
        signal.pause()
    signal.pause()


def test_the_lock_of_a_killed_parent_is_free_although_its_child_lives(machine: Machine) -> None:
    status = WorkerStatus(IDLE, at=machine("two"))
    pids = FORK.SimpleQueue()
    with running(FORK, hold_beside_a_child, machine("one"), pids) as parent:
        child = pids.get()
        try:
            assert not status.get_lock().acquire(False)
            parent.kill()
            assert status.get_lock().acquire(timeout=DEADLINE)
            status.get_lock().release()
        finally:
            os.kill(child, signal.SIGKILL)


def write_and_end(status: Any) -> None:
    status.set(CALCULATING)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_value_is_given_to_a_child(machine: Machine, method: str) -> None:
    status = WorkerStatus(IDLE, at=machine("one"))
    run(multiprocessing.get_context(method), write_and_end, status)
    assert status == CALCULATING
    assert pickle.loads(pickle.dumps(status)) == CALCULATING


# Interrupts and signals


def test_an_interrupt_leaves_the_lock_free_and_the_value_whole(machine: Machine) -> None:
    one, two = WorkerStatus(IDLE, at=machine("one")), WorkerStatus(at=machine("two"))
    turn = iter(range(10**9))

    def write() -> None:
        one.set(list(WorkerStatusEnum)[next(turn) % 3])

    def look() -> None:
        assert in_a_thread(lambda: one.get_lock().acquire(timeout=DEADLINE) and one.get_lock().release() is None)
        with two.get_lock():
            assert snapshot(two) in WorkerStatusEnum

    for _ in range(5):
        interrupt_at_random(write, look, longest=4e-3)  # a write takes about one thousandth of a second
    update(two, lambda _: CALCULATING)
    assert wait_for(one, CALCULATING, timeout=DEADLINE)


@pytest.mark.parametrize("is_free_already", [False, True])
def test_an_interrupt_at_the_very_end_leaves_the_lock_free(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, is_free_already: bool
) -> None:
    status: Any = WorkerStatus(IDLE, at=machine())
    lock = status.get_lock()
    release = ThreadsLock.release

    def interrupted(self: ThreadsLock) -> None:
        monkeypatch.undo()
        if is_free_already:
            release(self)
        raise KeyboardInterrupt

    lock.acquire()
    monkeypatch.setattr(ThreadsLock, "release", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lock.release()
    assert not lock._is_mine()
    assert is_free(lock)
    assert exchange(WorkerStatus(at=machine("two")), CALCULATING, timeout=DEADLINE) is IDLE


def test_a_signal_handler_writes_or_gets_an_error_it_can_handle(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine())
    outcomes: list[str] = []

    def handler(*_: object) -> None:
        try:
            status.set(UNAVAILABLE)
        except RuntimeError as error:
            outcomes.append("refused" if "signal handler can not" in str(error) else repr(error))
        else:
            outcomes.append("written")

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0017)
    try:
        end = time.monotonic() + DEADLINE
        while outcomes.count("refused") < 20 or len(outcomes) < 100:
            assert time.monotonic() < end, outcomes
            status.set(CALCULATING)
            status.set(IDLE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(outcomes) <= {"refused", "written"}
    with status.get_lock():
        assert server.ask("SELECT state FROM multiprocessing_intenum") == [(int(status),)]


# How long ago


def test_confirmed_says_how_long_ago(machine: Machine, server: Server, tmp_path: Path) -> None:
    status = WorkerStatus(IDLE, at=machine())
    assert 0 <= confirmed(status) < DEADLINE
    server.stop()
    try:
        end = time.monotonic() + DEADLINE
        while confirmed(status) < 1.5:
            assert time.monotonic() < end
            assert status == IDLE
    finally:
        server.start()
    while confirmed(status) > 1.0:
        assert time.monotonic() < end


def test_confirmed_is_infinite_after_the_machine_was_started_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    monkeypatch.setattr("multiprocessing_intenum.by_path.mirror._this_boot", 2**63 + 1)
    end = time.monotonic() + DEADLINE
    assert confirmed(status) >= 0
    mirror = status.get_lock()._mirror  # type: ignore[attr-defined]
    mirror._boot[()] = 5
    while confirmed(status) == float("inf"):  # until the follower of this machine has looked again
        assert time.monotonic() < end


@pytest.mark.parametrize("bad", [IDLE, WorkerStatus(IDLE)])
def test_confirmed_is_for_records(bad: Any) -> None:
    with pytest.raises(TypeError, match="expected"):
        confirmed(bad)


def test_confirmed_is_not_for_a_file_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"expected a value with at=PostgresRecord"):
        confirmed(WorkerStatus(IDLE, at=tmp_path / "own"))


def test_a_host_that_does_not_answer_is_passed_over(machine: Machine, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:  # takes the connection, and says nothing
        port = other.getsockname()[1]
        hosts = f"host=127.0.0.1,{server.host} port={port},{server.port} user=postgres connect_timeout=1"
        status = WorkerStatus(IDLE, at=machine(conninfo=hosts))
    status.set(CALCULATING)
    assert status == CALCULATING
