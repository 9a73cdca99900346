"""A write by path, beside the two system calls that lock and unlock a byte of a file."""

from __future__ import annotations

import fcntl
import os
import statistics
import struct
import tempfile
import timeit
from pathlib import Path

from paired import Finding
from states import WorkerStatusEnum
from targets import Target

from multiprocessing_intenum import IntEnumValue

__all__ = ["a_write_by_path"]

_TARGET = Target(1.3, 2.5)
_TRY = 37  # F_OFD_SETLK, which fcntl does not name
_CALLS = 2000


def a_write_by_path(rounds: int) -> Finding:
    """Measure writes by path, in turns with the kernel's lock alone, and return the finding."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where a value by path belongs
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        status = IntEnumValue(WorkerStatusEnum.IDLE, at=str(Path(directory, "status")))
        with Path(directory, "other").open("wb") as file:
            lock, unlock = (
                struct.pack("@hhqqi4x", kind, os.SEEK_SET, 2**62, 1, 0) for kind in (fcntl.F_WRLCK, fcntl.F_UNLCK)
            )
            names = {
                "set_": status.set, "a": WorkerStatusEnum.CALCULATING, "b": WorkerStatusEnum.IDLE,
                "call": fcntl.fcntl, "fd": file.fileno(), "try_": _TRY, "lock": lock, "unlock": unlock,
            }  # fmt: skip
            ways = [
                timeit.Timer(statement, globals=names)
                for statement in ("set_(a); set_(b)", 2 * "call(fd, try_, lock); call(fd, try_, unlock);")
            ]
            turns = [[way.timeit(_CALLS) / _CALLS / 2 for way in ways] for _ in range(rounds)]
    ours, others = zip(*turns, strict=True)
    figure = statistics.median(one / other for one, other in turns)
    label, against = "a write by path", "the kernel's lock alone"
    return Finding(label, against, statistics.median(ours), statistics.median(others), figure, _TARGET.here)
