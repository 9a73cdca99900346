"""Only type checkers read this file, it is never run: values of enums that are no ints."""

from __future__ import annotations

import enum
from typing import Any

from typing_extensions import assert_type

from multiprocessing_intenum import EnumAttribute, EnumValue, compare_and_set, exchange, snapshot, update


class Priority(str, enum.Enum):
    LOW = "low"
    HIGH = "high"


class Colour(enum.Enum):
    RED = (255, 0, 0)
    BLUE = [0, 0, 255]  # noqa: RUF012


class Perm(enum.Flag):
    R = enum.auto()
    W = enum.auto()


class PriorityValue(EnumValue[Priority]):
    pass


class Job:
    priority: EnumAttribute[PriorityValue] = EnumAttribute(PriorityValue)

    def __init__(self) -> None:
        self.priority = Priority.LOW


def reading(priority: PriorityValue, colour: EnumValue[Colour], perm: EnumValue[Perm], job: Job) -> None:
    assert_type(EnumValue(Colour.RED), EnumValue[Colour])
    assert_type(snapshot(priority), Priority)
    assert_type(priority.name, str)
    assert_type(priority.value, str)
    assert_type(priority == Priority.LOW, bool)
    assert_type(snapshot(colour), Colour)
    assert_type(colour.name, str)
    assert_type(colour.value, Any)
    assert_type(perm.name, str | None)
    assert_type(perm.value, int)
    assert_type(job.priority, Priority)
    assert_type(Job.priority.proxy_of(job), PriorityValue)


def writing(priority: PriorityValue, perm: EnumValue[Perm], job: Job) -> None:
    priority.set("HIGH")
    priority.value = Priority.HIGH
    job.priority = "HIGH"
    assert_type(exchange(priority, Priority.LOW), Priority)
    assert_type(compare_and_set(priority, "LOW", Priority.HIGH), bool)
    assert_type(update(priority, lambda _: Priority.HIGH), Priority)
    perm |= Perm.W
    assert_type(perm, EnumValue[Perm])


def mistakes(priority: PriorityValue, job: Job) -> None:
    priority.set(Colour.RED)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    priority.value = Colour.RED  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    job.priority = Colour.RED  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    number: int = priority  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(number)
