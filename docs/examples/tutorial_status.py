"""The state of the worker: every program that imports this opens the same value."""

import enum
import os
import tempfile

from multiprocessing_intenum import IntEnumValue


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = 1  # no worker is there, or it is about to end
    IDLE = 2
    CALCULATING = 3


TRANSITIONS = {
    "UNAVAILABLE": ["IDLE"],
    "IDLE": ["CALCULATING", "UNAVAILABLE"],
    "CALCULATING": ["IDLE", "UNAVAILABLE"],
}


class WorkerStatus(
    IntEnumValue[WorkerStatusEnum],
    transitions=TRANSITIONS,  # a write that is not listed is an error
    unknown="UNAVAILABLE",  # what a state of a later version reads as: see step 6
):
    """The state of the worker, shared by all programs of this machine."""


# For the tutorial. A service has a directory of its own, such as /run/worker.
PATH = f"{tempfile.gettempdir()}/tutorial-{os.getuid()}"
status = WorkerStatus("UNAVAILABLE", at=PATH)
