"""How a program that uses a shared value is tested."""

import enum
import multiprocessing
import os
import signal

import pytest

from multiprocessing_intenum import (
    IntEnumValue,
    TransitionError,
    compare_and_set,
    history,
    reap,
    wait_for,
)


class Job(enum.IntEnum):
    WAITS = 1
    RUNS = 2
    DONE = 3


class JobState(
    IntEnumValue[Job],
    transitions={Job.WAITS: [Job.RUNS], Job.RUNS: [Job.DONE, Job.WAITS]},
):
    """The state of a job. From DONE it goes nowhere."""


def run(state: JobState) -> bool:
    """Stands for the program that is tested. It takes the value as an argument."""
    if not compare_and_set(state, "WAITS", "RUNS", on_death="WAITS", timeout=10):
        return False
    state.set("DONE")
    return True


def run_at(path: str) -> None:
    run(JobState(at=path))


def run_and_be_killed(path: str) -> None:
    compare_and_set(JobState(at=path), "WAITS", "RUNS", on_death="WAITS")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def path(tmp_path):
    """Return a path that only this test has.

    The first process that opens it makes the value.
    """
    return str(tmp_path / "job")


@pytest.fixture
def state(path):
    """Return a value that only this test has, and the processes that it starts."""
    return JobState("WAITS", at=path)


@pytest.fixture
def spawn():
    """Start processes that have not inherited anything, and end those that are left."""
    context = multiprocessing.get_context("spawn")
    processes = []

    def start(target, *args):
        processes.append(context.Process(target=target, args=args))
        processes[-1].start()
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()


def test_a_job_runs_once(state):
    assert run(state)
    assert not run(state)
    assert state == Job.DONE


def test_each_test_has_a_state_of_its_own(state):
    assert state == Job.WAITS  # though the test above has left DONE


def test_a_job_can_be_done_by_another_process(state, path, spawn):
    spawn(run_at, path)
    assert wait_for(state, "DONE", timeout=60) is Job.DONE  # no sleep


def test_a_job_whose_process_was_killed_waits_again(state, path, spawn):
    spawn(run_and_be_killed, path).join(60)
    assert reap(state) is Job.WAITS
    assert [change.after.name for change in history(state)] == [
        "WAITS",
        "RUNS",
        "WAITS",
    ]


def test_a_state_that_has_no_way_back_needs_a_new_value(state, tmp_path):
    run(state)
    with pytest.raises(TransitionError):
        state.set("WAITS")
    state = JobState("WAITS", at=tmp_path / "second job")
    assert run(state)
