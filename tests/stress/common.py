"""What the stress scripts share: their reports and enums, the peer, and functions that start processes."""

from __future__ import annotations

import argparse
import enum
import importlib.util
import json
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiprocessing_intenum import compare_and_exchange, compare_and_set, exchange, snapshot, update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.context import BaseContext
    from types import ModuleType

METHODS = tuple(multiprocessing.get_all_start_methods())
FORK = multiprocessing.get_context("fork")

DEADLINE = 60.0
"""Seconds after which a wait counts as blocked for ever. Nothing here takes nearly as long."""

ALLOWED, FORBIDDEN = "allowed", "forbidden"
DEFAULT, RLOCK, PEER = "default", "RLock", "peer 1.1"
"""The columns of the tables: this library with its default lock, a `RobustRLock`, or with `multiprocessing.RLock`;
multiprocessing-intenum 1.1."""

LOCKS: tuple[tuple[str, Callable[[BaseContext], Any]], ...] = (
    (DEFAULT, lambda ctx: None),
    (RLOCK, lambda ctx: ctx.RLock()),
)
"""What a value is given as `lock=`, for each column of this library. None means the default lock."""

LATE = 5.0
"""Seconds after which a step counts as late. A step should take at most 0.05, but the machine may be busy."""


class State(enum.IntEnum):
    IDLE = 1
    CALCULATING = 2
    UNAVAILABLE = 3


NEXT = {State.IDLE: State.CALCULATING, State.CALCULATING: State.UNAVAILABLE, State.UNAVAILABLE: State.IDLE}


class Bits(enum.IntFlag):
    A = 1
    B = 2
    C = 4
    D = 8


class Report:
    """The figures of one script. Each is printed on a line, and all are written as JSON for the runner.

    Args:
        title: the title of the script's table.
    """

    def __init__(self, title: str) -> None:
        parser = argparse.ArgumentParser(description=title)
        parser.add_argument("--short", action="store_true", help="a scaled-down run, for CI")
        parser.add_argument("--json", type=Path, help="write the figures to this file, too")
        options = parser.parse_args()
        self.title = title
        self.short: bool = options.short
        self._json: Path | None = options.json
        self._lines: list[dict[str, Any]] = []
        self._table: list[list[str]] = []
        self._lost = 0
        threading.excepthook = self._thread_died

    def _thread_died(self, args: threading.ExceptHookArgs) -> None:
        # Python only prints the exception and goes on, and what the thread did not check would count as fine.
        threading.__excepthook__(args)
        self._lost += 1

    def count(self, full: int, short: int) -> int:
        """Return the count for this run, full or short."""
        return short if self.short else full

    def seen(self, check: str, outcome: str, seen: int, of: int, verdict: str = "", column: str = DEFAULT) -> None:
        """Report how often an outcome was seen.

        Args:
            check: what was done.
            outcome: the outcome that was looked for.
            seen: how often it was seen.
            of: the number of trials.
            verdict: ALLOWED or FORBIDDEN, or empty for the peer, which is only measured.
            column: the column of the library and the lock.
        """
        lost = verdict == FORBIDDEN and seen > 0
        self._line(check, outcome, column, f"{seen:,} of {of:,} {verdict}".strip(), lost)
        self._lines[-1] |= {"seen": seen, "of": of}

    def slowest(self, check: str, outcome: str, seconds: list[float], limit: float, column: str = DEFAULT) -> None:
        """Report the longest of several times. From `limit` seconds on, it is forbidden."""
        longest = max(seconds)
        text = f"{longest * 1000:.1f} ms" if longest < 1 else f"{longest:.2f} s"
        self._line(check, outcome, column, f"{text}, {limit:g} s {FORBIDDEN}", longest >= limit)

    def measured(self, check: str, outcome: str, text: str, column: str = DEFAULT) -> None:
        """Report a figure that is only measured."""
        self._line(check, outcome, column, text, False)

    def _line(self, check: str, outcome: str, column: str, text: str, lost: bool) -> None:
        self._lost += lost
        mark = "  <<<<<< LOSS" if lost else ""
        print(f"{self.title}: {check}: {column}: {outcome}: {text}{mark}", flush=True)
        self._lines.append({"check": check, "outcome": outcome, "column": column, "text": text})

    def table(self, rows: list[list[str]]) -> None:
        """Report a table with its own columns, given as rows with the header first."""
        for row in rows:
            print(f"{self.title}: {' | '.join(row)}", flush=True)
        self._table = rows

    def finish(self) -> None:
        """Write the figures and exit, with exit code 1 if anything forbidden was seen or a thread died."""
        if self._json is not None:
            self._json.write_text(json.dumps({"title": self.title, "lines": self._lines, "table": self._table}))
        sys.exit(1 if self._lost else 0)


def load_peer() -> ModuleType:
    """Import multiprocessing-intenum 1.1 under another name, because its package has the same name as this one."""
    directory = Path(os.environ["STRESS_PEER"]) / "multiprocessing_intenum"
    spec = importlib.util.spec_from_file_location(
        "peer_intenum", directory / "__init__.py", submodule_search_locations=[str(directory)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_processes(ctx: BaseContext, target: Callable[..., object], arguments: Iterable[tuple[Any, ...]]) -> int:
    """Run a process for each tuple of arguments, and return how many processes failed or did not end in time."""
    processes = [ctx.Process(target=target, args=args) for args in arguments]
    for process in processes:
        process.start()
    return sum(reap(process) != 0 for process in processes)


def reap(process: Any) -> int | None:
    """Wait for a process and return its exit code. At the deadline, kill the process and return None."""
    process.join(DEADLINE)
    exit_code: int | None = process.exitcode
    if exit_code is None:
        process.kill()
        process.join()
    process.close()
    return exit_code


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "a process or a thread did not get as far as this"
        time.sleep(0.001)


def is_refused(function: Callable[..., object], *args: Any) -> bool:
    """Whether a call with `timeout=` raises TimeoutError, and in time."""
    started = time.monotonic()
    try:
        function(*args, timeout=0.05)
    except TimeoutError:
        return 0.04 < time.monotonic() - started < LATE
    return False


def writes_are_refused(status: Any) -> bool:
    """Whether each write with `timeout=` raises TimeoutError in time, and none of them writes."""
    state = snapshot(status)
    new = NEXT[state]
    calls = (
        (exchange, new),
        (compare_and_set, state, new),
        (compare_and_exchange, state, new),
        (update, NEXT.__getitem__),
    )
    refused = [is_refused(function, status, *args) for function, *args in calls]
    return all(refused) and snapshot(status) is state
