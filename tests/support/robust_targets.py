"""What the child processes of test_robust.py run. Each reports its progress over its pipe."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from multiprocessing_intenum.locks.robust import RobustRLock

if TYPE_CHECKING:
    import ctypes
    from multiprocessing.connection import Connection
    from typing import TypeAlias

    Pipe: TypeAlias = Connection[object, object]

notes: list[tuple[bool, bool]] = []


def hold(at: Pipe, lock: RobustRLock) -> None:
    lock.acquire()
    at.send("held")
    at.recv()  # blocks until this process is killed


def hold_twice_and_end(at: Pipe, lock: RobustRLock) -> None:
    lock.acquire()
    lock.acquire()
    at.send("held")


def drop_while_held_and_end(at: Pipe, only_reference: list[RobustRLock]) -> None:
    only_reference.pop().acquire()
    for _ in range(100):
        with RobustRLock():  # joins the dropped one in the kernel's list of what this thread holds
            pass
    at.send("held")


def hold_then_release(at: Pipe, lock: RobustRLock) -> None:
    with lock:
        at.send("held")
        at.recv()
    at.send("released")


def take_once_asked(at: Pipe, lock: RobustRLock) -> None:
    at.send("asking")
    taken = lock.acquire(timeout=60)
    lock.release()
    at.send(taken)


def try_to_misuse(at: Pipe, lock: RobustRLock) -> None:
    at.send(lock._is_mine())
    at.send(lock.acquire(block=False))
    try:
        lock.release()
    except RuntimeError as error:
        at.send(str(error))
    at.recv()
    at.send(lock.acquire(timeout=60) and lock._is_mine())
    lock.release()


def count_up(at: Pipe, lock: RobustRLock, total: ctypes.c_int64, times: int) -> None:
    at.send("ready")
    at.recv()
    for _ in range(times):
        with lock:
            total.value += 1
    at.send("done")


def count_death(deaths: ctypes.c_int64, lock: RobustRLock) -> None:
    assert lock._is_mine()
    deaths.value += 1


def count_death_and_fail(deaths: ctypes.c_int64, lock: RobustRLock) -> None:
    count_death(deaths, lock)
    with lock:
        message = "cannot be put right"
        raise ZeroDivisionError(message)


def get_stuck_the_first_time(deaths: ctypes.c_int64, at: Pipe, lock: RobustRLock) -> None:
    count_death(deaths, lock)
    if deaths.value == 1:
        at.send("repairing")
        at.recv()  # blocks until this process is killed


def note_who_holds(lock: RobustRLock) -> None:
    """Note whether this thread holds the lock, even after it takes it again, and whether another thread can take it."""
    answers: list[bool] = []
    with lock:
        mine = lock._is_mine()
    thread = threading.Thread(target=lambda: answers.append(lock.acquire(block=False)))
    thread.start()
    thread.join()
    notes.append((mine and lock._is_mine(), answers[0]))


def write_and_be_killed_holding(at: Pipe, status: Any) -> None:
    status.set("CALCULATING")
    hold(at, status.get_lock())


def notify_once_asked(at: Pipe, condition: Any, job: Any) -> None:
    at.send("ready")
    at.recv()
    with condition:
        job.value = 7
        condition.notify_all()
    at.send("notified")
