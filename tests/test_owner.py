"""owner, ownership, owners: a state that a process owns becomes what it has asked for when the process ends."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from enums import FrutEnum, LoggingStatus, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, REPEAT, SAFE_LOCKS, SHORT, WRITERS, alarms, held_elsewhere, in_a_thread, is_free
from path_targets import strangers
from told import Told, told
from versions import New, NewValue, Old, OldValue

from multiprocessing_intenum import (
    IntEnumValue,
    SharedFile,
    TransitionError,
    UnknownMemberError,
    adopt,
    aio,
    changes,
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
from multiprocessing_intenum.locks import open_file, owners
from multiprocessing_intenum.memory import ownership
from multiprocessing_intenum.memory.words import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

SPAWN = multiprocessing.get_context("spawn")

CLAIMS = {
    "exchange": "exchange(status, CALCULATING, on_death=UNAVAILABLE)",
    "compare_and_set": "compare_and_set(status, IDLE, CALCULATING, on_death='UNAVAILABLE')",
    "compare_and_exchange": "compare_and_exchange(status, IDLE, CALCULATING, on_death='UNAVAILABLE')",
    "adopt": "status.set(CALCULATING), adopt(status, on_death=UNAVAILABLE)",
}
"""Each way to own CALCULATING, with `on_death` as a member or as a name."""

CLAIM = CLAIMS["compare_and_set"]


class Shared(NamedTuple):
    """A value, and the context that starts the processes that share it."""

    ctx: Any
    status: Any
    path: Path | None


@pytest.fixture(params=["fork", "spawn", "forkserver", "path"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    """A value in memory for each start method, and one by path."""
    if request.param == "path":
        path = tmp_path / "status"
        return Shared(SPAWN, WorkerStatus(IDLE, at=path), path)
    ctx = multiprocessing.get_context(request.param)
    return Shared(ctx, WorkerStatus(IDLE, ctx=ctx), None)


@pytest.fixture(params=["memory", "path"])
def quick(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    """A value in memory, and one by path, for forked children: where the start method makes no difference."""
    ctx = multiprocessing.get_context("fork")
    path = tmp_path / "status" if request.param == "path" else None
    return Shared(ctx, WorkerStatus(IDLE) if path is None else WorkerStatus(IDLE, at=path), path)


def afters(status: Any) -> list[Any]:
    return [change.after for change in history(status)]


@contextmanager
def owned(shared: Shared, claim: str = CLAIM) -> Iterator[Told]:
    """Have the state owned by a child, which is told that."""
    with told(shared.ctx, shared.status) as child:
        child.ask(claim)
        assert snapshot(shared.status) is CALCULATING
        yield child


# The rules


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_the_state_of_a_killed_owner_becomes_what_it_has_asked_for(shared: Shared, claim: str) -> None:
    with owned(shared, claim) as child:
        assert reap(shared.status) is CALCULATING
        child.kill()
        assert snapshot(shared.status) is CALCULATING  # a plain read does not look
        assert reap(shared.status) is UNAVAILABLE
        assert reap(shared.status) is UNAVAILABLE
        assert afters(shared.status) == [IDLE, CALCULATING, UNAVAILABLE]
        death = last_change(shared.status)
        assert (death.before, death.number, death.pid) == (CALCULATING, 2, child.pid)
    shared.status.set(IDLE)
    assert compare_and_set(shared.status, IDLE, CALCULATING)  # nobody owns it
    assert reap(shared.status) is CALCULATING


@pytest.mark.parametrize("call", ["exchange", "compare_and_set", "compare_and_exchange", "adopt"])
@pytest.mark.parametrize(
    ("on_death", "error"),
    [("NOTHING", KeyError), (42, TypeError), (1.5, TypeError), (FrutEnum.APPLE, TypeError), (object(), TypeError)],
)
def test_a_wrong_on_death_is_an_error_at_the_call_and_nothing_is_written(
    quick: Shared, call: str, on_death: Any, error: type[Exception]
) -> None:
    status = quick.status
    calls: dict[str, Callable[[], object]] = {
        "exchange": lambda: exchange(status, CALCULATING, on_death=on_death),
        "compare_and_set": lambda: compare_and_set(status, IDLE, CALCULATING, on_death=on_death),
        "compare_and_exchange": lambda: compare_and_exchange(status, UNAVAILABLE, CALCULATING, on_death=on_death),
        "adopt": lambda: adopt(status, on_death=on_death),
    }
    before = memory(status)
    with pytest.raises(error):
        calls[call]()
    assert memory(status) == before


def memory(status: Any) -> bytes:
    return bytes(memoryview(status._self_cell.words.block).cast("B")[:SIZE])


def test_adopt_needs_a_member_that_follows(status: WorkerStatus) -> None:
    with pytest.raises(TypeError, match="NoneType"):
        adopt(status, on_death=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        adopt(CALCULATING, on_death=IDLE)  # type: ignore[type-var]
    with pytest.raises(TypeError):
        reap(CALCULATING)  # type: ignore[type-var]


class Ruled(
    IntEnumValue[WorkerStatusEnum],
    transitions={"IDLE": ["CALCULATING"], "CALCULATING": ["IDLE"], "UNAVAILABLE": ["CALCULATING"]},
):
    pass


@pytest.mark.parametrize("by_path", [False, True])
def test_on_death_must_be_allowed_to_follow_the_new_state(tmp_path: Path, by_path: bool) -> None:
    status = Ruled(IDLE, at=tmp_path / "ruled") if by_path else Ruled(IDLE)
    before = memory(status)
    for call in (
        lambda: exchange(status, CALCULATING, on_death=UNAVAILABLE),
        lambda: compare_and_set(status, IDLE, CALCULATING, on_death="UNAVAILABLE"),
        lambda: compare_and_set(status, CALCULATING, IDLE, on_death="UNAVAILABLE"),  # though it would not be written
        lambda: adopt(status, on_death=UNAVAILABLE),
    ):
        with pytest.raises(TransitionError) as raised:
            call()
        assert raised.value.after is UNAVAILABLE
        assert memory(status) == before
    assert compare_and_set(status, IDLE, CALCULATING, on_death=IDLE)
    assert adopt(status, on_death=CALCULATING) is CALCULATING  # to stay is always allowed


def test_on_death_must_be_allowed_to_follow_what_another_value_is_when_the_lock_is_free() -> None:
    other = WorkerStatus(CALCULATING)

    class ChangingLock:
        """While somebody waits for it, the other value changes: IDLE must not follow what it is then."""

        def acquire(self, **_: Any) -> bool:
            other.set(UNAVAILABLE)
            return True

        def release(self) -> None:
            pass

    class NotWritten(Ruled):
        def set(self, value: Any) -> None:
            raise AssertionError(value)

    status = NotWritten(IDLE, lock=ChangingLock())
    before = memory(status)
    with pytest.raises(TransitionError) as raised:
        exchange(status, other, on_death=IDLE)
    assert (raised.value.before, raised.value.after) == (UNAVAILABLE, IDLE)
    assert memory(status) == before


def test_a_refused_change_claims_nothing() -> None:
    status = Ruled(CALCULATING)
    with pytest.raises(TransitionError):
        exchange(status, UNAVAILABLE, on_death=CALCULATING)
    assert status._self_cell.claimed[()] == 0
    assert ownership.owner_of(status._self_cell.words) is None


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_any_change_ends_the_ownership(quick: Shared, write: Any) -> None:
    with owned(quick) as child:
        write(quick.status, IDLE)
        write(quick.status, CALCULATING)
        child.kill()
        assert reap(quick.status) is CALCULATING
        assert afters(quick.status) == [IDLE, CALCULATING, IDLE, CALCULATING]
        assert quick.status._self_cell.claimed[()] == 0


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_write_of_the_same_member_does_not_end_the_ownership(quick: Shared, write: Any) -> None:
    with owned(quick) as child:
        write(quick.status, CALCULATING)
        child.kill()
        assert reap(quick.status) is UNAVAILABLE


def test_the_owner_itself_ends_the_ownership_by_a_change(shared: Shared) -> None:
    with owned(shared) as child:
        child.ask("status.set(IDLE)")
        shared.status.set(CALCULATING)
        child.kill()
        assert reap(shared.status) is CALCULATING


def test_another_claim_while_the_owner_lives_fails_like_a_lost_race(shared: Shared) -> None:
    status = shared.status
    with owned(shared) as child:
        assert not compare_and_set(status, IDLE, CALCULATING, on_death=IDLE)
        assert compare_and_exchange(status, IDLE, CALCULATING, on_death=IDLE) is CALCULATING
        assert not compare_and_set(status, CALCULATING, CALCULATING, on_death=IDLE)
        child.kill()
        assert compare_and_set(status, UNAVAILABLE, CALCULATING, on_death=IDLE)
    assert afters(status) == [IDLE, CALCULATING, UNAVAILABLE, CALCULATING]


def test_a_state_that_nobody_owns_is_claimed_without_a_change(shared: Shared) -> None:
    with told(shared.ctx, shared.status) as child:
        assert child.ask("compare_and_set(status, IDLE, IDLE, on_death=CALCULATING)")
        assert child.ask("compare_and_set(status, IDLE, IDLE, on_death=UNAVAILABLE)")  # the last word counts
        child.kill()
        assert reap(shared.status) is UNAVAILABLE
    assert afters(shared.status) == [IDLE, UNAVAILABLE]


def test_what_stays_is_no_change_by_a_death_either(quick: Shared) -> None:
    with owned(quick, "exchange(status, CALCULATING, on_death=CALCULATING)") as child:
        child.kill()
        assert reap(quick.status) is CALCULATING
        assert afters(quick.status) == [IDLE, CALCULATING]
        assert quick.status._self_cell.claimed[()] == 0


@pytest.mark.parametrize("take", ["adopt(status, on_death=IDLE)", "exchange(status, CALCULATING, on_death=IDLE)"])
def test_adopt_and_exchange_take_the_state_from_an_owner_that_lives(shared: Shared, take: str) -> None:
    status = shared.status
    with told(shared.ctx, status, status) as (first, second):
        first.ask(CLAIM)
        assert second.ask(take) is CALCULATING
        first.kill()
        assert reap(status) is CALCULATING
        second.kill()
        assert reap(status) is IDLE
        assert last_change(status).pid == second.pid
    assert afters(status) == [IDLE, CALCULATING, IDLE]


def test_adoption_in_circles_ends_with_the_last_one(shared: Shared) -> None:
    status = shared.status
    with told(shared.ctx, status, status) as pair:
        pair[0].ask(CLAIM)
        for turn in range(1, 8):
            assert pair[turn % 2].ask("adopt(status, on_death=IDLE)") is CALCULATING
        pair[0].kill()
        assert reap(status) is CALCULATING
        pair[1].kill()
        assert reap(status) is IDLE
    assert afters(status) == [IDLE, CALCULATING, IDLE]


def test_adopt_after_the_death_of_the_owner_adopts_what_follows(quick: Shared) -> None:
    with owned(quick) as child:
        child.kill()
        assert adopt(quick.status, on_death=IDLE) is UNAVAILABLE
    assert reap(quick.status) is UNAVAILABLE


def test_reap_takes_no_lock_while_the_owner_lives_and_keeps_to_its_timeout_when_it_does_not(shared: Shared) -> None:
    status = shared.status
    with owned(shared) as child, held_elsewhere(status.get_lock()):
        assert reap(status, timeout=0) is CALCULATING
        child.kill()
        with pytest.raises(TimeoutError, match="could not lock"):
            reap(status, timeout=SHORT)
        assert snapshot(status) is CALCULATING
    assert reap(status, timeout=DEADLINE) is UNAVAILABLE


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_every_function_that_writes_looks_first(quick: Shared, write: Any) -> None:
    status = quick.status
    with owned(quick) as child:
        child.kill()
        with suppress(TypeError):
            # compare_and_set in WRITERS reads what to expect by snapshot, which does not look.
            write(status, IDLE)
        found = history(status)
        assert [change.after for change in found][:3] == [IDLE, CALCULATING, UNAVAILABLE]
        assert found[2].pid == child.pid
        assert [change.after for change in found][3:] == ([] if write in COMPARES else [IDLE])


COMPARES = [WRITERS["compare_and_set"], WRITERS["compare_and_exchange"]]


def test_compare_and_exchange_update_and_exchange_see_what_the_death_has_left(quick: Shared) -> None:
    for look in (
        lambda status: compare_and_exchange(status, IDLE, CALCULATING),
        lambda status: exchange(status, UNAVAILABLE),
        lambda status: update(status, lambda member: member),
    ):
        quick.status.set(IDLE)
        with owned(quick) as child:
            child.kill()
            assert look(quick.status) is UNAVAILABLE


def test_no_death_comes_between_the_look_and_the_write_of_update(quick: Shared) -> None:
    status = quick.status
    with owned(quick) as child:

        def kill(member: Any) -> Any:
            child.kill()
            return IDLE

        assert update(status, kill) is IDLE
        assert afters(status) == [IDLE, CALCULATING, IDLE]
        assert reap(status) is IDLE


@pytest.mark.parametrize("kind", ["exchange", "compare_and_set", "claim"])
def test_no_death_comes_between_the_look_and_the_write_of_a_set_of_a_subclass(kind: str) -> None:
    children: list[Told] = []

    class Slow(IntEnumValue[WorkerStatusEnum]):
        def set(self, value: Any) -> None:
            for child in children:
                child.kill()
            super().set(value)

    status = Slow(IDLE)
    with owned(Shared(multiprocessing.get_context("fork"), status, None)) as child:
        children.append(child)
        if kind == "exchange":
            assert exchange(status, IDLE) is CALCULATING
        else:
            assert compare_and_set(status, CALCULATING, IDLE, on_death=UNAVAILABLE if kind == "claim" else None)
        assert afters(status) == [IDLE, CALCULATING, IDLE]


# Waiters


WAITERS: dict[str, Callable[[Any], Any]] = {
    "wait_for": lambda status: wait_for(status, UNAVAILABLE, DEADLINE),
    "changes": lambda status: next(iter(changes(status, timeout=DEADLINE))).after,
    "aio.wait_for": lambda status: asyncio.run(aio.wait_for(status, UNAVAILABLE, DEADLINE)),
    "aio.changes": lambda status: asyncio.run(anext_of(status)),
}


async def anext_of(status: Any) -> Any:
    return (await aio.changes(status, timeout=DEADLINE).__anext__()).after


@pytest.mark.parametrize("wait", WAITERS.values(), ids=WAITERS)
def test_every_waiter_notices_a_death_that_comes_while_it_waits(shared: Shared, wait: Any) -> None:
    status = shared.status
    looked = threading.Event()

    with owned(shared) as child:
        real = type(status._self_cell).look_after_owner

        def look(cell: Any) -> Any:
            found = real(cell)
            looked.set()
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(status._self_cell), "look_after_owner", look)
            answers: list[Any] = []
            thread = threading.Thread(target=lambda: answers.append(wait(status)))
            thread.start()
            assert looked.wait(DEADLINE)  # it has seen that the owner lives
            child.kill()
            thread.join(DEADLINE)
        assert answers == [UNAVAILABLE]
        assert [(change.after, change.pid) for change in history(status)[2:]] == [(UNAVAILABLE, child.pid)]


@pytest.mark.parametrize("wait", ["wait_for", "aio.wait_for"])
def test_a_waiter_for_what_the_dead_owner_has_left_does_not_return_it(quick: Shared, wait: str) -> None:
    with owned(quick) as child:
        child.kill()
        assert WAITERS[wait](quick.status) is UNAVAILABLE
        with pytest.raises(TimeoutError):
            wait_for(quick.status, lambda member: member is CALCULATING, SHORT)


def test_changes_that_do_not_wait_have_the_death_at_once(quick: Shared) -> None:
    feed = changes(quick.status, timeout=0)
    aio_feed = aio.changes(quick.status, timeout=0)
    with owned(quick) as child:
        assert [change.after for change in feed] == [CALCULATING]
        child.kill()
        assert [change.after for change in feed] == [UNAVAILABLE]

    async def follow() -> list[Any]:
        return [change.after async for change in aio_feed]

    assert asyncio.run(follow()) == [CALCULATING, UNAVAILABLE]


def test_a_waiter_goes_on_while_the_lock_is_held(quick: Shared) -> None:
    with owned(quick) as child, held_elsewhere(quick.status.get_lock()):
        child.kill()
        with pytest.raises(TimeoutError):
            wait_for(quick.status, UNAVAILABLE, SHORT)
    assert wait_for(quick.status, UNAVAILABLE, DEADLINE) is UNAVAILABLE


def test_a_process_that_may_only_read_leaves_the_look_to_others(tmp_path: Path) -> None:
    path = tmp_path / "status"
    status = WorkerStatus(IDLE, at=path)
    reader = WorkerStatus(at=SharedFile(path, readonly=True))
    with owned(Shared(SPAWN, status, path)) as child:
        assert reap(reader) is CALCULATING
        child.kill()
        with pytest.raises(PermissionError, match="readonly"):
            reap(reader)
        with pytest.raises(TimeoutError):
            wait_for(reader, UNAVAILABLE, SHORT)
        feed = changes(reader, timeout=DEADLINE)
        assert reap(status) is UNAVAILABLE
        assert next(iter(feed)).pid == child.pid
        assert reap(reader) is UNAVAILABLE


# What an owner is


def test_a_forked_child_is_not_the_owner(quick: Shared) -> None:
    status = quick.status
    with owned(quick) as child:
        grandchild = child.ask("fork_and_sleep()")
        try:
            assert reap(status) is CALCULATING
            child.kill()
            os.kill(grandchild, 0)  # it lives
            assert reap(status) is UNAVAILABLE
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_the_end_of_a_forked_child_is_not_that_of_the_owner(quick: Shared) -> None:
    with owned(quick) as child:
        for how in "", ", in_c=True", ", in_c=True, looks=True":
            assert child.ask(f"fork_and_end(status{how})") == 0
            assert reap(quick.status) is CALCULATING
        child.kill()
        assert reap(quick.status) is UNAVAILABLE


def test_a_forked_child_can_claim_for_itself(quick: Shared) -> None:
    status = quick.status
    compare_and_set(status, IDLE, CALCULATING, on_death=IDLE)
    with told(quick.ctx, status) as child:
        assert not child.ask("compare_and_set(status, CALCULATING, CALCULATING, on_death=UNAVAILABLE)")
        assert child.ask("adopt(status, on_death=UNAVAILABLE)") is CALCULATING
        child.kill()
        assert reap(status) is UNAVAILABLE


def test_a_process_that_has_replaced_its_program_owns_nothing_any_more(shared: Shared) -> None:
    with owned(shared) as child:
        child.tell("os.execv('/bin/sleep', ['sleep', '600'])")
        assert wait_for(shared.status, UNAVAILABLE, DEADLINE) is UNAVAILABLE
        assert child.process.is_alive()


def test_a_stopped_owner_lives(shared: Shared) -> None:
    with owned(shared) as child:
        os.kill(child.pid, signal.SIGSTOP)
        if child.process._parent_pid == os.getpid() and shared.ctx.get_start_method() != "forkserver":
            os.waitpid(child.pid, os.WUNTRACED)
        assert reap(shared.status) is CALCULATING
        with pytest.raises(TimeoutError):
            wait_for(shared.status, UNAVAILABLE, 3 * SHORT)
        os.kill(child.pid, signal.SIGCONT)
        assert child.ask("compare_and_set(status, CALCULATING, IDLE)")
        assert afters(shared.status) == [IDLE, CALCULATING, IDLE]


def test_a_zombie_is_dead(quick: Shared) -> None:
    with owned(quick) as child:
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert reap(quick.status) is UNAVAILABLE
        assert Path(f"/proc/{child.pid}/stat").read_text().split()[2] == "Z"


def test_the_owner_is_the_process_and_not_the_thread_that_has_claimed(shared: Shared) -> None:
    claim = "target=exchange, args=(status, CALCULATING), kwargs=dict(on_death='UNAVAILABLE')"
    in_thread = f"exec({f'thread = threading.Thread({claim})'!r})"
    with told(shared.ctx, shared.status) as child:
        child.ask(f"{in_thread} or thread.start() or thread.join()")
        assert reap(shared.status) is CALCULATING
        assert child.ask("adopt(status, on_death=UNAVAILABLE)") is CALCULATING
        child.kill()
        assert reap(shared.status) is UNAVAILABLE


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)", "sys.exit()"]
)
def test_it_does_not_matter_how_the_owner_ends(quick: Shared, end: str) -> None:
    with owned(quick) as child:
        child.tell(end)
        assert wait_for(quick.status, UNAVAILABLE, DEADLINE) is UNAVAILABLE
        assert last_change(quick.status).pid == child.pid


def test_an_interpreter_that_ends_without_a_word_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "status"
    status = WorkerStatus(IDLE, at=path)
    with strangers(1) as (other,):
        assert other.ask(f"status = WorkerStatus(at={str(path)!r})") == "None"
        assert other.ask("compare_and_set(status, 'IDLE', 'CALCULATING', on_death='UNAVAILABLE')") == "True"
        assert other.end() == 0
        assert reap(status) is UNAVAILABLE
        assert last_change(status).pid == other.process.pid


def test_a_value_that_the_owner_has_dropped_is_still_owned(tmp_path: Path) -> None:
    path = tmp_path / "status"
    status = WorkerStatus(IDLE, at=path)
    with told(SPAWN, status) as child:
        child.ask(CLAIM)
        child.ask("exec('import gc; del status; gc.collect()')")
        assert reap(status) is CALCULATING
        child.kill()
        assert reap(status) is UNAVAILABLE


OTHER_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")


@pytest.fixture
def _namespaces() -> None:
    if subprocess.run([*OTHER_NAMESPACE, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("only root can make PID namespaces")


@pytest.mark.usefixtures("_namespaces")
def test_owners_with_one_process_id_in_two_namespaces_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "status"
    status = WorkerStatus(IDLE, at=path)
    with strangers(2, *OTHER_NAMESPACE) as (first, second):
        for each in first, second:
            assert each.ask(f"status = WorkerStatus(at={str(path)!r})") == "None"
            assert each.ask("os.getpid()") == "1"
        assert first.ask("compare_and_set(status, 'IDLE', 'CALCULATING', on_death='UNAVAILABLE')") == "True"
        assert second.ask("compare_and_set(status, 'CALCULATING', 'CALCULATING', on_death='IDLE')") == "False"
        assert second.ask("reap(status).name") == "'CALCULATING'"
        first.kill()
        assert wait_for(status, UNAVAILABLE, DEADLINE) is UNAVAILABLE
        assert second.ask("reap(status).name, last_change(status).pid") == "('UNAVAILABLE', 1)"


REUSE = """
import os, sys, time
from enums import *
from multiprocessing_intenum import *
status = WorkerStatus(at=sys.argv[1]) if len(sys.argv) > 1 else WorkerStatus("IDLE")

