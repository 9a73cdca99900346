"""The examples from the original request for this library, in their order.

>>> class WorkerStatusEnum(IntEnum):
...     UNAVAILABLE = enum.auto()
...     IDLE = enum.auto()
...     CALCULATING = enum.auto()

>>> class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
...     pass

>>> status = WorkerStatus(WorkerStatusEnum.IDLE)
>>> status.name
'IDLE'
>>> status.value
2
>>> with status.get_lock():
...     status.set(WorkerStatusEnum.CALCULATING)
>>> status.name
'CALCULATING'
>>> status.value
3

>>> class FrutEnum(IntEnum):
...     APPLE = enum.auto()
...     ORANGE = enum.auto()
>>> status.set(FrutEnum.APPLE)
Traceback (most recent call last):
TypeError: Can not set '<enum 'WorkerStatusEnum'>' to value of type '<enum 'FrutEnum'>'
>>> status.name
'CALCULATING'

>>> class WorkerState:
...     def __init__(self) -> None:
...         self.status = WorkerStatus(WorkerStatusEnum.IDLE)
>>> WorkerState().status.name
'IDLE'

>>> class WorkerState:
...     def __init__(self) -> None:
...         self.lock = multiprocessing.RLock()
...         self.status = WorkerStatus(WorkerStatusEnum.IDLE, lock=self.lock)
...         self.job_id = multiprocessing.Value("i", -1, lock=self.lock)
...
...     def get_lock(self) -> Lock | RLock:
...         return self.lock
>>> state = WorkerState()
>>> with state.get_lock():
...     state.status.set(WorkerStatusEnum.CALCULATING)
...     state.job_id.value = 7
>>> state.status.name, state.job_id.value
('CALCULATING', 7)
>>> state.status.get_lock() is state.job_id.get_lock() is state.lock
True

The original class with the property lacks the get_lock() that its example calls, so it is added here.

>>> class WorkerState:
...     def __init__(self) -> None:
...         self._status = WorkerStatus(WorkerStatusEnum.IDLE)
...
...     @property
...     def status(self) -> WorkerStatusEnum:
...         return self._status  # type: ignore[return-value]
...
...     @status.setter
...     def status(self, status: WorkerStatusEnum | str) -> None:
...         self._status.set(status)
...
...     def get_lock(self) -> Lock | RLock:
...         return self._status.get_lock()
>>> state = WorkerState()
>>> state.status.name
'IDLE'
>>> with state.get_lock():
...     state.status = WorkerStatusEnum.CALCULATING
>>> state.status.name
'CALCULATING'
>>> state.status = "UNAVAILABLE"
>>> state.status.name
'UNAVAILABLE'

>>> class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
...     def set(self, value: WorkerStatusEnum | str) -> None:
...         super().set(value)
...         logger.info(f"WorkerStatus set to '{self.name}'")
>>> status = WorkerStatus(WorkerStatusEnum.IDLE)
>>> status.set(WorkerStatusEnum.CALCULATING)
WorkerStatus set to 'CALCULATING'
>>> status.value = "IDLE"
WorkerStatus set to 'IDLE'
"""

from __future__ import annotations

import doctest
import enum
import logging
import multiprocessing
import sys
from enum import IntEnum
from multiprocessing.synchronize import Lock, RLock

from multiprocessing_intenum import IntEnumValue


def test_every_example_does_what_it_says() -> None:
    logger = logging.Logger("seeds", logging.INFO)
    runner = doctest.DocTestRunner()
    names = {
        "enum": enum,
        "logger": logger,
        "multiprocessing": multiprocessing,
        **{thing.__name__: thing for thing in (IntEnum, IntEnumValue, Lock, RLock)},
    }
    examples = doctest.DocTestParser().get_doctest(__doc__ or "", names, "seeds", __file__, 0)

    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sys.stdout.write(record.getMessage() + "\n")  # looked up each time, because doctest replaces sys.stdout

    logger.addHandler(Printing())
    assert runner.run(examples) == (0, len(examples.examples))
