"""Fixtures for all tests, and the tests that a platform cannot run."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.util
import signal
import sys
from multiprocessing.synchronize import SemLock
from typing import TYPE_CHECKING

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import METHODS

from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.core import core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import BaseContext

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so. The programs that the tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

collect_ignore: list[str] = []
if sys.platform != "linux":  # no robust mutexes between processes, which the pages show, too; no /proc
    collect_ignore += ["test_robust.py", "test_killed_holder_examples.py", "test_memory_reuse.py", "test_futex.py"]
    collect_ignore += ["test_docs_examples.py", "test_users.py", "test_file_lock.py", "test_open_file.py"]
    collect_ignore += ["test_too_many_files.py", "test_probes.py", "test_many_values.py"]
    collect_ignore += ["platforms/test_surroundings.py"]
if core is None or sys.platform != "linux":  # it writes on Linux only
    collect_ignore += ["test_core.py"]
if sys.platform == "win32":  # no values by path
    collect_ignore += ["test_by_path.py", "test_life.py", "test_command_line.py"]
    collect_ignore += ["test_first_screen.py", "test_tutorial.py"]
if "fork" not in METHODS:  # no os.fork() and no POSIX signals
    collect_ignore += ["test_example_worker.py", "test_fork.py", "test_interrupts.py", "test_keepalive.py"]


def semaphores() -> int:
    """Return how many of multiprocessing's semaphores this process has to unlink."""
    finalizers = multiprocessing.util._finalizer_registry.copy()  # type: ignore[attr-defined]
    return sum(each._callback is SemLock._cleanup for each in finalizers.values())  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def left_in_cycles() -> Iterator[None]:
    """Collect the semaphores that a test leaves in cycles of references, such as those of a multiprocessing.Pool.

    Otherwise the garbage collector may find them in a later test, while that starts the resource tracker, which then
    waits for its own lock or warns (CPython 109593 and 131788). After a test without semaphores nothing is collected:
    that would take as long as the tests themselves.
    """
    before = semaphores()
    yield
    if semaphores() > before:
        gc.collect()


@pytest.fixture(params=METHODS)
def ctx(request: pytest.FixtureRequest) -> BaseContext:
    """The context of each start method, in turn."""
    context: BaseContext = multiprocessing.get_context(request.param)
    return context


@pytest.fixture
def status() -> WorkerStatus:
    """A worker's status, IDLE."""
    return WorkerStatus(WorkerStatusEnum.IDLE)


@pytest.fixture
def in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python write and wait, for a test that looks at these steps, or stops between two of them."""
    monkeypatch.setattr(Cell, "_addresses", lambda _: (0, 0, 0, 0, 0))


@pytest.fixture
def restless() -> Iterator[None]:
    """Make Python switch threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def untraced() -> Iterator[None]:
    """Turn off coverage's tracing: it has its own lock, which an interrupt during tracing would leave held."""
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)
