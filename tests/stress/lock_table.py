"""Locks: try out what each kind of lock does for a shared value, and measure what a set() under it costs."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import DEADLINE, FORK, METHODS, Report, State, reap

from multiprocessing_intenum import IntEnumValue, RobustRLock, update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples"))
from file_lock import SharedFileLock

WAIT = 0.3  # seconds after which a lock that could not be taken counts as held

NAMES = (
    "`RobustRLock` (the default)",
    "`multiprocessing.RLock`",
    "`multiprocessing.Lock`",
    "`SharedFileLock`, over filelock",
    "a manager's `RLock`",
    "a manager's `Lock`",
    "`threading.RLock`",
    "`threading.Lock`",
)


def make(name: str, ctx: Any, manager: Any, directory: str) -> Any:
    return {
        NAMES[0]: RobustRLock,
        NAMES[1]: ctx.RLock,
        NAMES[2]: ctx.Lock,
        NAMES[3]: lambda: SharedFileLock(f"{directory}/{time.monotonic_ns()}.lock"),
        NAMES[4]: manager.RLock,
        NAMES[5]: manager.Lock,
        NAMES[6]: threading.RLock,
        NAMES[7]: threading.Lock,
    }[name]()


def try_to_take(status: Any, taken: Any) -> None:
    """Note whether an update can take the lock of a value."""
    try:
        update(status, lambda now: now, timeout=WAIT)
        taken.value = 1
    except TimeoutError:
        taken.value = 0


def hold(status: Any, held: Any) -> None:
    status.get_lock().acquire()
    held.value = 1
    time.sleep(DEADLINE)


def write(status: Any, done: Any) -> None:
    update(status, lambda now: State.UNAVAILABLE, timeout=DEADLINE)
    done.value = 1


def in_process(ctx: Any, target: Callable[..., None], status: Any) -> int:
    """Run the target in a child, and return what it noted, or -1 if it noted nothing."""
    note = RawValue("b", -1)
    child = ctx.Process(target=target, args=(status, note))
    child.start()
    reap(child)
    return int(note.value)


@contextmanager
def held_by_another_process(status: Any) -> Iterator[None]:
    """Let another process hold the lock, and kill it at the end."""
    note = RawValue("b", -1)
    child = FORK.Process(target=hold, args=(status, note))
    child.start()
    deadline = time.monotonic() + DEADLINE
    while note.value != 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    try:
        yield
    finally:
        child.kill()
        reap(child)


class _Note:
    value = -1


def excludes_threads(lock: Any) -> bool:
    note = _Note()
    lock.acquire()
    thread = threading.Thread(target=try_to_take, args=(IntEnumValue(State.IDLE, lock=lock), note))
    thread.start()
    thread.join()
    lock.release()
    return note.value == 0


def excludes_processes(lock: Any) -> bool:
    status, note = IntEnumValue(State.IDLE, lock=lock), _Note()
    with held_by_another_process(status):
        try_to_take(status, note)
    return note.value == 0


def is_reentrant(lock: Any) -> bool:
    lock.acquire()
    try:
        again = lock.acquire(timeout=WAIT) is not False
    except TimeoutError:
        again = False
    if again:
        lock.release()
    lock.release()
    return again


def sets_while_held(lock: Any) -> bool:
    """Whether `with lock: status.set(...)` returns. It may block, so a separate process tries it."""
    status = IntEnumValue(State.IDLE, lock=lock)

    def hold_and_set() -> None:
        lock.acquire()
        status.set("CALCULATING")
        lock.release()

    child = FORK.Process(target=hold_and_set)
    child.start()
    child.join(10 * WAIT)
    child.kill()
    child.join()
    return status.name == "CALCULATING"


def survives(lock: Any) -> bool:
    status, note = IntEnumValue(State.IDLE, lock=lock), _Note()
    status.set("CALCULATING")  # a manager serves each client in a thread, and one thread may be mistaken for another
    with held_by_another_process(status):
        pass
    try_to_take(status, note)
    return note.value == 1


def start_methods(name: str, manager: Any, directory: str) -> str:
    good = []
    for method in METHODS:
        ctx = multiprocessing.get_context(method)
        status = IntEnumValue[State](State.IDLE, lock=make(name, ctx, manager, directory))
        try:
            in_process(ctx, write, status)
        except (TypeError, RuntimeError):  # it cannot be pickled
            continue
        if status.name == "UNAVAILABLE":
            good.append(method)
    return ", ".join(good)


def cost(lock: Any, times: int) -> float:
    """Return how many seconds one set() takes: the best of five."""
    status = IntEnumValue(State.IDLE, lock=lock)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(times):
            status.set(State.CALCULATING)
        best = min(best, time.perf_counter() - started)
    return best / times


def main() -> None:
    report = Report("Locks")
    header = ["lock", "start methods", "excludes processes", "excludes threads", "re-entrant", "`set()` while held"]
    rows = [[*header, "survives its holder's kill", "cost of a `set()`"]]
    with multiprocessing.Manager() as manager, tempfile.TemporaryDirectory() as directory:
        for name in NAMES:

            def new(name: str = name) -> Any:
                return make(name, FORK, manager, directory)

            local = "threading" in name
            answers = [excludes_processes(new()), excludes_threads(new()), is_reentrant(new()), sets_while_held(new())]
            row = [name, start_methods(name, manager, directory) if not local else "none: one process only"]
            row += ["yes" if answer else "no" for answer in answers]
            row += ["yes" if survives(new()) else "no"] if not local else ["—"]
            slow = "manager" in name or "File" in name
            row.append(f"{cost(new(), report.count(2_000, 100) if slow else report.count(50_000, 5_000)) * 1e6:.2f} µs")
            rows.append(row)
    report.table(rows)
    report.finish()


if __name__ == "__main__":
    main()