def child(pid, action):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid - 1))
    found = os.fork()
    if not found:
        action()
        os._exit(0)
    assert found == pid, (found, pid)
    return found

owner = child(5000, lambda: compare_and_set(status, "IDLE", "CALCULATING", on_death="UNAVAILABLE"))
os.waitpid(owner, 0)
reads, writes = os.pipe()
other = child(5000, lambda: os.read(reads, 1))  # it lives, with the process id of the owner
print(reap(status).name, last_change(status).pid)
os.write(writes, b".")
os.waitpid(other, 0)
"""


@pytest.mark.usefixtures("_namespaces")
@pytest.mark.parametrize("by_path", [False, True])
def test_a_process_id_that_is_given_out_again_is_not_the_owner(tmp_path: Path, by_path: bool) -> None:
    path = tmp_path / "status"
    status = WorkerStatus(IDLE, at=path)
    paths = [str(Path(__file__).parent / "support"), str(Path(ownership.__file__).parents[2])]
    answer = subprocess.run(
        [*OTHER_NAMESPACE, "--mount-proc", sys.executable, "-c", REUSE, *[str(path)] * by_path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=DEADLINE,
    )
    assert answer.stdout.split() == ["UNAVAILABLE", "5000"]
    assert snapshot(status) is (UNAVAILABLE if by_path else IDLE)


# Descriptors, and what the kernel can not tell


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_thousand_claims_leave_no_descriptor_open(quick: Shared) -> None:
    status = quick.status
    compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)
    before = descriptors()
    for _ in range(500):
        exchange(status, IDLE, on_death=UNAVAILABLE)
        assert compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)
        adopt(status, on_death=IDLE)
        reap(status)
    assert descriptors() <= before  # what earlier tests have left may be closed meanwhile


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_value_that_was_never_claimed_asks_the_kernel_nothing(
    status: WorkerStatus, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a system call")

    for module in open_file, owners:
        monkeypatch.setattr(module, "is_locked", fail)
    monkeypatch.setattr(owners, "owners_in_memory", fail)
    monkeypatch.setattr(ownership, "attend", fail)
    monkeypatch.setattr(ownership, "is_left", fail)
    write(status, CALCULATING)
    assert reap(status) is CALCULATING
    assert wait_for(status, CALCULATING, 0) is CALCULATING
    assert [change.after for change in history(status)] == [IDLE, CALCULATING]


def test_without_proc_a_value_in_memory_can_not_be_claimed(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: str, *_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "no /proc", path)

    before = memory(status)
    monkeypatch.setattr(owners, "OpenFile", missing)
    for _ in range(2):
        with pytest.raises(NotImplementedError, match="use a value by path"):
            fresh_claim(status, monkeypatch)
        assert memory(status) == before


def fresh_claim(status: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Claim as a process does that has not claimed anything yet."""
    monkeypatch.setattr(owners, "_mine", {})
    return compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)


