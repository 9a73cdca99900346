"""A small program with shared values, which test_surroundings.py runs. Its last line says what it has found.

Usage: program.py DIRECTORY_OF_THE_PACKAGE DIRECTORY_FOR_FILES [START_METHOD ...]
"""

import sys

sys.path.insert(0, sys.argv[1])  # PYTHONPATH is not looked at with -I

import enum
import multiprocessing
import os
import signal
from pathlib import Path

import multiprocessing_intenum
from multiprocessing_intenum import IntEnumValue, RobustRLock, compare_and_set, wait_for

SECONDS = 60.0


class State(enum.IntEnum):
    IDLE = 1
    CALCULATING = 2


def expect(found, expected):
    """With -O there is no assert."""
    if found != expected:
        sys.exit(f"found {found!r}, expected {expected!r}")


def write(status):
    status.set("CALCULATING")


def share(method):
    """A child of this start method writes."""
    context = multiprocessing.get_context(method)
    status = IntEnumValue(State.IDLE, ctx=context)
    child = context.Process(target=write, args=(status,))
    child.start()
    expect(wait_for(status, "CALCULATING", timeout=SECONDS), State.CALCULATING)
    child.join(SECONDS)
    expect(child.exitcode, 0)


def hold(lock):
    """A child holds the lock, and is killed."""
    ready, is_held = os.pipe()
    child = os.fork()
    if not child:
        lock.acquire()
        os.write(is_held, b"x")
        signal.pause()
    os.read(ready, 1)
    taken = lock.acquire(timeout=0.1)
    os.kill(child, signal.SIGKILL)
    expect(taken, False)
    os.waitpid(child, 0)
    if type(lock).__name__ == "RLock":  # of multiprocessing: it is lost
        return
    expect(lock.acquire(timeout=SECONDS), True)
    lock.release()


def share_by_path(directory):
    one, other = IntEnumValue(State.IDLE, at=directory / "status"), IntEnumValue(State.IDLE, at=directory / "status")
    expect(compare_and_set(one, "IDLE", "CALCULATING"), True)
    expect(other, State.CALCULATING)
    expect((directory / "status").stat().st_blocks > 0, True)  # else a write could find the file system full
    hold(one.get_lock())


def main():
    for method in sys.argv[3:] or multiprocessing.get_all_start_methods():
        share(method)
    lock = IntEnumValue(State.IDLE).get_lock()
    hold(lock)
    share_by_path(Path(sys.argv[2]))
    where = "a zip" if ".zip" in multiprocessing_intenum.__file__ else "files"
    print(f"ok: from {where}, {'robust' if type(lock) is RobustRLock else 'not robust'}, process {os.getpid()}")


if __name__ == "__main__":
    main()
