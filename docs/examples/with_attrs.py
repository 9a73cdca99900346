"""A shared state in a class made by attrs."""

import enum

import attrs

from multiprocessing_intenum import EnumAttribute, IntEnumValue


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


@attrs.define(slots=False)  # the shared value lies in the instance's __dict__
class WorkerState:
    name: str
    # No annotation: with one, attrs would take the descriptor for a default.
    status = EnumAttribute(WorkerStatus)

    def __attrs_post_init__(self):
        self.status = WorkerStatusEnum.IDLE


state = WorkerState("first")
state.status = "CALCULATING"
assert state.status is WorkerStatusEnum.CALCULATING
assert attrs.asdict(state) == {"name": "first"}