def test_where_the_heap_has_no_descriptor_a_value_in_memory_can_not_be_claimed(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = status._self_cell._block._wrapper._state[0][0]  # type: ignore[attr-defined]
    before = memory(status)
    monkeypatch.delattr(arena, "fd")
    with pytest.raises(NotImplementedError, match="use a value by path"):
        fresh_claim(status, monkeypatch)
    assert memory(status) == before


def test_where_the_file_system_has_no_locks_a_state_can_not_be_claimed(
    quick: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open_file._call

    def refuse(fd: int, command: int, argument: bytes) -> bytes:
        if argument in open_file._LOCKS.values() or argument in open_file._UNLOCKS.values():
            return real(fd, command, argument)  # type: ignore[no-any-return]
        raise OSError(errno.EINVAL, "no such locks")

    before = memory(quick.status)
    monkeypatch.setattr(open_file, "_call", refuse)
    with pytest.raises(NotImplementedError, match="open-file-description locks"):
        fresh_claim(quick.status, monkeypatch)
    assert memory(quick.status) == before


def test_two_processes_that_choose_one_byte_do_not_share_it(quick: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    with owned(quick) as child:
        found = ownership.owner_of(quick.status._self_cell.words)
        assert found is not None
        monkeypatch.setattr(owners, "_mine", {})
        choices = [found[1].token - owners._FIRST, 1]
        monkeypatch.setattr(owners.secrets, "randbelow", lambda _: choices.pop(0))
        adopt(quick.status, on_death=IDLE)
        assert choices == []
        child.kill()
        assert reap(quick.status) is CALCULATING


@pytest.mark.parametrize("replaced", [False, True], ids=["closed", "with other files"])
def test_a_process_that_has_closed_its_descriptors_takes_nothing_from_a_living_owner(
    quick: Shared, replaced: bool
) -> None:
    status = quick.status
    with told(quick.ctx, status, status) as (looker, owner):
        owner.ask(CLAIM)
        looker.ask("reap(status)")
        looker.ask("close_descriptors(pipe)")
        if replaced:
            looker.ask("exec('files = [open(\"/dev/zero\") for _ in range(50)]')")
        assert looker.ask("reap(status)") is CALCULATING
        looker.ask("status.set(CALCULATING)")
        assert reap(status) is CALCULATING
        owner.kill()
        assert reap(status) is UNAVAILABLE


def test_the_first_look_after_all_descriptors_are_closed_takes_nothing_either(quick: Shared) -> None:
    status = quick.status
    with told(quick.ctx, status, status) as (looker, owner):
        owner.ask(CLAIM)
        looker.ask("close_descriptors(pipe)")
        assert looker.ask("reap(status)") is CALCULATING
        looker.ask("status.set(CALCULATING)")
        looker.ask("status.set(IDLE)")
        assert afters(status) == [IDLE, CALCULATING, IDLE]


def test_an_owner_that_has_closed_its_descriptors_is_not_dead_to_itself(quick: Shared) -> None:
    status = quick.status
    with owned(quick) as child:
        child.ask("close_descriptors(pipe)")
        assert child.ask("reap(status)") is CALCULATING
        if quick.path is not None:  # it has locked its byte again
            assert reap(status) is CALCULATING
            assert child.ask("adopt(status, on_death=IDLE)") is CALCULATING
            child.kill()
            assert reap(status) is IDLE
        else:
            child.ask("status.set(IDLE)")
            with pytest.raises(OSError, match="closed the descriptors"):
                child.ask(CLAIM)
            assert afters(status) == [IDLE, CALCULATING, IDLE]


def test_without_a_free_descriptor_a_claim_fails_and_all_else_goes_on(quick: Shared) -> None:
    status = quick.status
    with told(quick.ctx, status, status) as (poor, owner):
        poor.ask("status.set(IDLE)")
        poor.ask("exec('files = use_up_descriptors()')")
        before = memory(status)
        with pytest.raises(OSError, match=rf"{os.strerror(errno.EMFILE)}.* raise the limit \(ulimit -n\)"):
            poor.ask(CLAIM)
        assert memory(status) == before
        owner.ask(CLAIM)
        assert poor.ask("reap(status)") is CALCULATING
        poor.ask("status.set(CALCULATING)")
        owner.kill()
        assert poor.ask("compare_and_set(status, UNAVAILABLE, IDLE)") is True
    assert afters(status) == [IDLE, CALCULATING, UNAVAILABLE, IDLE]


# Subclasses, locks, files


class RefusingStatus(IntEnumValue[WorkerStatusEnum]):
    def set(self, value: Any) -> None:
        if value is CALCULATING:
            message = "no"
            raise ZeroDivisionError(message)


class TwiceStatus(IntEnumValue[WorkerStatusEnum]):
    def set(self, value: Any) -> None:
        super().set(UNAVAILABLE)
        super().set(value)


class ThenFailsStatus(IntEnumValue[WorkerStatusEnum]):
    def set(self, value: Any) -> None:
        super().set(value)
        raise ZeroDivisionError


FORK = multiprocessing.get_context("fork")


def test_a_set_of_a_subclass_sees_the_claim_but_not_the_death() -> None:
    status = LoggingStatus(IDLE)
    status.log = []
    with told(FORK, status) as child:
        child.ask(CLAIM)
        assert child.ask("status.log") == ["CALCULATING"]
        child.kill()
        assert reap(status) is UNAVAILABLE
    assert status.log == []


def test_a_set_that_refuses_claims_nothing() -> None:
    status = RefusingStatus(IDLE)
    with pytest.raises(ZeroDivisionError):
        compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)
    assert ownership.owner_of(status._self_cell.words) is None
    assert compare_and_set(status, IDLE, UNAVAILABLE, on_death=CALCULATING)  # that set() says nothing and does nothing
    assert status._self_cell.claimed[()] == 0
    assert snapshot(status) is IDLE
    # Half a claim must not become one by a plain write of the same member.
    WorkerStatus.set(status, UNAVAILABLE)  # type: ignore[arg-type]
    assert ownership.owner_of(status._self_cell.words) is None


def test_a_state_that_a_set_writes_on_the_way_is_owned_too() -> None:
    status = TwiceStatus(IDLE)
    with told(FORK, status) as child:
        child.ask("compare_and_set(status, IDLE, CALCULATING, on_death=IDLE)")
        child.kill()
        assert reap(status) is IDLE
        assert last_change(status).pid == child.pid
    assert afters(status) == [IDLE, UNAVAILABLE, CALCULATING, IDLE]


def test_a_set_that_writes_and_then_fails_leaves_the_state_owned() -> None:
    status = ThenFailsStatus(IDLE)
    with told(FORK, status) as child:
        with pytest.raises(ZeroDivisionError):
            child.ask(CLAIM)
        child.kill()
        assert reap(status) is UNAVAILABLE


@pytest.mark.parametrize("lock", [*SAFE_LOCKS, None])
def test_any_lock_will_do(lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock and lock())
    with owned(Shared(FORK, status, None)) as child:
        with status.get_lock():
            assert reap(status) is CALCULATING
        child.kill()
        with status.get_lock():
            assert reap(status) is UNAVAILABLE
        status.set(IDLE)
        assert is_free(status.get_lock())


@pytest.mark.parametrize("by_path", [False, True])
def test_the_lock_of_another_value_will_do(tmp_path: Path, by_path: bool) -> None:
    other = WorkerStatus(IDLE, at=tmp_path / "other") if by_path else WorkerStatus(IDLE)
    status = WorkerStatus(IDLE, lock=other.get_lock(), **({"at": tmp_path / "status"} if by_path else {}))  # type: ignore[arg-type]
    with owned(Shared(FORK, status, None)) as child, told(FORK, other) as second:
        second.ask("exchange(status, CALCULATING, on_death=IDLE)")
        child.kill()
        assert (reap(status), reap(other)) == (UNAVAILABLE, CALCULATING)
        second.kill()
        assert (reap(status), reap(other)) == (UNAVAILABLE, IDLE)


def test_a_value_that_is_kept_remembers_its_owner_though_nobody_uses_it(tmp_path: Path) -> None:
    file = SharedFile(tmp_path / "status", keep=True)
    status = WorkerStatus(IDLE, at=file)
    with told(SPAWN, status) as child:
        del status
        child.ask(CLAIM)
        pid = child.pid
        child.kill()
    status = WorkerStatus(IDLE, at=file)
    assert snapshot(status) is CALCULATING
    assert reap(status) is UNAVAILABLE
    assert last_change(status).pid == pid


def test_a_value_that_is_begun_anew_has_no_owner(tmp_path: Path) -> None:
    path = tmp_path / "status"
    with strangers(1) as (other,):
        other.ask(f"status = WorkerStatus('IDLE', at={str(path)!r})")
        assert other.ask("compare_and_set(status, 'IDLE', 'CALCULATING', on_death='UNAVAILABLE')") == "True"
        other.kill()
    status = WorkerStatus(CALCULATING, at=path)
    assert reap(status) is CALCULATING
    assert afters(status) == [CALCULATING]


def test_a_value_that_is_begun_anew_forgets_half_a_claim(tmp_path: Path) -> None:
    path = tmp_path / "status"
    with strangers(1) as (other,):
        other.ask(f"status = WorkerStatus('IDLE', at={str(path)!r})")
        assert other.ask("compare_and_set(status, 'IDLE', 'CALCULATING', on_death='IDLE')") == "True"
        status = WorkerStatus(at=path)
        half_a_claim(status, IDLE, UNAVAILABLE)
        del status
        other.kill()
    status = WorkerStatus(IDLE, at=path)
    assert compare_and_set(status, IDLE, CALCULATING, on_death=IDLE)
    assert reap(status) is CALCULATING
    assert afters(status) == [IDLE, CALCULATING]


def half_a_claim(status: Any, state: Any, heir: Any) -> None:
    """Do what a process has done that was killed just before it stored the state that it claims."""
    words = status._self_cell.words
    ownership.claim(words, ownership.Owner(words.count[()] + 1, state, heir, 1, 2**61 + 5))


def test_half_a_claim_is_withdrawn_by_the_next_write(quick: Shared) -> None:
    status = quick.status
    half_a_claim(status, CALCULATING, UNAVAILABLE)
    assert reap(status) is IDLE
    status.set(CALCULATING)
    assert reap(status) is CALCULATING
    assert status._self_cell.claimed[()] == 0


def test_a_claim_that_was_killed_after_it_stored_the_state_is_one(quick: Shared) -> None:
    status = quick.status
    words = status._self_cell.words
    half_a_claim(status, CALCULATING, UNAVAILABLE)
    words._write_entry(int(CALCULATING), 1, 1)
    words.state[()] = int(CALCULATING)
    assert reap(status) is UNAVAILABLE
    assert [(change.after, change.pid) for change in history(status)[1:]] == [(CALCULATING, 1), (UNAVAILABLE, 1)]


def test_the_death_of_an_owner_leaves_a_replaced_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "status"
    status = WorkerStatus(IDLE, at=path)
    with owned(Shared(SPAWN, status, path)) as child:
        path.unlink()
        replaced = WorkerStatus(IDLE, at=path)
        child.kill()
        with pytest.raises(FileNotFoundError):
            reap(status)
        with pytest.raises(FileNotFoundError):
            wait_for(status, UNAVAILABLE, DEADLINE)
        assert snapshot(status) is CALCULATING
        assert reap(replaced) is IDLE


def test_a_reader_goes_on_with_the_owner_of_another_file(tmp_path: Path) -> None:
    path = tmp_path / "status"
    status = WorkerStatus(IDLE, at=path)
    reader = WorkerStatus(at=SharedFile(path, readonly=True))
    path.unlink()
    del status
    status = WorkerStatus(IDLE, at=path)
    with owned(Shared(SPAWN, status, path)):
        assert wait_for(reader, CALCULATING, DEADLINE) is CALCULATING
        assert reader._self_cell.claimed[()] != 0
        assert reap(reader) is CALCULATING


# Interrupts


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("claim", ["exchange", "compare_and_set", "adopt"])
@pytest.mark.parametrize("before", ["nobody owns it", "this process owns it", "another process owns it"])
@pytest.mark.parametrize("lock", SAFE_LOCKS)
def test_a_claim_that_is_interrupted_at_any_bytecode_is_one_or_is_none(lock: Any, claim: str, before: str) -> None:
    status = WorkerStatus(IDLE, lock=lock())
    calls: dict[str, Callable[[], object]] = {
        "exchange": lambda: exchange(status, CALCULATING, on_death=UNAVAILABLE),
        "compare_and_set": lambda: compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE),
        "adopt": lambda: adopt(status, on_death=UNAVAILABLE),
    }
    words = status._self_cell.words
    with told(FORK, status) as child:
        at = 0
        while True:
            status.set(UNAVAILABLE)
            if before == "nobody owns it":
                status.set(IDLE)
            elif before == "this process owns it":
                exchange(status, IDLE, on_death=CALCULATING)
            elif at < 4 or at % 10 == 0:
                child.ask("exchange(status, IDLE, on_death=CALCULATING)")
            else:  # a child would take too long
                ownership_of_another(status, child)
            is_done = not interrupted(calls[claim], at)
            assert is_free(status.get_lock())
            count = words.count[()]
            assert words.looked < count, at  # else the next set() would not look
            for slot in (0, 1):
                # Half a claim would be completed by a plain write of the same member.
                assert ownership._read(words, slot).since <= count or words.claimed[()] == 0, at
            owned_by = ownership.owner_of(words)
            if snapshot(status) is CALCULATING:
                assert owned_by is not None, at
                assert owned_by[1].on_death == UNAVAILABLE
            status.set(CALCULATING if claim != "adopt" else IDLE)
            if snapshot(status) is CALCULATING and owned_by is None:
                assert ownership.owner_of(words) is None, at
            if is_done:
                break
            at += random.randint(1, 3)  # each run tries others, and there are many runs
        assert at > 100


def ownership_of_another(status: Any, child: Told) -> None:
    """Have a state owned by a process that lives, as `exchange` in that process does."""
    words = status._self_cell.words
    found = ownership._read(words, 0), ownership._read(words, 1)
    token = next(each.token for each in found if each.token != words.owners.token)
    status.set(IDLE)
    ownership.claim(words, ownership.Owner(words.count[()], int(IDLE), int(CALCULATING), child.pid, token))


def interrupted(action: Callable[[], object], at: int) -> bool:
    """Call a function, and raise KeyboardInterrupt at a bytecode of this package. False: it had not so many."""
    left = at

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if not frame.f_globals.get("__name__", "").startswith("multiprocessing_intenum"):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            if left == 0:
                sys.settrace(None)
                frame.f_trace_opcodes = False
                raise KeyboardInterrupt
            left -= 1
        return trace

    # CPython 3.12 traces no bytecode while no frame has asked for it before sys.settrace().
    sys._getframe().f_trace_opcodes = True
    try:
        sys.settrace(trace)
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("handle", ["set", "exchange", "adopt", "set the same"])
def test_a_signal_handler_can_write_and_claim_in_the_middle_of_a_claim(quick: Shared, handle: str) -> None:
    status = quick.status
    handled = 0

    def on_alarm(number: int, frame: FrameType | None) -> None:
        nonlocal handled
        handled += 1
        if handle == "set":
            status.set(UNAVAILABLE)
        elif handle == "set the same":
            status.set(CALCULATING)
        elif handle == "exchange":
            exchange(status, UNAVAILABLE, on_death=CALCULATING)
        else:
            adopt(status, on_death=CALCULATING)
        alarm_in(100e-6, every=REPEAT)

    words = status._self_cell.words
    with alarms(on_alarm) as alarm_in:
        alarm_in(20e-6, every=REPEAT)
        deadline = time.monotonic() + DEADLINE
        while handled < 200 and time.monotonic() < deadline:
            count = handled
            exchange(status, CALCULATING, on_death=IDLE)
            found = ownership.owner_of(words)
            if count == handled:  # no handler has come: then it is owned
                assert found is not None
            exchange(status, IDLE, on_death=UNAVAILABLE)
    assert handled >= 200
    exchange(status, CALCULATING, on_death=IDLE)
    found = ownership.owner_of(words)
    assert found is not None
    assert found[1].on_death == IDLE
    assert is_free(status.get_lock())


def test_a_signal_handler_that_claims_while_its_thread_chooses_a_byte_keeps_its_lock(
    quick: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = quick.status
    handlers = [lambda: exchange(status, CALCULATING, on_death=UNAVAILABLE)]
    real = owners.secrets.randbelow

    def choose(limit: int) -> int:
        while handlers:
            handlers.pop()()
        return real(limit)

    monkeypatch.setattr(owners, "_mine", {})
    monkeypatch.setattr(owners.secrets, "randbelow", choose)
    assert not compare_and_set(status, UNAVAILABLE, IDLE, on_death=UNAVAILABLE)
    adopt(status, on_death=IDLE)
    monkeypatch.setattr(owners, "_mine", {})
    handlers.append(lambda: exchange(status, CALCULATING, on_death=UNAVAILABLE))
    status.set(IDLE)
    assert compare_and_set(status, IDLE, UNAVAILABLE, on_death=IDLE)
    with told(quick.ctx, status) as child:
        assert child.ask("reap(status)") is UNAVAILABLE


def test_threads_of_one_process_claim_one_after_the_other(quick: Shared) -> None:
    status = quick.status
    wins: list[bool] = []

    def claim() -> None:
        wins.append(compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(wins) == [False, False, False, True]
    assert in_a_thread(lambda: reap(status)) is CALCULATING


# Kills at random moments


@pytest.mark.parametrize("wait", ["reap", "wait_for"])
def test_an_owner_that_is_killed_at_any_moment_leaves_nothing_behind(shared: Shared, wait: str) -> None:
    status = shared.status
    ready = shared.ctx.Semaphore(0)
    for _ in range(15 if shared.ctx.get_start_method() == "fork" else 4):
        process = shared.ctx.Process(target=claim_for_ever, args=(status, ready), daemon=True)
        process.start()
        assert ready.acquire(timeout=DEADLINE)
        time.sleep(int.from_bytes(os.urandom(1), "little") * 4e-6)
        process.kill()
        process.join(DEADLINE)
        found = reap(status) if wait == "reap" else wait_for(status, {IDLE, UNAVAILABLE}, DEADLINE)
        assert found in (IDLE, UNAVAILABLE)
        assert is_orderly(status)
        status.set(IDLE)
        process.close()


def is_orderly(status: Any) -> bool:
    """Whether each claim is followed by its owner's own change, or by one death with its process id."""
    found = history(status)
    return all(
        (two.before, two.after) in ORDER and (two.after is not UNAVAILABLE or one.pid == two.pid)
        for one, two in pairwise(found)
    )


ORDER = [(IDLE, CALCULATING), (CALCULATING, IDLE), (CALCULATING, UNAVAILABLE), (UNAVAILABLE, IDLE)]


def claim_for_ever(status: Any, ready: Any) -> None:
    ready.release()
    while True:
        compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE)
        status.set(IDLE)


def test_a_process_with_an_older_enum_gives_the_state_what_only_the_owner_knows(tmp_path: Path) -> None:
    path = tmp_path / "status"
    old, new = OldValue(Old.IDLE, at=path), NewValue(at=path)
    with strangers(1) as (other,):
        other.ask("from versions import *")
        other.ask(f"status = NewValue(at={str(path)!r})")
        assert other.ask("compare_and_set(status, 'IDLE', 'CALCULATING', on_death='PAUSED')") == "True"
        assert reap(old) is Old.BUSY
        other.kill()
        with pytest.raises(UnknownMemberError, match="PAUSED"):
            reap(old)
        assert snapshot(new) is New.PAUSED
        assert last_change(new).pid == other.process.pid
        old.set(Old.IDLE)
    assert [change.after for change in history(new)] == [New.IDLE, New.CALCULATING, New.PAUSED, New.IDLE]


# The descriptors of Owners, one after the other


def test_owners_notice_a_closed_and_a_replaced_descriptor_and_lock_their_byte_again(tmp_path: Path) -> None:
    path, other = str(tmp_path / "file"), str(tmp_path / "other")
    Path(path).touch()
    Path(other).touch()
    descriptor = os.open(path, os.O_RDWR)
    names = [path]
    mine = owners.Owners(lambda: descriptor, lambda: descriptor, lambda: open_file.OpenFile(names[0], os.O_RDWR))
    os.close(descriptor)
    assert mine.token == 0  # it does not know the file yet
    descriptor = os.open(path, os.O_RDWR)
    token = mine.choose()
    assert mine.lives(token)
    opening = next(opening for each, opening in owners._mine.values() if each == token)
    for look in (lambda: mine.token, mine.choose):
        os.close(opening.fd)
        names[0] = other
        with pytest.raises(OSError, match="closed the descriptors"):
            mine.choose()
        assert mine.token == token
        assert not mine.lives(token)
        names[0] = path
        assert look() == token
        assert mine.lives(token)
        opening = next(opening for each, opening in owners._mine.values() if each == token)
    os.close(descriptor)
    descriptor = os.open(other, os.O_RDWR)
    assert mine.lives(token)  # the kernel can not tell
    os.close(descriptor)


def test_a_program_that_has_locked_all_bytes_is_an_error_and_no_loop(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    Path(path).touch()
    descriptor = os.open(path, os.O_RDWR)
    mine = owners.Owners(lambda: descriptor, lambda: descriptor, lambda: open_file.OpenFile(path, os.O_RDWR))
    hog = os.open(path, os.O_RDONLY)  # it need not have the right to write
    whole_file = struct.pack("@hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(hog, 37, whole_file)  # F_OFD_SETLK
    with pytest.raises(OSError, match="stop that program"):
        mine.choose()
    os.close(hog)
    assert mine.lives(mine.choose())
    os.close(descriptor)


def test_a_closed_descriptor_of_the_heap_is_noticed(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    arena = status._self_cell._block._wrapper._state[0][0]  # type: ignore[attr-defined]
    monkeypatch.setattr(arena, "size", arena.size + 1)  # as if another file had the descriptor
    with pytest.raises(OSError, match="closed the descriptors"):
        fresh_claim(status, monkeypatch)


def test_a_byte_that_another_thread_has_just_locked_again_stays_that_of_the_process(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    Path(path).touch()
    descriptor = os.open(path, os.O_RDWR)
    mine = owners.Owners(lambda: descriptor, lambda: descriptor, lambda: open_file.OpenFile(path, os.O_RDWR))
    token = mine.choose()
    os.close(next(opening for each, opening in owners._mine.values() if each == token).fd)
    faster = open_file.OpenFile(path, os.O_RDWR)
    assert faster.lock(token)
    assert mine.token == token
    os.close(descriptor)


def test_a_signal_handler_that_writes_while_a_state_is_adopted_does_not_end_that(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ownership.claim
    handlers: list[Callable[[], None]] = [lambda: status.set(IDLE), lambda: status.set(UNAVAILABLE)]

    def claim(words: Any, owner: Any) -> None:
        while handlers:
            handlers.pop()()
        real(words, owner)

    monkeypatch.setattr(ownership, "claim", claim)
    assert adopt(status, on_death=CALCULATING) is IDLE
    found = ownership.owner_of(status._self_cell.words)
    assert found is not None
    assert found[1].on_death == CALCULATING
