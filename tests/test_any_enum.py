"""Values of enums that are no ints: how they are stored, what they refuse, and what they share with the others."""

from __future__ import annotations

import enum
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from helpers import HAVE_PATHS

from multiprocessing_intenum import (
    EnumAttribute,
    EnumValue,
    IntEnumAttribute,
    IntEnumValue,
    TransitionError,
    compare_and_set,
    last_change,
    snapshot,
)

if TYPE_CHECKING:
    from pathlib import Path


class Priority(str, enum.Enum):
    LOW = "low"
    HIGH = "high"
    URGENT = "high"  # noqa: PIE796 # an alias


class Anything(enum.Enum):
    LIST = [1]  # noqa: RUF012
    DICT: dict[str, int] = {}  # noqa: RUF012
    NONE = None
    NOTHING = None  # noqa: PIE796 # an alias


class Digits(str, enum.Enum):
    ONE = "1"


class Perm(enum.Flag):
    R = 1
    W = 2


ENUMS = pytest.mark.parametrize("kind", [Priority, Anything, Perm], ids=lambda kind: kind.__name__)


@ENUMS
def test_each_member_and_alias_comes_back_as_itself(kind: Any) -> None:
    status: Any = EnumValue[kind](next(iter(kind)))
    for name, member in kind.__members__.items():
        status.set(name)
        assert snapshot(status) is member
        assert (status.name, status.value, status == member) == (member.name, member.value, True)
        assert (repr(status), status.__class__, bool(status)) == (repr(member), kind, bool(member))


@ENUMS
def test_the_word_in_memory_is_the_place_or_a_flags_value(kind: Any) -> None:
    for place, member in enumerate(kind):
        stored = EnumValue(member)._self_view[()]
        assert stored == (member.value if kind is Perm else place)


@ENUMS
def test_a_value_for_ints_refuses_it_as_before(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"expected an enum whose members are ints.*; for others use EnumValue"):
        IntEnumValue[kind]
    with pytest.raises(TypeError, match=r"Can not set '<enum 'IntEnum'>' to value of type .*: use EnumValue"):
        IntEnumValue(next(iter(kind)))


def test_what_is_no_enum_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Can not share a value of '<class 'str'>': expected an enum$"):
        EnumValue[str]  # type: ignore[type-var]


def test_a_str_is_a_name_and_the_error_says_so() -> None:
    priority = EnumValue(Priority.LOW)
    with pytest.raises(KeyError, match="'high' is the value of HIGH, and a str is always a name: give the member"):
        priority.set("high")
    assert compare_and_set(priority, "LOW", Priority.HIGH)
    change = last_change(priority)
    assert (change.before, change.after) == (Priority.LOW, Priority.HIGH)


def test_adding_to_a_str_in_place_is_no_write() -> None:
    class Steps(str, enum.Enum):
        A = "A"
        AB = "AB"

    steps: Any = EnumValue(Steps.A)
    with pytest.raises(TypeError, match="to value of type '<class 'str'>'"):
        steps += "B"
    assert snapshot(steps) is Steps.A


def test_it_has_the_methods_of_a_number_only_if_its_member_can_be_one() -> None:
    anything, priority = EnumValue(Anything.LIST), EnumValue(Priority.LOW)
    assert not any(hasattr(anything, f"__{name}__") for name in ("int", "float", "index", "neg", "round", "floor"))
    assert not hasattr(priority, "__index__")
    assert float(EnumValue(Digits.ONE)) == 1.0
    with pytest.raises(TypeError, match="does not support __int__"):
        int(anything)


def test_a_complex_member_can_be_converted() -> None:
    class Turn(complex, enum.Enum):
        QUARTER = 1j

    assert complex(EnumValue(Turn.QUARTER)) == 1j  # type: ignore[call-overload]


def test_a_list_is_extended_in_place_by_a_str_member() -> None:
    letters = ["x"]
    letters += EnumValue(Priority.LOW)  # type: ignore[arg-type]
    assert letters == ["x", "l", "o", "w"]


def test_a_forged_member_is_refused_and_the_value_stays() -> None:
    anything = EnumValue(Anything.LIST)
    with pytest.raises(ValueError, match="that is none of its named members"):
        anything.set(object.__new__(Anything))
    assert snapshot(anything) is Anything.LIST


