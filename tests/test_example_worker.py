"""docs/examples/worker.py, run for real."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers import DEADLINE, METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = Path(__file__).parent.parent / "docs" / "examples" / "worker.py"
KEPT = "Kept: never two calculations at once, no accepted job lost"


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the worker in a new process group, and make sure that none of its processes is left at the end."""
    command = [sys.executable, "-W", "error", str(WORKER), *options]
    worker = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        yield worker
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()


def table(output: str) -> dict[str, int]:
    return {
        name: int(count.replace(",", "")) for name, count in re.findall(r"^ *(\w[\w ,]+?) +([\d,]+)$", output, re.M)
    }


def transitions(output: str) -> list[tuple[str, str]]:
    return re.findall(r"^\d\d:\d\d:\d\d\.\d{6}  .{18,} +(\w+) -> (\w+)$", output, re.M)


def check(output: str) -> dict[str, int]:
    """Check what must be true of every run, and return the table."""
    counts = table(output)
    assert output.splitlines()[-1] == KEPT + (" but in the kill." if counts["lost in a kill"] else "."), output
    moves = transitions(output)
    # Each line begins where the previous one ended, so the lines are in the order of the transitions.
    assert moves[0][0] == "IDLE"
    assert [before for before, _ in moves[1:]] == [after for _, after in moves[:-1]]
    assert moves[-1][1] == "UNAVAILABLE"
    assert (
        moves.count(("IDLE", "CALCULATING"))
        == counts["jobs accepted"]
        == counts["calculated"] + counts["lost in a kill"]
    )
    assert counts["at once, at most"] <= 1
    return counts


@pytest.mark.parametrize("method", METHODS)
def test_it_keeps_its_promise(method: str) -> None:
    with running("--start-method", method, "--seconds", "0.6", "--handlers", "2") as worker:
        output, _ = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 0, output
    counts = check(output)
    assert counts["lost in a kill"] == 0
    assert counts["refused as busy"] > 0
    assert counts["refused as unavailable"] > 0
    assert counts["queries answered"] > 0
    assert "no more jobs" in output


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_calculation_is_idle_again_and_its_job_is_counted_as_lost(method: str) -> None:
    with running("--start-method", method, "--seconds", "0.6", "--handlers", "1", "--kill") as worker:
        output, _ = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 0, output
    assert "kills the calculation process" in output
    assert f"calculation process ended with {-signal.SIGKILL}" in output
    assert check(output)["lost in a kill"] <= 1  # none if the kill came between two jobs


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_ends_it_with_the_table_and_leaves_no_process(method: str) -> None:
    with running("--start-method", method, "--seconds", "600", "--handlers", "2") as worker:
        assert worker.stdout
        first = ""
        while "Ctrl-C" not in first:
            first += (line := worker.stdout.readline())
            assert line, first
        os.killpg(worker.pid, signal.SIGINT)
        # All its processes, multiprocessing's helpers included, inherit the pipe. It ends when none of them is left.
        rest, _ = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 0, first + rest
    check(first + rest)
    assert "Traceback" not in rest


# The worker notices a broken promise


@pytest.fixture
def example() -> Any:
    spec = importlib.util.spec_from_file_location("worker", WORKER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_state_that_lets_two_jobs_in_is_noticed(example: Any, tmp_path: Path) -> None:
    state = example.WorkerState()
    journal = example.Journal(str(tmp_path))
    example.compare_and_exchange = lambda status, expected, new: (status.set(new), expected)[1]
    for job in (1, 2):
        assert state.submit(job) is example.WorkerStatusEnum.IDLE
        journal.write("accepted", job=job)
    journal.write("begun", job=state.next_job())
    journal.write("calculated", job=state.finish())
    assert not example.report(journal, may_be_lost=1)  # the first job was lost, and this was not reported


@pytest.mark.parametrize(
    ("events", "kept"),
    [
        ("accepted 1, begun 1, calculated 1, accepted 2, begun 2, calculated 2", True),
        ("begun 1, accepted 1, calculated 1", True),  # "accepted" was logged late
        ("accepted 1, begun 1, lost 1, accepted 2, begun 2, calculated 2", True),
        ("accepted 1, begun 1, calculated 1, lost 1", True),  # killed just before it was idle again
        ("accepted 1, lost 1", True),  # killed before it began
        ("accepted 1, begun 1, accepted 2, begun 2, calculated 1, calculated 2", False),
        ("accepted 1, begun 1", False),
        ("accepted 1", False),
        ("begun 1, calculated 1", False),
        ("accepted 1, begun 1, calculated 1, begun 1, calculated 1", False),
        ("accepted 1, begun 1, lost 1, accepted 2, begun 2, lost 2", False),
    ],
)
def test_the_check_sees_every_way_to_break_the_promise(example: Any, tmp_path: Path, events: str, kept: bool) -> None:
    journal = example.Journal(str(tmp_path))
    for event in events.split(", "):
        name, job = event.split()
        journal.write(name, job=int(job))
    assert example.report(journal, may_be_lost=1) is kept
