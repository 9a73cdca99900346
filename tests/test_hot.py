"""The hot reads made for each enum must not hide what a class of shared values, or the enum, defines itself."""

import enum
from typing import Any, TypeVar

from enums import WorkerStatusEnum

from multiprocessing_intenum import IntEnumValue
from multiprocessing_intenum.enums.members import IntEnumMember

IDLE = WorkerStatusEnum.IDLE
T = TypeVar("T", bound=IntEnumMember)


def test_what_a_class_for_any_enum_overrides_stays_overridden_when_it_is_bound() -> None:
    class Own(IntEnumValue[T]):
        @property
        def name(self) -> Any:
            return "its own"

        value = name  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return other == "its own"

        def __hash__(self) -> int:
            return 77

    for status in (Own(IDLE), Own[WorkerStatusEnum]("IDLE")):
        assert (status.name, status.value, status == "its own", hash(status)) == ("its own", "its own", True, 77)


def test_a_class_that_overrides_only_hash_compares_as_before() -> None:
    class OwnHash(IntEnumValue[T]):
        def __hash__(self) -> int:
            return 77

    assert (hash(OwnHash(IDLE)), OwnHash(IDLE) == IDLE) == (77, True)


def test_name_and_value_are_the_enums_own_where_it_defines_them() -> None:
    class Own(enum.IntEnum):
        A = 1

        @property
        def name(self) -> str:  # type: ignore[override]
            return "its own name"

        @property
        def value(self) -> str:  # type: ignore[override]
            return "its own value"

    status = IntEnumValue(Own.A)
    assert (status.name, status.value) == (Own.A.name, Own.A.value) == ("its own name", "its own value")


def test_a_comparison_of_the_enums_own_meets_the_member_of_another_shared_value() -> None:
    class Own(enum.IntEnum):
        A = 1

        def __eq__(self, other: object) -> bool:
            return type(other) is WorkerStatusEnum

        def __ne__(self, other: object) -> bool:
            return type(other) is not WorkerStatusEnum

        __hash__ = enum.IntEnum.__hash__

    status = IntEnumValue(Own.A)
    assert status == IntEnumValue(IDLE)
    assert (status != IntEnumValue(IDLE)) is False
    assert status != IntEnumValue(Own.A)


def test_flags_made_later_have_name_and_value_from_the_first_read_on() -> None:
    class Perm(enum.IntFlag):
        R = 4
        W = 2

    permissions = IntEnumValue(Perm.R)
    permissions |= Perm.W
    both = Perm.R | Perm.W
    assert (permissions.name, permissions.value) == (both.name, both.value)