def test_flags_are_combined_in_place() -> None:
    perm = EnumValue(Perm.R)
    perm |= Perm.W
    assert snapshot(perm) is Perm.R | Perm.W
    assert Perm.W in perm


def test_the_old_name_of_the_attribute_is_the_same_thing() -> None:
    assert IntEnumAttribute is EnumAttribute


def test_an_attribute_is_the_member() -> None:
    class Job:
        priority = EnumAttribute(EnumValue[Priority])

        def __init__(self) -> None:
            self.priority = Priority.LOW

    job = Job()
    job.priority = "HIGH"
    assert job.priority is Priority.HIGH
    with pytest.raises(TypeError, match="expected a subclass of IntEnumValue or EnumValue, such as"):
        EnumAttribute(Priority)  # type: ignore[type-var]


if HAVE_PATHS:

    def test_by_path_another_order_is_another_enum(tmp_path: Path) -> None:
        one: Any = enum.Enum("Mood", {"GOOD": "good", "BAD": object()})
        other: Any = enum.Enum("Mood", {"BAD": object(), "GOOD": "good"})
        mood = EnumValue[one]("BAD", at=tmp_path / "mood")
        assert EnumValue[one](at=tmp_path / "mood").name == "BAD"
        with pytest.raises(ValueError, match="GOOD place 0 in the file, 1 here"):
            EnumValue[other](at=tmp_path / "mood")
        assert mood.name == "BAD"

    def test_by_path_another_value_is_another_enum(tmp_path: Path) -> None:
        def mood_of(*values: object) -> Any:
            return EnumValue[enum.Enum("Mood", dict(zip(("GOOD", "BAD", "SET"), values, strict=True)))]  # type: ignore[misc]

        mood = mood_of("good", 1.5, {1, 2})("BAD", at=tmp_path / "mood")
        assert mood_of("good", 1.5, {2, 1})(at=tmp_path / "mood").name == "BAD"
        # What is no literal cannot be compared: its repr may differ between processes.
        assert mood_of("good", 1.5, object())(at=tmp_path / "mood").name == "BAD"
        with pytest.raises(
            ValueError, match=r"GOOD = 'good' in the file, 'fine' here; SET = \{1, 2\} in the file, \{3\} here"
        ):
            mood_of("fine", 1.5, {3})(at=tmp_path / "mood")
        assert mood.name == "BAD"

    def test_by_path_a_value_whose_repr_is_no_literal_is_no_warning(tmp_path: Path) -> None:
        class Rule:
            def __init__(self, text: str) -> None:
                self.text = text

            def __repr__(self) -> str:
                return self.text

        one, other = (EnumValue[enum.Enum("Rules", {"A": Rule(f"Rule('\\d', {number})")})] for number in (1, 2))  # type: ignore[misc]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rules = one("A", at=tmp_path / "rules")
            assert other(at=tmp_path / "rules").name == rules.name == "A"
        assert not caught


def test_the_hash_is_the_members_also_of_one_that_is_made_later() -> None:
    class Pair(tuple, enum.Enum):  # type: ignore[type-arg]
        A = (1, [])

    with pytest.raises(TypeError, match="unhashable type: 'list'") as caught:
        hash(EnumValue(Pair.A))
    assert caught.value.__context__ is None
    assert hash(EnumValue(Anything.LIST)) == hash(Anything.LIST)
    assert hash(EnumValue(Priority.HIGH)) == hash("high")
    assert hash(EnumValue(Perm.R | Perm.W)) == hash(Perm.R | Perm.W)


def test_transitions_of_members_that_are_unhashable_are_checked() -> None:
    class Odd(enum.Enum):
        A = 1
        B = 2

        def __eq__(self, other: object) -> bool:
            return self is other

        __hash__ = None  # type: ignore[assignment]

    class OddValue(EnumValue[Odd], transitions={"A": [Odd.B, "B"]}):
        pass

    odd = OddValue("A")
    odd.set("B")
    with pytest.raises(TransitionError, match="Odd can not go from B to A: from B it goes nowhere"):
        odd.set("A")
    assert snapshot(odd) is Odd.B
