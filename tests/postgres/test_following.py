"""Following: which process of a machine does it, for how many records, and what ends or hinders it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from enums import RecordType, WorkerStatus, WorkerStatusEnum
from following_targets import have_open, have_open_until_usr1
from helpers import DEADLINE, held_elsewhere, running, until
from postgres_server import free_port

from multiprocessing_intenum import IntEnumValue, SharedFile, snapshot, wait_for
from multiprocessing_intenum.by_path import mirror
from multiprocessing_intenum.by_path.mirror import Duty, Mirror
from multiprocessing_intenum.memory.words import SIZE
from multiprocessing_intenum.postgres import PostgresRecord, confirmed
from multiprocessing_intenum.postgres import follower as following
from multiprocessing_intenum.postgres.session import ServerError
from multiprocessing_intenum.postgres.table import _key_of, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from postgres_server import Server

    Recorded = Callable[..., PostgresRecord]

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

SPAWN = multiprocessing.get_context("spawn")

NAMES = [f"mode-{number}" for number in range(20)]


@pytest.fixture(autouse=True)
def _nobody_follows_from_before() -> Iterator[None]:
    """Forget the values of other tests, which the tracebacks of their errors may keep, and let those of this one go."""
    following._followers.clear()
    yield
    nobody_follows()


@pytest.fixture
def recorded(server: Server, tmp_path: Path) -> Recorded:
    """Return a record as a process of this name has it, on a machine of this name."""

    def record(name: str = "mode", *, process: str = "here", machine: str = "one", more: str = "") -> PostgresRecord:
        conninfo = f"{server.conninfo}?application_name={process}&sslmode=disable&gssencmode=disable{more}"
        return PostgresRecord(conninfo, name, mirror=tmp_path / f"{machine}-{name}")

    return record


def connections(server: Server) -> list[str]:
    """Return the names of the processes that are connected, in order."""
    sql = "SELECT application_name FROM pg_stat_activity WHERE application_name IN ('here', 'first', 'second', 'third')"
    return sorted(name for (name,) in server.ask(sql))


def first_follows(server: Server, records: list[PostgresRecord]) -> bool:
    """Whether the first process is connected, and has said in each of these mirrors that it has them all open.

    Before that, another process that opens them may well be faster, or rightly take over.
    """
    if connections(server) != ["first"]:
        return False
    readers = [WorkerStatus(at=SharedFile(each.mirror.path, readonly=True)) for each in records]
    duties = [Mirror(each._self_cell.open_file.body).duty for each in readers]  # type: ignore[attr-defined]
    return len({each.token for each in duties}) == 1 and all(each.records == len(records) for each in duties)


def nobody_follows() -> None:
    """Wait until this process has nothing to follow any more."""
    gc.collect()
    until(lambda: not following._followers)


def make(recorded: Recorded, *names: str) -> None:
    """Make records that nobody uses yet."""
    for name in names:
        WorkerStatus(IDLE, at=recorded(name))
    nobody_follows()


def write(server: Server, name: str, member: WorkerStatusEnum) -> None:
    """Write as another machine does, and notify the followers."""
    sql = (
        "UPDATE multiprocessing_intenum SET state = %s, version = version + 1 WHERE name = %s RETURNING "
        f"pg_notify('multiprocessing_intenum_' || lpad(to_hex({_key_of('name')}), 16, '0'), '')"
    )
    assert server.ask(sql, int(member), name)


def has_just_looked(status: WorkerStatus) -> None:
    """Wait until the process that follows has just brought the mirror up to date.

    It has a second until its next look. If it were stopped in the middle of one, it would keep the lock of the mirror.
    """
    file = status._self_cell.open_file  # type: ignore[attr-defined]
    moment = Mirror(file.body)._confirmed
    before = moment[()]
    until(lambda: moment[()] != before)
    with file:
        pass


@contextmanager
def process(records: list[PostgresRecord], target: Any = have_open, **settings: float) -> Iterator[int]:
    """Run a process that has these records open, and yield its process id."""
    pids = SPAWN.SimpleQueue()
    with running(SPAWN, target, records, pids, settings):
        yield pids.get()


# Forks


def test_children_that_are_forked_while_their_parent_looks_who_follows_can_end(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [WorkerStatus(IDLE, at=recorded())]
    values.clear()
    with process([recorded(process="first")]):
        interval = sys.getswitchinterval()
        monkeypatch.setattr(following, "TICK", 1e-6)  # the thread looks all the time
        sys.setswitchinterval(1e-6)
        try:
            values.append(WorkerStatus(at=recorded()))
            for _ in range(300):
                fork_and_drop(values)
        finally:
            sys.setswitchinterval(interval)


def test_a_forked_child_can_end_whatever_events_its_parents_threads_wait_for(
    recorded: Recorded, server: Server
) -> None:
    def conditions() -> list[threading.Condition]:
        return [each for each in gc.get_objects() if isinstance(each, threading.Condition)]

    make(recorded, "mode")
    before = conditions()
    values = [WorkerStatus(at=recorded())]
    until(lambda: connections(server) == ["here"])
    are_held, end = threading.Event(), threading.Event()

    def hold() -> None:
        held = [each for each in conditions() if not any(each is other for other in before)]
        held = [each for each in held if each is not end._cond and each.acquire(timeout=0.01)]  # type: ignore[attr-defined]
        are_held._flag = True  # type: ignore[attr-defined] # set() would want one of them
        end.wait(DEADLINE)
        for each in held:
            each.release()

    thread = threading.Thread(target=hold)
    thread.start()
    until(are_held.is_set)
    try:
        fork_and_drop(values)
    finally:
        end.set()
        thread.join(DEADLINE)


def fork_and_drop(values: list[Any]) -> None:
    """Fork a child that closes the files of these values, and see that it ends."""
    pid = os.fork()
    if pid == 0:
        try:
            values.clear()
        finally:
            os._exit(0)
    end = time.monotonic() + DEADLINE
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail("the child does not end")
        time.sleep(0.0005)


def be_forked(values: list[Any], pipe: int) -> None:
    os.write(pipe, b"1")
    for value in values:
        wait_for(value, CALCULATING, timeout=DEADLINE)


def test_a_forked_child_follows_when_its_parent_does_not_any_more(recorded: Recorded, server: Server) -> None:
    fork = multiprocessing.get_context("fork")
    values = [WorkerStatus(IDLE, at=recorded(name)) for name in NAMES[:3]]
    reader, writer = os.pipe()
    with running(fork, be_forked, values, writer) as child:
        assert os.read(reader, 1)
        values.clear()
        gc.collect()
        until(lambda: not following._followers)
        for name in NAMES[:3]:
            write(server, name, CALCULATING)
        child.join(DEADLINE)
        assert child.exitcode == 0


def test_no_thread_for_following_is_an_error_at_first_and_none_when_there_is_one(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            WorkerStatus(IDLE, at=recorded())
    status = WorkerStatus(at=recorded())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        following._follow_in_child()  # of an interpreter that is ending
    assert not following._followers
    again = WorkerStatus(at=recorded())
    write(server, "mode", CALCULATING)
    assert wait_for(status, CALCULATING, timeout=DEADLINE) is snapshot(again)


# A process that is stopped


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGUSR1])
def test_another_process_stands_in_for_one_that_does_not_run(
    recorded: Recorded, server: Server, caplog: pytest.LogCaptureFixture, how: signal.Signals
) -> None:
    make(recorded, "mode")
    record = recorded(process="first")
    with process([record], have_open_until_usr1) as first:
        until(lambda: first_follows(server, [record]))
        here = WorkerStatus(at=recorded())
        has_just_looked(here)
        os.kill(first, how)
        write(server, "mode", CALCULATING)
        assert wait_for(here, CALCULATING, timeout=DEADLINE) is CALCULATING
        until(lambda: confirmed(here) < 2)
        (said,) = [each for each in caplog.messages if "no sign of life" in each]
        assert said.startswith("the process that follows the record 'mode' on this machine has given no sign of life")
        if how is signal.SIGSTOP:
            os.kill(first, signal.SIGCONT)
            until(lambda: connections(server) == ["here"])


def test_a_process_that_was_stopped_does_not_take_the_duty_back(recorded: Recorded, server: Server) -> None:
    make(recorded, *NAMES[:2])
    both = [recorded(name, process="first") for name in NAMES[:2]]
    with process(both) as first:
        until(lambda: first_follows(server, both))
        here = WorkerStatus(at=recorded("mode-0"))
        has_just_looked(here)
        os.kill(first, signal.SIGSTOP)
        write(server, "mode-0", CALCULATING)
        assert wait_for(here, CALCULATING, timeout=DEADLINE)
        os.kill(first, signal.SIGCONT)
        until(lambda: connections(server) == ["first", "here"])  # it follows the other record, which it has alone
        (follower,) = following._followers.values()
        until(lambda: follower.records[0]._has_right)
        mine = follower.records[0].mirror.duty.token
        for number in range(2, 5):  # at least as many looks of the other process
            write(server, "mode-0", [IDLE, CALCULATING][number % 2])
            moment = follower._look_at
            until(lambda moment=moment: follower._look_at > moment + 0.5)
        assert follower.records[0].mirror.duty.token == mine


def test_a_row_that_a_stopped_process_has_in_its_hands_is_not_stored(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=recorded())
    stored: list[object] = []
    catch_up = Mirror.catch_up
    monkeypatch.setattr(Mirror, "catch_up", lambda *given: [stored.append(given), catch_up(*given)])
    with monkeypatch.context() as patch:
        looks: list[object] = []

        def an_hour_later() -> int:
            looks.append(None)
            return mirror.now() + 3600 * 10**9

        patch.setattr(following, "now", an_hour_later)
        until(lambda: len(looks) > 1)
        stored.clear()
        write(server, "mode", CALCULATING)
        seen = len(looks)
        until(lambda: len(looks) > seen + 1)
        assert (status, stored) == (IDLE, [])
    assert wait_for(status, CALCULATING, timeout=DEADLINE)


# The database is away


@contextmanager
def refusing(port: int) -> Iterator[list[str]]:
    """Listen in the place of a server, and list the names of the processes that try to connect."""
    names: list[str] = []
    with socket.create_server(("127.0.0.1", port)) as listener:

        def refuse() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    words = client.recv(10_000)[8:].split(b"\0")
                    name = words[words.index(b"application_name") + 1] if b"application_name" in words else b""
                    if name in (b"here", b"first", b"second"):  # else it is of a value of another test
                        names.append(name.decode())

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        yield names
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(DEADLINE)


def test_one_process_of_a_machine_tries_to_connect_while_the_database_is_away(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"LONGEST_PAUSE": 0.5, "TENURE": 3600.0}
    for name, value in settings.items():
        monkeypatch.setattr(following, name, value)
    here = WorkerStatus(IDLE, at=recorded())
    with (
        process([recorded(process="first")], **settings),
        process([recorded(process="second")], **settings),
    ):
        until(lambda: connections(server) == ["here"])
        server.stop()
        try:
            with refusing(server.port) as names:
                until(lambda: len(names) > 15)  # more seconds than anybody may be silent
        finally:
            server.start()
        assert set(names) == {"here"}
        write(server, "mode", CALCULATING)
        assert wait_for(here, CALCULATING, timeout=DEADLINE)


def test_a_process_that_can_not_follow_lets_another_one_do_it(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(following, "TENURE", 3600.0)
    here = WorkerStatus(IDLE, at=recorded())
    server.ask("CREATE ROLE guest LOGIN")
    try:
        with process([recorded(process="first")]):
            until(lambda: connections(server) == ["here"])
            follower = following._followers[next(iter(following._followers))]
            follower.parameters = {**follower.parameters, "user": "guest"}  # who has no right
            assert server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'here'")
            until(lambda: [each for each in caplog.messages if "permission denied" in each])
            monkeypatch.setattr(following, "TENURE", 0.5)
            until(lambda: connections(server) == ["first"])
            write(server, "mode", CALCULATING)
            assert wait_for(here, CALCULATING, timeout=DEADLINE)
            until(lambda: "the record 'mode' is followed again" in caplog.messages)
        # Nobody else is left. It tries again, and says so.
        caplog.clear()
        until(lambda: [each for each in caplog.messages if "permission denied" in each])
        following._followers[next(iter(following._followers))].parameters = {**follower.parameters, "user": "postgres"}
        until(lambda: "the record 'mode' is followed again" in caplog.messages)
    finally:
        server.ask("DROP ROLE guest")


def test_a_host_that_does_not_answer_does_not_keep_a_follower_from_the_next_one(
    recorded: Recorded, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CONNECT", 1)
    WorkerStatus(IDLE, at=recorded())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"host=127.0.0.1,{server.host} port={silent.getsockname()[1]},{server.port} user=postgres"
        status = WorkerStatus(at=PostgresRecord(hosts, "mode", mirror=tmp_path / "one-mode"))
        until(lambda: server.sessions())
        write(server, "mode", CALCULATING)
        assert wait_for(status, CALCULATING, timeout=DEADLINE)


def test_a_lost_connection_is_made_again_for_all_records(
    recorded: Recorded, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    values = [WorkerStatus(IDLE, at=recorded(name)) for name in NAMES]
    (follower,) = following._followers.values()
    until(lambda: len(follower._channels) == len(NAMES))
    server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'here'")
    until(lambda: caplog.messages.count("the record 'mode-19' is followed again") == 1)
    for name, value in zip(NAMES, values, strict=True):
        write(server, name, CALCULATING)
        assert wait_for(value, CALCULATING, timeout=DEADLINE)
        assert [each for each in caplog.messages if f"'{name}' is not followed at the moment: the conn" in each]
    until(lambda: connections(server) == ["here"])


# Many records


def test_a_machine_has_one_connection_for_all_records_and_asks_for_them_at_once(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(recorded, *NAMES)
    records = [recorded(name, process="first") for name in NAMES]
    with process(records):
        until(lambda: first_follows(server, records))
        values = [WorkerStatus(at=recorded(name)) for name in NAMES]
        for name, value in zip(NAMES, values, strict=True):
            write(server, name, CALCULATING)
            assert wait_for(value, CALCULATING, timeout=DEADLINE)
    queries: list[Any] = []
    ask = following.Session._ask
    monkeypatch.setattr(following.Session, "_ask", lambda self, *given: [queries.append(self), ask(self, *given)][1])
    (follower,) = following._followers.values()
    until(lambda: len(follower._channels) == len(NAMES))
    find_all, looks = following.find_all, []
    until(lambda: all(confirmed(value) < 2 for value in values))
    monkeypatch.setattr(following, "find_all", lambda *given: [looks.append(given), find_all(*given)][1])
    queries.clear()
    until(lambda: len(looks) == 3)
    assert len(queries) <= 3
    assert [sorted(names) for _, names, _ in looks] == [sorted(NAMES)] * 3


def test_the_process_with_most_records_follows_them_all(recorded: Recorded, server: Server) -> None:
    make(recorded, *NAMES[:3])
    with (
        process([recorded(NAMES[0], process="first")]) as first,
        process([recorded(NAMES[1], process="second"), recorded(NAMES[2], process="second")]),
    ):
        until(lambda: connections(server) == ["first", "second"])
        values = [WorkerStatus(at=recorded(name)) for name in NAMES[:3]]
        until(lambda: connections(server) == ["here"])
        until(lambda: all(each.is_mine for each in next(iter(following._followers.values())).records))
        os.kill(first, 0)
        for name, value in zip(NAMES, values, strict=False):
            write(server, name, CALCULATING)
            assert wait_for(value, CALCULATING, timeout=DEADLINE)
        del value
        values.clear()
        until(lambda: connections(server) == ["first", "second"])


def test_of_two_processes_that_follow_some_records_each_one_follows_them_all(
    recorded: Recorded, server: Server
) -> None:
    make(recorded, *NAMES[:2])
    both = [recorded(name, process="first") for name in NAMES[:2]]
    with process(both):
        until(lambda: first_follows(server, both))
        values = [WorkerStatus(at=recorded(name)) for name in NAMES[:2]]
        (follower,) = following._followers.values()
        # As if this process had been faster with one of them.
        until(lambda: follower.records[0]._sign[1] == 2)
        follower.records[0]._take()
        follower.records[0].give_sign(4)
        until(lambda: len({each.mirror.duty.token for each in follower.records}) == 1)
        until(lambda: len(connections(server)) == 1)
        write(server, NAMES[0], CALCULATING)
        assert wait_for(values[0], CALCULATING, timeout=DEADLINE)
        until(lambda: len({each.mirror.duty.token for each in follower.records}) == 1)


def test_a_process_with_more_records_that_can_not_follow_leaves_them_to_the_one_that_does(
    recorded: Recorded, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    make(recorded, *NAMES[:2])
    with process([recorded(NAMES[0], process="first")]):
        until(lambda: connections(server) == ["first"])
        dead = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres?application_name=here"
        record = PostgresRecord(dead, NAMES[0], mirror=recorded(NAMES[0]).mirror)
        values = [WorkerStatus(at=record)]
        values += [WorkerStatus(at=PostgresRecord(dead, NAMES[1], mirror=recorded(NAMES[1]).mirror))]
        (follower,) = following._followers.values()
        until(lambda: follower.records[0]._has_lost)
        write(server, NAMES[0], CALCULATING)
        assert wait_for(values[0], CALCULATING, timeout=DEADLINE)
        assert not [each for each in caplog.messages if f"'{NAMES[0]}' is not followed" in each]


def test_records_are_opened_and_dropped_while_others_are_followed(recorded: Recorded, server: Server) -> None:
    one = WorkerStatus(IDLE, at=recorded("one"))
    until(lambda: connections(server) == ["here"])
    (follower,) = following._followers.values()
    two = WorkerStatus(IDLE, at=recorded("two"))
    again = WorkerStatus(at=recorded("two"))
    until(lambda: len(follower._channels) == 2)
    write(server, "two", CALCULATING)
    assert wait_for(again, CALCULATING, timeout=DEADLINE) is snapshot(two)
    del two
    assert len(follower.records) == 2
    del again
    until(lambda: len(follower._channels) == 1)
    write(server, "one", CALCULATING)
    assert wait_for(one, CALCULATING, timeout=DEADLINE)
    until(lambda: connections(server) == ["here"])
    del one
    until(lambda: connections(server) == [])
    assert not following._followers


def test_a_record_that_is_opened_just_when_the_thread_ends_is_followed(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [WorkerStatus(IDLE, at=recorded("one"))]
    (follower,) = following._followers.values()
    tick = following._Followed.tick

    def opened_after(self: Any, *given: Any, **others: Any) -> bool:
        is_open = tick(self, *given, **others)
        if not is_open and not values:
            values.append(WorkerStatus(IDLE, at=recorded("two")))
        return is_open

    monkeypatch.setattr(following._Followed, "tick", opened_after)
    values.clear()
    until(lambda: values)
    write(server, "two", CALCULATING)
    assert wait_for(values[0], CALCULATING, timeout=DEADLINE)
    assert list(following._followers.values()) == [follower]


def test_a_record_that_can_not_be_followed_does_not_hinder_the_others(
    recorded: Recorded, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    values = {name: WorkerStatus(IDLE, at=recorded(name)) for name in ("gone", "other", "odd", "held", "good")}
    (follower,) = following._followers.values()
    until(lambda: len(follower._channels) == len(values))
    ((kept,),) = server.ask("SELECT enum::text FROM multiprocessing_intenum WHERE name = 'good'")
    with held_elsewhere(values["held"]._self_cell.open_file):  # type: ignore[attr-defined]
        server.ask("DELETE FROM multiprocessing_intenum WHERE name = 'gone'")
        server.ask(
            "UPDATE multiprocessing_intenum SET enum = jsonb_set(enum, '{members,IDLE}', '7'), state = 3, version = 1 "
            "WHERE name = 'other'"
        )
        server.ask("UPDATE multiprocessing_intenum SET history = '[[1]]', state = 3, version = 1 WHERE name = 'odd'")
        write(server, "held", CALCULATING)
        for name, text in (
            ("gone", "there is no record 'gone'"),
            ("other", "the enum WorkerStatusEnum in the record 'other' is not"),
            ("odd", "its row holds something that this library does not write"),
            ("held", "another process holds the lock of the mirror"),
        ):
            until(lambda start=f"the record '{name}' is not followed at the moment: {text}": _logged(caplog, start))
        write(server, "good", CALCULATING)
        assert wait_for(values["good"], CALCULATING, timeout=DEADLINE)
        assert [snapshot(values[name]) for name in ("gone", "other", "odd", "held")] == [IDLE] * 4
    assert not _logged(caplog, "the record 'good' is not")
    server.ask("INSERT INTO multiprocessing_intenum VALUES ('gone', %s::jsonb, 3, 9, '[]')", kept)
    server.ask("UPDATE multiprocessing_intenum SET enum = %s::jsonb WHERE name = 'other'", kept)
    server.ask("UPDATE multiprocessing_intenum SET history = '[]' WHERE name = 'odd'")
    for name, value in values.items():
        assert wait_for(value, CALCULATING, timeout=DEADLINE)
        if name != "good":
            until(lambda name=name: _logged(caplog, f"the record '{name}' is followed again"))
            assert len(_logged(caplog, f"the record '{name}' is not followed")) == 1


def _logged(caplog: pytest.LogCaptureFixture, start: str) -> list[str]:
    return [each for each in caplog.messages if each.startswith(start)]


def test_a_mirror_that_can_not_be_locked_is_an_error_of_its_own_record(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    values = [WorkerStatus(IDLE, at=recorded(name)) for name in NAMES[:2]]
    until(lambda: connections(server) == ["here"])
    (follower,) = following._followers.values()
    first = follower.records[0]

    def refuse(*_: object) -> None:
        message = "another file has this name now"
        raise FileNotFoundError(message)

    with monkeypatch.context() as patch:
        patch.setattr(first, "_look", refuse)
        until(lambda: _logged(caplog, "the record 'mode-0' is not followed at the moment: another file has this name"))
        write(server, NAMES[1], CALCULATING)
        assert wait_for(values[1], CALCULATING, timeout=DEADLINE)


def test_records_in_different_schemas_are_followed(recorded: Recorded, server: Server) -> None:
    server.ask("CREATE SCHEMA other")
    try:
        server.ask("CREATE TABLE other.multiprocessing_intenum (LIKE multiprocessing_intenum INCLUDING ALL)")
        one = WorkerStatus(IDLE, at=recorded())
        two = IntEnumValue(
            next(iter(RecordType)), at=recorded(machine="two", more="&options=-c%20search_path%3Dother,public")
        )
        last = list(RecordType)[-1]
        server.ask("UPDATE other.multiprocessing_intenum SET state = %s, version = 1", int(last))
        write(server, "mode", CALCULATING)
        assert wait_for(one, CALCULATING, timeout=DEADLINE)
        assert wait_for(two, last, timeout=DEADLINE)
        until(lambda: connections(server) == ["here", "here"])
    finally:
        server.ask("DROP SCHEMA other CASCADE")


def test_a_table_that_vanishes_and_is_made_anew_is_followed(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    values = [WorkerStatus(IDLE, at=recorded(name)) for name in NAMES[:2]]
    rows = server.ask("SELECT name, enum::text, state, version, history::text FROM multiprocessing_intenum")
    until(lambda: connections(server) == ["here"])
    server.ask("ALTER TABLE multiprocessing_intenum RENAME TO gone")
    for name in NAMES[:2]:
        start = f"the record '{name}' is not followed at the moment: the database has no table"
        until(lambda start=start: _logged(caplog, start))
    server.ask("DROP TABLE gone")
    server.make_table()
    for row in rows:
        server.ask("INSERT INTO multiprocessing_intenum VALUES (%s, %s::jsonb, %s, %s, %s::jsonb)", *row)
    until(lambda: all(confirmed(value) < 2 for value in values))
    # From here on a write is found by its notification only.
    (follower,) = following._followers.values()
    until(lambda: len(follower._channels) == 2)
    monkeypatch.setattr(following, "LOOK", 3600.0)
    look_at = follower._look_at
    until(lambda: follower._look_at > look_at + 3000)
    for name, value in zip(NAMES, values, strict=False):
        write(server, name, CALCULATING)
        assert wait_for(value, CALCULATING, timeout=DEADLINE)


def test_a_table_that_is_exchanged_in_one_transaction_is_followed(
    recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=recorded())
    (follower,) = following._followers.values()
    until(lambda: follower._channels)
    before = follower._channels
    server.ask(
        "CREATE TABLE new (LIKE multiprocessing_intenum INCLUDING ALL); "
        "INSERT INTO new SELECT * FROM multiprocessing_intenum; "
        "DROP TABLE multiprocessing_intenum; ALTER TABLE new RENAME TO multiprocessing_intenum"
    )
    until(lambda: confirmed(status) < 0.5)
    assert follower._channels == before  # they have names from names, which are the same
    monkeypatch.setattr(following, "LOOK", 3600.0)
    look_at = follower._look_at
    until(lambda: follower._look_at > look_at + 3000)
    write(server, "mode", CALCULATING)
    assert wait_for(status, CALCULATING, timeout=DEADLINE)


def test_a_standby_is_followed_although_it_notifies_nobody(recorded: Recorded, server: Server, tmp_path: Path) -> None:
    make(recorded, "mode")
    with server.standby() as standby:
        conninfo = f"{standby.conninfo}?target_session_attrs=any"
        status = WorkerStatus(at=PostgresRecord(conninfo, "mode", mirror=tmp_path / "three"))
        write(server, "mode", CALCULATING)
        assert wait_for(status, CALCULATING, timeout=DEADLINE)
        (follower,) = following._followers.values()
        session = follower._session
        for member in (IDLE, CALCULATING):
            write(server, "mode", member)
            assert wait_for(status, member, timeout=DEADLINE)
        assert follower._session is session
        del status
        nobody_follows()


def test_a_channel_that_is_refused_is_an_error() -> None:
    class Refusing:
        def script(self, sql: str, _: float) -> None:
            raise ServerError("53200", sql, 0)

    session: Any = Refusing()
    with pytest.raises(ConnectionError, match="UNLISTEN b; LISTEN a"):
        listen(session, {"a"}, {"b"}, 0.0)


def test_the_words_of_the_duty_are_kept_apart() -> None:
    made = Mirror(memoryview(bytearray(SIZE)))
    assert made.duty == (0, 0, 0, 0)
    for duty in (Duty(2**14 - 1, 0, 63, 0), Duty(1, 15, 0, 255), Duty(2**14 - 1, 15, 63, 255)):
        made.duty = duty
        assert made.duty == duty
    made.duty = Duty(5, 16, 1000, 1000)
    assert made.duty == (5, 0, 63, 255)
    assert made.words.state[()] == 0
    assert bytes(made.words._bytes[16:20]) == bytes(4)
