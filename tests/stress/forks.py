"""Forks: while threads are busy, in several threads, in forked children, of daemons, with os.fork(), and of orphans."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import Any

from common import DEADLINE, FORBIDDEN, FORK, LOCKS, METHODS, NEXT, RLOCK, Report, State, reap, run_processes

from multiprocessing_intenum import IntEnumValue, RobustRLock, compare_and_set, exchange, snapshot, update, wait_for

ORPHAN = "--orphan"


def use(status: Any, times: int = 20) -> None:
    """Read and write in a newly started child, with a deadline for each write."""
    for _ in range(times):
        assert status.name in State.__members__
        assert isinstance(update(status, NEXT.__getitem__, timeout=DEADLINE), State)
        assert exchange(status, "IDLE", timeout=DEADLINE) in NEXT
        assert compare_and_set(status, status, "CALCULATING", timeout=DEADLINE) in (True, False)


def beside_threads(lock: Any, forks: int) -> int:
    """Fork repeatedly while other threads read, write and hold the lock; return how many children failed."""
    status = IntEnumValue(State.IDLE, lock=lock)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            assert status.name in State.__members__

    def write() -> None:
        while not stop.is_set():
            update(status, NEXT.__getitem__)

    def hold() -> None:
        while not stop.is_set():
            with status.get_lock():
                status.set(State.IDLE)
                stop.wait(0.001)
                assert status == State.IDLE
            stop.wait(0.001)

    threads = [threading.Thread(target=target) for target in (read, write, hold)]
    for thread in threads:
        thread.start()
    failed = sum(run_processes(FORK, use, [(status, 5)] * 4) for _ in range(forks // 4))
    stop.set()
    for thread in threads:
        thread.join()
    return failed


def in_threads(lock: Any, forks: int) -> int:
    """Fork in several threads at once, and return how many children failed."""
    status = IntEnumValue(State.IDLE, lock=lock)
    processes = [FORK.Process(target=use, args=(status,)) for _ in range(forks)]

    def start(some: list[Any]) -> None:
        for process in some:
            process.start()

    threads = [threading.Thread(target=start, args=(processes[first::4],)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Reap in one thread, after the others have started all processes. multiprocessing loses an exit code if two threads
    # ask for it at the same time, and each start asks for the exit codes of all children (CPython's gh-130895).
    return sum(reap(process) != 0 for process in processes)


def descend(status: Any, total: Any, generations: int) -> None:
    """Count under the value's lock, in this process and in a chain of children."""
    children = [FORK.Process(target=descend, args=(status, total, generations - 1))] if generations else []
    for child in children:
        child.start()
    for _ in range(200):
        with status.get_lock():
            total.value += 1
            status.set(NEXT[snapshot(status)])
    for child in children:
        assert reap(child) == 0


def work_for_ever(status: Any, started: Any) -> None:
    while True:
        update(status, NEXT.__getitem__)
        started.value = 1


def have_daemons(status: Any) -> None:
    """Start daemons and end, so that multiprocessing terminates the daemons."""
    flags = [RawValue("b", 0) for _ in range(2)]
    for flag in flags:
        FORK.Process(target=work_for_ever, args=(status, flag), daemon=True).start()
    while not all(flag.value for flag in flags):
        time.sleep(0.001)


def after_daemons(lock: Any) -> int:
    """Terminate daemons. Return whether a read then fails or, with the default lock, whether a write fails."""
    status = IntEnumValue(State.IDLE, lock=lock)
    failed = run_processes(FORK, have_daemons, [(status,)])
    read = status.name in State.__members__
    try:
        exchange(status, "IDLE", timeout=1.0)
        written = True
    except TimeoutError:
        written = not isinstance(status.get_lock(), RobustRLock)  # a daemon held the lock when it was terminated
    return int(failed > 0 or not read or not written)


def bare(lock: Any) -> tuple[int, int]:
    """Call os.fork() with the lock held; return whether the child believes that it holds the lock, and any failure."""
    status = IntEnumValue(State.IDLE, lock=lock)
    lock = status.get_lock()
    seen = RawArray("b", 3)
    lock.acquire()
    status.set("CALCULATING")
    child = os.fork()
    if not child:
        signal.alarm(int(DEADLINE))
        try:
            exchange(status, "UNAVAILABLE", timeout=0.0)
            seen[0] = 1
        except TimeoutError:
            pass
        seen[1] = status.name == "CALCULATING"
        seen[2] = 1  # the parent may release the lock now
        exchange(status, "UNAVAILABLE", timeout=DEADLINE)
        os._exit(0)
    deadline = time.monotonic() + DEADLINE
    while not seen[2] and time.monotonic() < deadline:
        time.sleep(0.001)
    held = status.name == "CALCULATING"  # the child has not written
    lock.release()
    _, exit_status = os.waitpid(child, 0)
    failed = exit_status != 0 or not seen[1] or not held or status.name != "UNAVAILABLE"
    lock.acquire()  # this thread can take the lock again
    lock.release()
    return seen[0], int(failed)


