"""Fixtures for all tests."""

from __future__ import annotations

import multiprocessing
import sys
from typing import TYPE_CHECKING

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import BaseContext

collect_ignore: list[str] = []
if sys.platform != "linux":  # robust mutexes that processes share, which the pages show, too; /proc
    collect_ignore += ["test_robust.py", "test_killed_holder_examples.py", "test_memory_reuse.py"]
    collect_ignore += ["test_docs_examples.py"]
if "fork" not in METHODS:  # os.fork(), POSIX's signals
    collect_ignore += ["test_example_worker.py", "test_fork.py", "test_interrupts.py", "test_memory.py"]


@pytest.fixture(params=METHODS)
def ctx(request: pytest.FixtureRequest) -> BaseContext:
    """The context of each start method."""
    context: BaseContext = multiprocessing.get_context(request.param)
    return context


@pytest.fixture
def status() -> WorkerStatus:
    """A worker's status, IDLE."""
    return WorkerStatus(WorkerStatusEnum.IDLE)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that are switched as often as Python can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def untraced() -> Iterator[None]:
    """No tracing by coverage: it has a lock of its own, which an interrupt in the middle of it would leave held."""
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)
