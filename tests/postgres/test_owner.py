"""A state of a record that ends with its owner: who owns it, what ends that, and who notices."""

from __future__ import annotations

import gc
import json
import math
import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, held_elsewhere, in_a_thread, interrupt_at_random, is_free, running, until
from owner_targets import claim_once, own_again_and_again
from path_targets import Stranger, strangers
from pooler import pooler
from versions import New, NewValue, Old, OldValue

from multiprocessing_intenum import (
    IntEnumValue,
    SharedFile,
    TransitionError,
    UnknownMemberError,
    adopt,
    compare_and_exchange,
    compare_and_set,
    exchange,
    history,
    last_change,
    reap,
    snapshot,
    update,
    wait_for,
)
from multiprocessing_intenum.postgres import PostgresRecord, confirmed, owner
from multiprocessing_intenum.postgres import follower as following
from multiprocessing_intenum.postgres.follower import _Followed
from multiprocessing_intenum.postgres.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Machine
    from postgres_server import Server

    from multiprocessing_intenum.postgres.session import Session

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

FORK = multiprocessing.get_context("fork")

LOST = "owned the state of the record 'mode', and has lost the connection by which PostgreSQL saw that it lives"


@pytest.fixture(autouse=True)
def _followed_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at the records more often, and forget the session of this process and what it follows."""
    monkeypatch.setattr(following, "LOOK", 0.1)
    monkeypatch.setattr(following, "TICK", 0.05)
    following._followers.clear()  # values that the tracebacks of errors keep
    yield
    while owner._lives:
        owner._lives.popitem()[1].end()
    gc.collect()
    until(lambda: not following._followers)


@pytest.fixture
def unfollowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody of this process look at an owner, except writers and `reap`."""
    monkeypatch.setattr(_Followed, "reap", lambda *_: None)


@pytest.fixture
def owns(machine: Machine, server: Server, tmp_path: Path) -> Iterator[Callable[[str], Stranger]]:
    """Return a function that starts a process, on a machine of this name, which owns CALCULATING."""
    with strangers(3) as processes:

        def start(
            name: str, call: str = "compare_and_set(status, 'IDLE', 'CALCULATING', on_death='UNAVAILABLE')"
        ) -> Any:
            process = processes.pop()
            started.append(process)
            assert process.ask("from multiprocessing_intenum.postgres import PostgresRecord") == "None"
            record = f"PostgresRecord({server.conninfo!r}, 'mode', mirror={str(tmp_path / name)!r})"
            assert process.ask(f"status = WorkerStatus(at={record})") == "None"
            assert process.ask(call) == "True"
            return process

        started: list[Stranger] = []
        yield start
        processes += started


def row(server: Server) -> tuple[Any, ...]:
    (found,) = server.ask("SELECT state, version, history -> -1 FROM multiprocessing_intenum")
    return found


def pids(status: Any) -> list[int]:
    return [change.pid for change in history(status)]


def owner_of(status: Any) -> Any:
    return status._self_cell.owner()


def cut_life(server: Server) -> None:
    """End the session by which this process lives."""
    (life,) = owner._lives.values()
    assert server.ask("SELECT pg_terminate_backend(%s, 10000)", life._session.pid) == [(True,)]


# What ends an owner, and what does not


def test_a_killed_owner_leaves_one_change_to_all_machines(
    machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    process = owns("here")
    pid = process.process.pid
    for each in here, there:
        assert wait_for(each, CALCULATING, timeout=DEADLINE)
        until(lambda each=each: owner_of(each) == (pid, True, UNAVAILABLE))  # type: ignore[misc]
        assert reap(each) is CALCULATING
    process.kill()
    for each in there, here:
        assert wait_for(each, UNAVAILABLE, timeout=DEADLINE)
        assert owner_of(each) is None
        assert [change.after for change in history(each)] == [IDLE, CALCULATING, UNAVAILABLE]
        assert pids(each)[1:] == [pid, pid]
    assert row(server)[:2] == (UNAVAILABLE, 2)


@pytest.mark.parametrize("end", ["os._exit(0)", "raise SystemExit", "os.execv('/bin/sleep', ['sleep', '60'])"])
def test_an_owner_ends_however_its_program_does(end: str, machine: Machine, owns: Callable[[str], Stranger]) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    owns("there").tell(end)
    assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)


def test_a_thread_of_the_owner_is_the_owner_and_its_end_is_not_that_of_the_owner(machine: Machine) -> None:
    status, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    assert in_a_thread(lambda: compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE))
    assert wait_for(there, CALCULATING, timeout=DEADLINE)
    looked(there, 2)
    assert reap(there) is CALCULATING
    assert compare_and_set(status, CALCULATING, CALCULATING, on_death=IDLE)
    assert owner_of(status) == (os.getpid(), True, IDLE)
    assert in_a_thread(lambda: exchange(status, CALCULATING, on_death=UNAVAILABLE)) is CALCULATING
    assert owner_of(status) == (os.getpid(), True, UNAVAILABLE)