def outlive(status: Any, parent: int) -> None:
    """Use the value after the parent has ended."""
    deadline = time.monotonic() + DEADLINE
    while os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(0.001)
    use(status)
    os.write(1, b"done\n")  # a single write, so that two children's lines do not mix


def be_a_parent(method: str, column: str) -> None:
    """Start children and end at once, without waiting for them. This runs if the script is called with `ORPHAN`."""
    ctx = multiprocessing.get_context(method)
    status = IntEnumValue(State.IDLE, lock=dict(LOCKS)[column](ctx))
    for _ in range(2):
        ctx.Process(target=outlive, args=(status, os.getpid())).start()
    os._exit(0)


def orphans(method: str, column: str) -> int:
    """Return how many of two children failed to go on after their parent had ended."""
    parent = subprocess.Popen(
        [sys.executable, __file__, ORPHAN, method, column],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    # The pipes close when the last child has ended. A resource tracker message about the dead parent is no failure.
    output, errors = parent.communicate(timeout=DEADLINE)
    done = output.split().count("done")
    if done != 2:
        print(errors)
    return 2 - done


def waits_while_forking(lock: Any) -> int:
    """Fork while another thread is in wait_for; return whether its wait_for, or one in the child, does not end."""
    status = IntEnumValue(State.IDLE, lock=lock)
    found: list[State] = []
    waiter = threading.Thread(target=lambda: found.append(wait_for(status, "UNAVAILABLE", timeout=DEADLINE)))
    waiter.start()
    failed = run_processes(FORK, _answer, [(status,)])
    waiter.join()
    return int(failed > 0 or found != [State.UNAVAILABLE])


def _answer(status: Any) -> None:
    status.set("UNAVAILABLE")
    wait_for(status, "UNAVAILABLE", timeout=DEADLINE)


def has_gil() -> bool:
    return not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled()


def main() -> None:
    report = Report("Forks")
    forks = report.count(200, 24)
    repeats = report.count(50, 5)
    for column, make in LOCKS:

        def lock(make: Any = make) -> Any:
            return make(FORK)

        def seen(check: str, outcome: str, number: int, of: int, to: str = column) -> None:
            report.seen(check, outcome, number, of, FORBIDDEN, to)

        # Without the GIL a child that is forked beside threads may wait for ever for their multiprocessing.RLock. That
        # happens without this library as well; with the default lock it did not in 16,000 children.
        if column != RLOCK or has_gil():
            failed = beside_threads(lock(), forks)
            seen("fork while threads read, write and hold the lock", "the child fails or blocks", failed, forks)
        seen("fork in four threads at once", "the child fails or blocks", in_threads(lock(), forks), forks)
        lost, generations = 0, 5
        for _ in range(repeats):
            total = RawValue("q", 0)
            descend(IntEnumValue(State.IDLE, lock=lock()), total, generations)
            lost += 200 * (generations + 1) - total.value
        seen(f"a child of a child, {generations} deep", "an update is lost", lost, repeats * 200 * (generations + 1))
        failed = sum(after_daemons(lock()) for _ in range(repeats))
        seen("daemons, ended with their parent", "the value can not be used", failed, repeats)
        results = [bare(lock()) for _ in range(repeats)]
        check = "os.fork() by the thread that holds the lock"
        seen(check, "the child writes without the lock", sum(held for held, _ in results), repeats)
        seen(check, "the child blocks for ever", sum(failed for _, failed in results), repeats)
        failed = sum(waits_while_forking(lock()) for _ in range(repeats))
        seen("fork while a thread is in wait_for", "a wait does not end", failed, repeats)
        for method in METHODS:
            times = report.count(20, 1)
            failed = sum(orphans(method, column) for _ in range(times))
            seen(f"the parent ends before its children, {method}", "a child fails or blocks", failed, 2 * times)
    report.finish()


if __name__ == "__main__":
    if ORPHAN in sys.argv:
        be_a_parent(*sys.argv[2:])
    else:
        main()
