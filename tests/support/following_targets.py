"""What the processes of the tests of following run: they have records open, and follow those that are theirs."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import TYPE_CHECKING, Any

from enums import WorkerStatus

from multiprocessing_intenum.postgres import follower

if TYPE_CHECKING:
    from multiprocessing_intenum.postgres import PostgresRecord


def have_open(records: list[PostgresRecord], pids: Any, settings: dict[str, float]) -> None:
    """Have these records open until the process is killed."""
    for name, value in settings.items():
        setattr(follower, name, value)
    values = [WorkerStatus(at=record) for record in records]
    pids.put(os.getpid())
    while values:
        signal.pause()


def let_nobody_run(*_: object) -> None:
    """Stay in C, with the GIL held."""
    ctypes.PyDLL(None).sleep(3600)


def have_open_until_usr1(records: list[PostgresRecord], pids: Any, settings: dict[str, float]) -> None:
    """Have these records open, and hold the GIL for ever from SIGUSR1 on."""
    signal.signal(signal.SIGUSR1, let_nobody_run)
    have_open(records, pids, settings)
