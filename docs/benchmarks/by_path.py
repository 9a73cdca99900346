"""A write by path, beside the two system calls that lock and unlock a byte of a file."""

from __future__ import annotations

import fcntl
import os
import statistics
import struct
import tempfile
import timeit
from pathlib import Path

from paired import Finding, ratio_of, turns
from states import WorkerStatusEnum
from targets import Target

from multiprocessing_intenum import IntEnumValue

__all__ = ["a_write_by_path"]

_TARGET = Target(1.3, 2.5)
_TRY = 37  # F_OFD_SETLK of Linux; Python's fcntl does not name it in all versions


def a_write_by_path(rounds: int) -> list[Finding]:
    """Measure writes by path, each of another member than the one before, in turns with the kernel's lock alone."""
    with tempfile.TemporaryDirectory() as directory:  # in memory, where a value by path belongs
        status = IntEnumValue(WorkerStatusEnum.IDLE, at=str(Path(directory, "status")))
        with Path(directory, "other").open("wb") as file:
            lock, unlock = (
                struct.pack("@hhqqi4x", kind, os.SEEK_SET, 2**62, 1, 0) for kind in (fcntl.F_WRLCK, fcntl.F_UNLCK)
            )
            names = {
                "set_": status.set, "a": WorkerStatusEnum.CALCULATING, "b": WorkerStatusEnum.IDLE,
                "call": fcntl.fcntl, "fd": file.fileno(), "try_": _TRY, "lock": lock, "unlock": unlock,
            }  # fmt: skip
            statements = "set_(a); set_(b)", 2 * "call(fd, try_, lock); call(fd, try_, unlock);"
            times, _ = turns([timeit.Timer(statement, globals=names) for statement in statements], rounds)
    ours, others = ([each / 2 for each in own] for own in times)
    medians = statistics.median(ours), statistics.median(others)
    return [Finding("a write by path", "the kernel's lock alone", *medians, ratio_of(ours, others), _TARGET.here)]