def test_a_process_owns_the_state_also_when_it_has_dropped_the_value(machine: Machine, server: Server) -> None:
    there = WorkerStatus(IDLE, at=machine("there"))
    compare_and_set(WorkerStatus(at=machine("here")), IDLE, CALCULATING, on_death=UNAVAILABLE)
    gc.collect()
    assert wait_for(there, CALCULATING, timeout=DEADLINE)
    looked(there, 2)
    assert reap(there) is CALCULATING


def looked(status: Any, times: int) -> None:
    """Wait until the process that follows has looked at the record so often."""
    for _ in range(times):
        before = time.monotonic() - confirmed(status)
        until(lambda before=before: time.monotonic() - confirmed(status) > before + 0.001)  # type: ignore[misc]


def test_a_stopped_owner_lives(machine: Machine, server: Server, owns: Callable[[str], Stranger]) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    os.kill(process.process.pid, signal.SIGSTOP)
    try:
        assert wait_for(here, CALCULATING, timeout=DEADLINE)
        looked(here, 5)
        assert reap(here) is CALCULATING
        assert not compare_and_set(here, CALCULATING, CALCULATING, on_death=IDLE)
    finally:
        os.kill(process.process.pid, signal.SIGCONT)
    assert process.ask("compare_and_set(status, 'CALCULATING', 'IDLE')") == "True"
    assert row(server)[:2] == (IDLE, 2)


CHILD = "pid = os.fork() or (signal.pause(), os._exit(0))"


def test_a_forked_child_does_not_keep_its_parent_alive(machine: Machine, owns: Callable[[str], Stranger]) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    assert process.ask(CHILD) == "None"
    child = int(process.ask("pid"))
    try:
        process.kill()
        assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_is_not_the_owner(machine: Machine, server: Server) -> None:
    status = WorkerStatus(IDLE, at=machine("here"))
    assert compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)

    def in_the_child(answers: Any) -> None:
        answers.put(reap(status))
        answers.put(compare_and_set(status, CALCULATING, CALCULATING, on_death=IDLE))
        status.set(CALCULATING)  # no change, and no news of a loss

    answers = FORK.Queue()
    with running(FORK, in_the_child, answers) as child:
        child.join(DEADLINE)
        assert child.exitcode == 0
    assert [answers.get(timeout=DEADLINE) for _ in range(2)] == [CALCULATING, False]
    looked(status, 3)
    assert reap(status) is CALCULATING
    with running(FORK, lambda: exchange(status, CALCULATING, on_death=IDLE)) as child:
        child.join(DEADLINE)
        assert child.exitcode == 0
        pid = child.pid
    assert wait_for(status, IDLE, timeout=DEADLINE)
    assert last_change(status).pid == pid
    status.set(CALCULATING)  # this process still lives: somebody else has taken the state from it


def test_an_owner_behind_a_pooler_that_gives_it_a_session_lives_as_long_as_its_client(
    machine: Machine, server: Server, tmp_path: Path
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    with pooler((server.host, server.port), shared=False) as pool, strangers(1) as (process,):
        conninfo = f"postgresql://postgres@127.0.0.1:{pool.port}/postgres"
        process.ask("from multiprocessing_intenum.postgres import PostgresRecord")
        record = f"PostgresRecord({conninfo!r}, 'mode', mirror={str(tmp_path / 'there')!r})"
        assert process.ask(f"status = WorkerStatus(at={record})") == "None"
        assert process.ask("exchange(status, 'CALCULATING', on_death='UNAVAILABLE').name") == "'IDLE'"
        assert wait_for(here, CALCULATING, timeout=DEADLINE)
        assert reap(here) is CALCULATING
        process.kill()
        assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)


# What ends the ownership


