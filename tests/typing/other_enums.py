"""Only type checkers read this file, it is never run: enums other than a plain IntEnum."""

from __future__ import annotations

import enum
from http import HTTPStatus
from signal import Signals

from typing_extensions import Self, assert_type

from multiprocessing_intenum import IntEnumValue, exchange, snapshot, update, wait_for


class Perm(enum.IntFlag):
    R = enum.auto()
    W = enum.auto()


class PermValue(IntEnumValue[Perm]):
    pass


class Colour(int, enum.Enum):
    """An enum with int mixed in."""

    RED = 1
    BLUE = 2

    def mixed(self) -> Colour:
        return Colour.BLUE


class Choices(int, enum.Enum):
    """Like Django's IntegerChoices: members with a label."""

    label: str

    def __new__(cls, value: int, label: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    YES = 1, "Yes"
    NO = 2, "No"


class ChoicesValue(IntEnumValue[Choices]):
    pass


def flags(flags: PermValue) -> None:
    assert_type(IntEnumValue(Perm.R), IntEnumValue[Perm])
    assert_type(IntEnumValue(Perm.R | Perm.W), IntEnumValue[Perm])
    assert_type(flags.name, str | None)  # a combination may have no name
    assert_type(flags.value, int)
    assert_type(snapshot(flags), Perm)
    assert_type(Perm.R in flags, bool)
    assert_type(flags & Perm.R, int)
    assert_type(snapshot(flags) & Perm.R, Perm)
    flags |= Perm.W
    assert_type(flags, PermValue)
    flags &= ~Perm.W
    assert_type(flags, PermValue)
    flags ^= Perm.R | Perm.W
    assert_type(flags, PermValue)
    flags |= flags
    assert_type(flags, PermValue)
    flags.set(Perm.R | Perm.W)
    flags.value = Perm.R | Perm.W
    assert_type(update(flags, lambda now: now & ~Perm.W), Perm)
    assert_type(wait_for(flags, lambda now: Perm.W in now), Perm)


class Permissions:
    def __init__(self) -> None:
        self.flags = PermValue(Perm.R)

    def allow(self) -> None:
        self.flags |= Perm.W
        assert_type(self.flags, PermValue)


def mixed(colour: IntEnumValue[Colour], choice: ChoicesValue) -> None:
    assert_type(IntEnumValue(Colour.RED), IntEnumValue[Colour])
    assert_type(snapshot(colour), Colour)
    assert_type(exchange(colour, Colour.BLUE), Colour)
    assert_type(colour.name, str)
    assert_type(colour < Colour.BLUE, bool)
    assert_type(ChoicesValue(Choices.YES), ChoicesValue)
    assert_type(ChoicesValue("YES"), ChoicesValue)
    assert_type(snapshot(choice), Choices)
    assert_type(snapshot(choice).label, str)


def attributes_of_the_enum(status: IntEnumValue[HTTPStatus], signal: IntEnumValue[Signals]) -> None:
    assert_type(IntEnumValue(HTTPStatus.OK), IntEnumValue[HTTPStatus])
    phrase: str = status.phrase  # the checkers find it, as Any
    assert_type(snapshot(status).phrase, str)
    assert_type(snapshot(signal), Signals)
    print(phrase, status.is_success, signal)
