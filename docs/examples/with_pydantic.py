"""A shared value in pydantic models: the member in what goes out, the live value in what stays here."""

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
    """Data: annotated with the enum, it has the member of the moment at which it was made."""

    status: WorkerStatusEnum


class Worker(BaseModel):
    """Annotated with the class of the shared value, it has the value itself, and is dumped as the member of then."""

    name: str
    status: WorkerStatus


worker = Worker(name="first", status=WorkerStatus("IDLE"))
answer = Answer(status=worker.status)
worker.status.set("CALCULATING")
assert answer.model_dump_json() == '{"status":2}'
assert worker.model_dump_json() == '{"name":"first","status":3}'
assert worker.model_dump()["status"] is WorkerStatusEnum.CALCULATING
assert Worker.model_json_schema(mode="serialization")["$defs"]["WorkerStatusEnum"]["enum"] == [1, 2, 3]