def test_any_change_ends_it_and_a_write_of_the_same_member_does_not(
    machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    here.set(CALCULATING)
    until(lambda: owner_of(here) == (process.process.pid, True, UNAVAILABLE))
    here.set(IDLE)
    assert owner_of(here) is None
    here.set(CALCULATING)
    process.kill()
    assert reap(here) is CALCULATING
    looked(here, 3)
    assert row(server)[:2] == (CALCULATING, 3)


def test_a_state_that_was_written_by_hand_is_nobodys(
    machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    server.ask("UPDATE multiprocessing_intenum SET state = 2")
    process.kill()
    assert wait_for(here, IDLE, timeout=DEADLINE)
    looked(here, 3)
    assert row(server)[:2] == (IDLE, 1)
    assert adopt(here, on_death=UNAVAILABLE) is IDLE
    state, version, (at_version, at_state, _, pid, (_, on_death, by)) = row(server)
    assert (state, version, at_version, at_state, pid, on_death, by) == (2, 1, 1, 2, 0, 1, os.getpid())


def test_a_state_goes_to_the_process_that_adopts_it_and_its_claimer_may_end(
    machine: Machine, server: Server, owns: Callable[..., Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    claimer = owns("there")
    adopter = owns("elsewhere", "adopt(status, on_death='IDLE') is WorkerStatusEnum.CALCULATING")
    state, version, entry = row(server)
    assert (state, version, entry[3]) == (CALCULATING, 1, claimer.process.pid)
    until(lambda: owner_of(here) == (adopter.process.pid, True, IDLE))
    claimer.kill()
    looked(here, 3)
    assert reap(here) is CALCULATING
    adopter.kill()
    assert wait_for(here, IDLE, timeout=DEADLINE)
    assert pids(here)[1:] == [claimer.process.pid, adopter.process.pid]


def test_only_a_claim_that_does_not_look_at_the_state_takes_it_from_a_living_owner(
    machine: Machine, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    assert not compare_and_set(here, IDLE, CALCULATING, on_death=IDLE)
    assert not compare_and_set(here, CALCULATING, CALCULATING, on_death=IDLE)
    assert owner_of(here) == (process.process.pid, True, UNAVAILABLE)
    assert exchange(here, CALCULATING, on_death=IDLE) is CALCULATING
    assert owner_of(here) == (os.getpid(), True, IDLE)
    process.kill()
    looked(here, 3)
    assert reap(here) is CALCULATING


def test_one_of_two_machines_that_race_for_a_state_owns_it(machine: Machine, server: Server) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    for round_ in range(5):
        barrier, winners = FORK.Barrier(4), FORK.Queue()
        children = [
            FORK.Process(target=claim_once, args=(machine(name), barrier, winners))
            for name in ("here", "there", "third")
        ]
        for child in children:
            child.start()
        try:
            barrier.wait(DEADLINE)
            pid = winners.get(timeout=DEADLINE)
            assert wait_for(here, CALCULATING, timeout=DEADLINE)
            assert reap(here) is CALCULATING
            barrier.wait(DEADLINE)
            for child in children:
                child.join(DEADLINE)
                assert child.exitcode == 0
        finally:
            for child in children:
                child.kill()
        assert winners.empty()
        assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)
        assert row(server)[1] == 3 * round_ + 2
        assert last_change(here).pid == pid
        here.set(IDLE)


def test_what_follows_must_be_allowed(machine: Machine, server: Server) -> None:
    class Strict(
        IntEnumValue[WorkerStatusEnum], transitions={IDLE: [CALCULATING], CALCULATING: [IDLE], UNAVAILABLE: []}
    ):
        pass

    status = Strict(IDLE, at=machine())
    with pytest.raises(TransitionError):
        compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)
    with pytest.raises(TransitionError):
        adopt(status, on_death=UNAVAILABLE)
    assert row(server)[1] == 0
    assert not owner._lives
    assert compare_and_exchange(status, IDLE, CALCULATING, on_death=IDLE) is IDLE
    with pytest.raises(TransitionError):
        exchange(status, UNAVAILABLE, on_death=IDLE)
    assert owner_of(status) == (os.getpid(), True, IDLE)


def test_a_claim_is_written_by_the_set_of_the_value(machine: Machine, server: Server) -> None:
    seen: list[Any] = []

    class Detour(IntEnumValue[WorkerStatusEnum]):
        def set(self, value: Any) -> None:
            seen.append(value)
            for each in way:
                super().set(each)

    status = Detour(IDLE, at=machine())
    way = [UNAVAILABLE, CALCULATING]
    assert exchange(status, CALCULATING, on_death=IDLE) is IDLE
    assert owner_of(status) == (os.getpid(), True, IDLE)
    way = [CALCULATING, UNAVAILABLE]
    assert exchange(status, CALCULATING, on_death=IDLE) is CALCULATING  # the state is this one already
    assert exchange(status, IDLE, on_death=UNAVAILABLE) is CALCULATING
    assert (snapshot(status), owner_of(status)) == (UNAVAILABLE, None)
    way = [CALCULATING, IDLE, CALCULATING]
    assert exchange(status, CALCULATING, on_death=IDLE) is UNAVAILABLE
    assert owner_of(status) == (os.getpid(), True, IDLE)
    assert seen == [CALCULATING, IDLE, CALCULATING]
    assert row(server)[:2] == (CALCULATING, 6)


# Who looks


LOOKS: dict[str, Callable[[Any], object]] = {
    "reap": reap,
    "reap under the lock": lambda status: in_a_lock(status, lambda: reap(status)),
    "set": lambda status: status.set(UNAVAILABLE),
    "update": lambda status: update(status, lambda member: member),
    "compare_and_set": lambda status: compare_and_set(status, IDLE, CALCULATING),
    "adopt": lambda status: adopt(status, on_death=IDLE),
}


def in_a_lock(status: Any, action: Callable[[], object]) -> object:
    with status.get_lock():
        return action()


@pytest.mark.usefixtures("unfollowed")
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_whoever_writes_or_reaps_finds_what_the_dead_owner_has_asked_for(
    look: Callable[[Any], object], machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    pid = process.process.pid
    until(lambda: owner_of(here) == (pid, True, UNAVAILABLE))
    process.kill()
    until(lambda: owner_of(here) == (pid, False, UNAVAILABLE))  # it is known, but left to others
    assert snapshot(here) is CALCULATING
    look(here)
    assert snapshot(here) is UNAVAILABLE
    assert row(server)[:2] == (UNAVAILABLE, 2)
    assert last_change(here).pid == pid


@pytest.mark.usefixtures("unfollowed")
def test_a_holder_of_the_lock_reaps_an_owner_that_ends_meanwhile(
    machine: Machine, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    with here.get_lock():
        assert reap(here) is CALCULATING
        process.kill()
        until(lambda: reap(here) is UNAVAILABLE)
        here.set(IDLE)
        assert reap(here) is IDLE
    assert [change.after for change in history(here)] == [IDLE, CALCULATING, UNAVAILABLE, IDLE]


def test_reap_under_a_lock_that_was_lost_says_so(machine: Machine, server: Server) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    assert compare_and_set(here, IDLE, CALCULATING, on_death=UNAVAILABLE)
    here.get_lock().acquire()
    server.cut()
    for _ in range(2):
        with pytest.raises(ConnectionError, match=r"lost.* Nothing was written"):
            reap(here)
    here.get_lock().release()
    until(lambda: reap(here) is UNAVAILABLE)
    with pytest.raises(ConnectionError, match=LOST):
        here.set(IDLE)


def test_reap_takes_no_lock_of_the_fleet_while_the_owner_lives_and_brings_the_mirror_up_to_date(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch, owns: Callable[[str], Stranger]
) -> None:
    monkeypatch.setattr(following, "LOOK", DEADLINE)
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    process = owns("third")
    assert wait_for(here, CALCULATING, timeout=DEADLINE)
    with there.get_lock():
        assert reap(here, timeout=DEADLINE) is CALCULATING
        server.ask("UPDATE multiprocessing_intenum SET state = 2, version = 2")
        assert reap(here, timeout=DEADLINE) is IDLE
    process.kill()


def test_reap_waits_no_longer_than_it_was_told(
    machine: Machine, owns: Callable[[str], Stranger], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    owns("there")
    assert wait_for(here, CALCULATING, timeout=DEADLINE)
    with held_elsewhere(here.get_lock()), pytest.raises(TimeoutError, match="could not lock"):
        reap(here, timeout=SHORT)
    assert reap(here, timeout=math.inf) is CALCULATING
    assert reap(here, timeout=0) is CALCULATING

    def hold() -> None:
        here.get_lock().acquire()

    in_a_thread(hold)  # a thread that ends with the lock
    assert reap(here, timeout=DEADLINE) is CALCULATING


def test_reap_asks_the_database_and_plain_reads_do_without(
    machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    owns("there")
    reader = WorkerStatus(at=SharedFile(machine("here").mirror.path, readonly=True))
    assert wait_for(here, CALCULATING, timeout=DEADLINE)
    assert reap(here) is CALCULATING
    server.stop(signal.SIGQUIT)
    try:
        with pytest.raises(ConnectionError, match="could not connect"):
            reap(here, timeout=1)
        assert snapshot(here) is reap(reader) is CALCULATING
    finally:
        server.start()
    assert is_free(here.get_lock())
    assert wait_for(reader, UNAVAILABLE, timeout=DEADLINE)  # the server has ended all sessions


def test_a_signal_handler_that_comes_while_its_thread_takes_the_lock_can_not_reap(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    assert compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)
    checked, errors = Table.checked, []

    def interrupted(self: Table, row: Any) -> Any:
        if threading.current_thread() is threading.main_thread():  # not the one that follows
            with pytest.raises(RuntimeError) as error:
                reap(status)
            errors.append(str(error.value))
        return checked(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "checked", interrupted)
        status.get_lock().acquire()
    status.get_lock().release()
    assert errors
    assert all("try again later" in each for each in errors)
    assert reap(status) is CALCULATING


# The process that follows


def test_a_follower_that_may_only_read_leaves_an_owner_to_others_and_goes_on(
    machine: Machine, server: Server, owns: Callable[[str], Stranger], caplog: pytest.LogCaptureFixture
) -> None:
    if not server.ask("SELECT 1 FROM pg_roles WHERE rolname = 'looker'"):
        server.ask("CREATE ROLE looker LOGIN")
    server.ask("GRANT SELECT ON multiprocessing_intenum TO looker")
    writer = WorkerStatus(IDLE, at=machine("here"))
    del writer
    gc.collect()
    process = owns("there")
    conninfo = server.conninfo.replace("postgres:tiger", "looker")
    watcher = WorkerStatus(at=machine("watcher", conninfo))
    refused = server.log().count("permission denied")
    os.kill(process.process.pid, signal.SIGSTOP)  # it does not follow for the others
    until(lambda: owner_of(watcher) == (process.process.pid, True, UNAVAILABLE))
    process.kill()
    until(lambda: owner_of(watcher) == (process.process.pid, False, UNAVAILABLE))
    looked(watcher, 5)
    assert snapshot(watcher) is CALCULATING
    assert server.log().count("permission denied") == refused + 1  # not with each look
    assert reap(WorkerStatus(at=machine("third"))) is UNAVAILABLE
    assert wait_for(watcher, UNAVAILABLE, timeout=DEADLINE)
    assert not caplog.records


def test_a_follower_does_not_wait_for_a_table_that_is_locked(
    machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    assert wait_for(here, CALCULATING, timeout=DEADLINE)
    with server.connect() as other:
        other.autocommit = False
        other.execute("LOCK TABLE multiprocessing_intenum IN SHARE MODE")
        process.kill()
        until(lambda: owner_of(here) == (process.process.pid, False, UNAVAILABLE))
        looked(here, 3)
        assert snapshot(here) is CALCULATING
        other.rollback()
    assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)
    assert row(server)[:2] == (UNAVAILABLE, 2)


def test_a_follower_leaves_the_owner_to_the_holder_of_the_lock(
    machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    process = owns("third")
    with there.get_lock():
        process.kill()
        until(lambda: owner_of(here) == (process.process.pid, False, UNAVAILABLE))
        looked(here, 3)
        there.set(IDLE)  # decided when the owner lived
    assert wait_for(here, IDLE, timeout=DEADLINE)
    looked(here, 3)
    assert row(server)[:2] == (IDLE, 2)


def test_a_follower_that_loses_its_connection_while_it_reaps_connects_again(
    machine: Machine, server: Server, owns: Callable[[str], Stranger], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    process = owns("there")
    assert wait_for(here, CALCULATING, timeout=DEADLINE)
    reap_row, cuts = Table.reap, []

    def cut_first(self: Table, session: Session, *arguments: Any) -> Any:
        if not cuts:
            cuts.append(server.ask("SELECT pg_terminate_backend(%s, 10000)", session.pid))
        return reap_row(self, session, *arguments)

    monkeypatch.setattr(Table, "reap", cut_first)
    process.kill()
    assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)
    assert cuts
    assert row(server)[:2] == (UNAVAILABLE, 2)


def test_an_owner_is_not_dead_to_a_machine_that_follows_at_a_standby(
    machine: Machine, server: Server, owns: Callable[[str], Stranger]
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    with server.standby() as standby:
        until(lambda: standby.ask("SELECT 1 FROM multiprocessing_intenum"))
        there = WorkerStatus(at=machine("there", f"{standby.conninfo}?target_session_attrs=any"))
        process = owns("third")
        until(lambda: owner_of(there) == (process.process.pid, True, UNAVAILABLE))
        looked(there, 3)
        assert owner_of(there) == (process.process.pid, True, UNAVAILABLE)
        assert reap(here) is CALCULATING
        process.kill()
        assert wait_for(there, UNAVAILABLE, timeout=DEADLINE)


def test_a_claim_that_makes_no_sense_hinders_only_its_own_record(
    machine: Machine, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    other = WorkerStatus(IDLE, at=PostgresRecord(server.conninfo, "other", mirror=tmp_path / "other"))
    for claim in ['["x", 1, 7]', "[1, 1e30, 7]", "[]", "{}", "7", '"texts"', "[null, null, null]"]:
        entry = json.loads(claim)
        caplog.clear()
        server.ask(
            "UPDATE multiprocessing_intenum SET version = version + 1, history = "
            "jsonb_build_array(jsonb_build_array(version + 1, state, 1.0, 7, %s::jsonb)) WHERE name = 'mode'",
            json.dumps(entry),
        )
        looked(other, 2)
        with pytest.raises((ValueError, TypeError)):
            here.set(CALCULATING)
        server.ask("UPDATE multiprocessing_intenum SET history = '[]' WHERE name = 'mode'")
        looked(here, 2)
    here.set(CALCULATING)
    other.set(CALCULATING)


# An owner that loses its connection


def test_an_owner_that_loses_its_connection_loses_the_state_and_its_next_write_says_so_once(
    machine: Machine, server: Server
) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    assert compare_and_set(here, IDLE, CALCULATING, on_death=UNAVAILABLE)
    cut_life(server)
    assert wait_for(there, UNAVAILABLE, timeout=DEADLINE)
    assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)
    assert reap(here) is UNAVAILABLE
    there.set(CALCULATING)
    assert wait_for(here, CALCULATING, timeout=DEADLINE)
    with pytest.raises(ConnectionError, match=LOST):
        compare_and_set(here, CALCULATING, IDLE)  # another process has claimed it
    assert row(server)[:2] == (CALCULATING, 3)
    assert pids(there)[-2:] == [os.getpid()] * 2
    here.set(IDLE)
    assert compare_and_set(here, IDLE, CALCULATING, on_death=UNAVAILABLE)  # by a new connection
    assert wait_for(there, CALCULATING, timeout=DEADLINE)
    assert reap(there) is CALCULATING


@pytest.mark.usefixtures("unfollowed")
@pytest.mark.parametrize("by", ["set", "update", "exchange"])
def test_the_next_write_itself_may_have_to_leave_the_state(by: str, machine: Machine, server: Server) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    writes: dict[str, Callable[[], object]] = {
        "set": lambda: here.set(IDLE),
        "update": lambda: update(here, lambda _: IDLE),
        "exchange": lambda: exchange(here, IDLE, on_death=UNAVAILABLE),
    }
    assert adopt(here, on_death=UNAVAILABLE) is IDLE
    assert exchange(here, CALCULATING, on_death=UNAVAILABLE) is IDLE
    cut_life(server)
    assert snapshot(here) is CALCULATING
    with pytest.raises(ConnectionError, match=LOST):
        writes[by]()
    assert row(server)[:2] == (UNAVAILABLE, 2)
    assert snapshot(here) is UNAVAILABLE
    assert is_free(here.get_lock())
    writes[by]()
    assert row(server)[:2] == (IDLE, 3)


@pytest.mark.usefixtures("unfollowed")
def test_an_owner_that_reaps_itself_learns_it_from_its_next_write(machine: Machine, server: Server) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    assert compare_and_set(here, IDLE, CALCULATING, on_death=UNAVAILABLE)
    cut_life(server)
    assert reap(here) is UNAVAILABLE
    with pytest.raises(ConnectionError, match=LOST):
        here.set(CALCULATING)
    here.set(CALCULATING)


def test_an_owner_whose_state_was_changed_has_lost_nothing(machine: Machine, server: Server) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    assert compare_and_set(here, IDLE, CALCULATING, on_death=UNAVAILABLE)
    there.set(IDLE)
    here.set(CALCULATING)
    cut_life(server)
    here.set(IDLE)  # it owned nothing
    assert adopt(here, on_death=UNAVAILABLE) is IDLE
    here.set(CALCULATING)  # its own change
    cut_life(server)
    here.set(IDLE)
    assert row(server)[:2] == (IDLE, 6)


def test_a_loss_is_told_also_when_the_history_does_not_have_the_claim_any_more(
    machine: Machine, server: Server
) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))
    for is_cut in False, True:
        assert exchange(here, CALCULATING, on_death=UNAVAILABLE)
        if is_cut:
            cut_life(server)
        for _ in range(10):
            there.set(UNAVAILABLE)
            there.set(IDLE)
        if is_cut:
            with pytest.raises(ConnectionError, match=LOST):
                here.set(CALCULATING)
        here.set(UNAVAILABLE)


def test_a_loss_is_told_also_when_another_record_was_claimed_since(
    machine: Machine, server: Server, tmp_path: Path
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    other = WorkerStatus(IDLE, at=PostgresRecord(server.conninfo, "other", mirror=tmp_path / "other"))
    assert exchange(here, CALCULATING, on_death=UNAVAILABLE) is IDLE
    cut_life(server)
    assert exchange(other, CALCULATING, on_death=UNAVAILABLE) is IDLE  # by a new connection
    with pytest.raises(ConnectionError, match=LOST):
        here.set(IDLE)
    assert reap(other) is CALCULATING


def test_a_claim_without_an_answer_is_told_as_unknown_and_then_as_lost(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))
    write = Table.write

    def cut_after(*arguments: Any) -> Any:
        write(*arguments)
        server.cut()
        message = "the connection to PostgreSQL was lost"
        arguments[1].close()
        raise ConnectionError(message)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "write", cut_after)
        with pytest.raises(ConnectionError, match="It is not known whether this write was done"):
            compare_and_set(here, IDLE, CALCULATING, on_death=UNAVAILABLE)
    assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)
    with pytest.raises(ConnectionError, match=LOST):
        here.set(IDLE)
    here.set(IDLE)


def test_a_claim_that_was_not_written_is_no_loss(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))

    def refused(*_: Any) -> Any:
        message = "nothing was written"
        raise TimeoutError(message)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "write", refused)
        with pytest.raises(TimeoutError):
            compare_and_set(here, IDLE, CALCULATING, on_death=UNAVAILABLE)
    there.set(CALCULATING)  # with the version that the claim would have had
    cut_life(server)
    here.set(IDLE)
    assert row(server)[:2] == (IDLE, 2)


# The connection by which a process lives


def test_a_process_has_one_such_connection_for_all_its_records(
    machine: Machine, server: Server, tmp_path: Path
) -> None:
    values = [WorkerStatus(IDLE, at=PostgresRecord(server.conninfo, name, mirror=tmp_path / name)) for name in "abc"]
    for each in values:
        assert compare_and_set(each, IDLE, CALCULATING, on_death=UNAVAILABLE)
    tokens = server.ask("SELECT DISTINCT history -> -1 -> 4 -> 0 FROM multiprocessing_intenum")
    assert tokens == [(life.token,) for life in owner._lives.values()]


def test_a_claim_whose_connection_is_not_seen_by_the_server_is_not_written(
    machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())
    lock_token = Table.lock_token

    def cut_after(self: Table, session: Session, token: int, deadline: float) -> None:
        lock_token(self, session, token, deadline)
        server.ask("SELECT pg_terminate_backend(%s, 10000)", session.pid)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "lock_token", cut_after)
        with pytest.raises(ConnectionError, match="should see that this process lives: nothing was written"):
            exchange(status, CALCULATING, on_death=UNAVAILABLE)
    assert row(server)[1] == 0
    assert exchange(status, CALCULATING, on_death=UNAVAILABLE) is IDLE


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_claim_whose_connection_breaks_is_not_written(
    is_frozen: bool, machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=machine())

    def broken(self: Table, session: Session, token: int, deadline: float) -> None:
        if not is_frozen:
            server.ask("SELECT pg_terminate_backend(%s, 10000)", session.pid)
            real(self, session, token, deadline)
        with server.frozen():
            real(self, session, token, deadline)

    real = Table.lock_token
    with monkeypatch.context() as patch:
        patch.setattr(Table, "lock_token", broken)
        with pytest.raises(OSError, match=r"\. Nothing was written"):
            exchange(status, CALCULATING, timeout=0.5, on_death=UNAVAILABLE)
    until(lambda: row(server)[1] == 0)
    assert exchange(status, CALCULATING, timeout=DEADLINE, on_death=UNAVAILABLE) is IDLE


def test_a_refusal_of_the_server_is_told_as_it_is(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    status = WorkerStatus(IDLE, at=machine())
    monkeypatch.setattr(owner, "TOKENS", [2**70])
    with pytest.raises(ConnectionError, match=r"PostgreSQL refuses, nothing was written: [^.]*$"):
        exchange(status, CALCULATING, on_death=UNAVAILABLE)


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Events: the first claim connects; it may go on."""
    connects, may_go_on = threading.Event(), threading.Event()
    lock_token = Table.lock_token

    def held_up(*arguments: Any) -> None:
        connects.set()
        assert may_go_on.wait(DEADLINE)
        lock_token(*arguments)

    monkeypatch.setattr(Table, "lock_token", held_up)
    yield connects, may_go_on
    may_go_on.set()


def test_a_thread_that_claims_while_another_one_connects_uses_its_connection_or_gives_up_in_time(
    machine: Machine, server: Server, tmp_path: Path, connecting: tuple[threading.Event, threading.Event]
) -> None:
    connects, may_go_on = connecting
    one = WorkerStatus(IDLE, at=machine("one"))
    two = WorkerStatus(IDLE, at=PostgresRecord(server.conninfo, "other", mirror=tmp_path / "other"))
    outcome: list[object] = []
    first = threading.Thread(target=lambda: outcome.append(exchange(one, CALCULATING, on_death=UNAVAILABLE)))
    first.start()
    assert connects.wait(DEADLINE)
    with pytest.raises(TimeoutError, match="another thread is still connecting"):
        exchange(two, CALCULATING, timeout=0.2, on_death=UNAVAILABLE)
    assert snapshot(two) is IDLE
    second = threading.Thread(target=lambda: outcome.append(exchange(two, CALCULATING, on_death=UNAVAILABLE)))
    second.start()
    until(lambda: owner._making._waiters)
    may_go_on.set()
    for thread in first, second:
        thread.join(DEADLINE)
    assert outcome == [IDLE, IDLE]
    assert len(server.ask("SELECT DISTINCT history -> -1 -> 4 -> 0 FROM multiprocessing_intenum")) == 1


def test_a_signal_handler_can_not_claim_while_its_thread_connects(
    machine: Machine, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = WorkerStatus(IDLE, at=machine("one"))
    two = WorkerStatus(IDLE, at=PostgresRecord(server.conninfo, "other", mirror=tmp_path / "other"))
    lock_token = Table.lock_token

    def interrupted(*arguments: Any) -> None:
        with pytest.raises(RuntimeError, match="a signal handler can not own a state while its thread connects"):
            exchange(two, CALCULATING, on_death=UNAVAILABLE)
        lock_token(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "lock_token", interrupted)
        assert exchange(one, CALCULATING, on_death=UNAVAILABLE) is IDLE
    assert snapshot(two) is IDLE
    assert exchange(two, CALCULATING, on_death=UNAVAILABLE) is IDLE


def test_an_interrupt_at_any_moment_of_a_claim_leaves_the_lock_and_the_next_claim_free(
    machine: Machine, untraced: None
) -> None:
    here, there = WorkerStatus(IDLE, at=machine("here")), WorkerStatus(at=machine("there"))

    def claim() -> None:
        while owner._lives and random.random() < 0.5:
            owner._lives.popitem()[1].end()
        try:
            exchange(here, CALCULATING, on_death=UNAVAILABLE)
            exchange(here, IDLE, on_death=UNAVAILABLE)
        except ConnectionError as error:  # this test has ended its session, or the interrupt has
            assert "lost" in str(error)  # noqa: PT017

    def is_written() -> bool:
        with suppress(ConnectionError):  # the session of a claim has ended
            exchange(here, IDLE, timeout=DEADLINE)
            return True
        return False

    def look() -> None:
        # The server may notice only by and by that a session was closed.
        until(lambda: in_a_thread(is_written))
        exchange(there, UNAVAILABLE, timeout=DEADLINE)
        assert in_a_thread(lambda: not owner._making.is_mine())

    interrupt_at_random(claim, look, longest=0.02)


# Kills


def journal(server: Server) -> None:
    """Have the server keep each entry of the history."""
    server.ask("DROP TABLE IF EXISTS journal")
    server.ask("CREATE TABLE journal (number serial, version bigint, entry jsonb)")
    server.ask(
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger AS $$ BEGIN "
        "INSERT INTO journal (version, entry) VALUES (NEW.version, NEW.history -> -1); RETURN NEW; END $$ "
        "LANGUAGE plpgsql"
    )
    server.ask("CREATE TRIGGER noting AFTER UPDATE ON multiprocessing_intenum FOR EACH ROW EXECUTE FUNCTION note()")


def check_journal(server: Server, killed: dict[int, float]) -> int:
    """Check that each dead owner has left one change, and no living owner any. Return how many were left."""
    entries = [entry for (entry,) in server.ask("SELECT entry FROM journal ORDER BY number")]
    assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1))
    left: list[int] = []
    own: int | None = None
    for _, state, at, pid, *claim in entries:
        if state == UNAVAILABLE:
            assert pid == own
            assert at >= killed[pid]
            left.append(pid)
        else:
            assert pid not in left
        own = pid if claim else None
    assert len(left) == len(set(left))
    assert own is None
    return len(left)


def test_a_state_never_outlives_its_killed_owner_and_is_never_taken_from_a_living_one(
    machine: Machine, server: Server
) -> None:
    journal(server)
    machines = {name: WorkerStatus(IDLE, at=machine(name)) for name in ("one", "two")}
    killed: dict[int, float] = {}
    for number in range(40):
        name = list(machines)[number % 2]
        begins = FORK.Event()
        child = FORK.Process(target=own_again_and_again, args=(machine(name), begins))
        child.start()
        assert begins.wait(DEADLINE)
        time.sleep(random.uniform(0, 0.1))
        assert child.pid is not None
        killed[child.pid] = time.time()
        child.kill()
        child.join(DEADLINE)
        assert child.exitcode == -signal.SIGKILL
    for each in machines.values():
        assert wait_for(each, {IDLE, UNAVAILABLE}, timeout=DEADLINE)
    until(lambda: not server.ask("SELECT 1 FROM multiprocessing_intenum WHERE history -> -1 -> 4 IS NOT NULL"))
    assert check_journal(server, killed) > 5
    server.ask("DROP TABLE journal CASCADE")


@pytest.mark.parametrize("step", ["write", "reap"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_process_that_is_killed_before_or_after_it_has_claimed_or_reaped_loses_nothing(
    step: str, is_done: bool, machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = WorkerStatus(IDLE, at=machine("here"))

    def own_and_die() -> None:
        status = WorkerStatus(at=machine("there"))
        compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)
        os.kill(os.getpid(), signal.SIGKILL)

    def do(action: Callable[[Any], object]) -> int:
        with running(FORK, action) as child:
            child.join(DEADLINE)
            assert child.exitcode == -signal.SIGKILL
            assert child.pid is not None
            return child.pid

    real = getattr(Table, step)

    def die(*arguments: Any) -> None:
        if is_done:
            real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    def reap_and_die() -> None:
        Table.reap = die  # type: ignore[method-assign]
        status = WorkerStatus(at=machine("third"))
        while True:
            reap(status)

    def claim_and_die() -> None:
        Table.write = die  # type: ignore[assignment,method-assign]
        own_and_die()

    monkeypatch.setattr(_Followed, "reap", lambda *_: None)
    if step == "write":
        pid = do(lambda: claim_and_die())
        assert row(server)[:2] == ((CALCULATING, 1) if is_done else (IDLE, 0))
    else:
        pid = do(lambda: own_and_die())
        do(lambda: reap_and_die())
        assert row(server)[:2] == ((UNAVAILABLE, 2) if is_done else (CALCULATING, 1))
    monkeypatch.undo()
    if step == "write" and not is_done:
        assert exchange(here, CALCULATING, timeout=DEADLINE) is IDLE
        return
    assert wait_for(here, UNAVAILABLE, timeout=DEADLINE)
    looked(here, 2)
    assert row(server)[:2] == (UNAVAILABLE, 2)
    assert pids(here)[1:] == [pid, pid]


# Versions


def test_what_follows_may_be_a_member_that_an_old_version_does_not_have(
    machine: Machine, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = OldValue(Old.IDLE, at=machine("old")), NewValue(at=machine("new"))
    assert compare_and_set(new, New.IDLE, New.CALCULATING, on_death=New.PAUSED)
    assert wait_for(old, Old.BUSY, timeout=DEADLINE)
    until(lambda: old._self_cell.claimed[()])  # type: ignore[attr-defined]
    with pytest.raises(UnknownMemberError, match="PAUSED"):
        owner_of(old)
    assert reap(old) is Old.BUSY
    cut_life(server)
    assert wait_for(new, New.PAUSED, timeout=DEADLINE)
    looked(old, 2)
    with pytest.raises(UnknownMemberError, match="PAUSED"):
        reap(old)
    with pytest.raises(ConnectionError, match=LOST):
        new.set(New.IDLE)
    new.set(New.IDLE)
    assert wait_for(old, Old.IDLE, timeout=DEADLINE)
    assert not caplog.records
