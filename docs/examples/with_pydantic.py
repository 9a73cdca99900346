"""A shared value in pydantic models.

A model that is sent out has the member, a model that stays has the live value.
"""

import enum

from pydantic import BaseModel

from multiprocessing_intenum import IntEnumValue


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


class Answer(BaseModel):
    """Data: the field is annotated with the enum.

    So it holds the member at the time when the model was made.
    """

    status: WorkerStatusEnum


class Worker(BaseModel):
    """A live view: the field is annotated with the class of the shared value.

    So it holds the value, and dumps the current member.
    """

    name: str
    status: WorkerStatus


worker = Worker(name="first", status=WorkerStatus("IDLE"))
answer = Answer(status=worker.status)
worker.status.set("CALCULATING")
assert answer.model_dump_json() == '{"status":2}'
assert worker.model_dump_json() == '{"name":"first","status":3}'
assert worker.model_dump()["status"] is WorkerStatusEnum.CALCULATING
assert Worker.model_json_schema(mode="serialization")["$defs"]["WorkerStatusEnum"][
    "enum"
] == [1, 2, 3]
