"""A shared value answers as its member does, except where docs/deviations.md says."""

from __future__ import annotations

import enum
import re
from pathlib import Path

import differential
import pytest
from differential import DEVIATIONS, INTS, KINDS, OTHER_DEVIATIONS, UNARY, UNARY_SMALL, Deviation
from differential_enums import Perm
from differential_other_operations import OTHER_OPERATIONS

from multiprocessing_intenum import IntEnumValue, snapshot

PAGE = Path(__file__).parent.parent / "docs" / "deviations.md"


@pytest.mark.parametrize(("kind", "at_least"), [("enums of ints", 400_000), ("other enums", 200_000)])
def test_every_outcome_is_the_members_or_in_a_pinned_row(
    kind: str, at_least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    total, different = differential.results(kind)
    others = [differential.describe(comparison) for comparison in different if differential.row_of(comparison) is None]
    with capsys.disabled():
        print(f"\n{differential.summary(kind)}")
    assert not others
    assert total - len(different) > at_least


def still_deviates(row: Deviation, kind: str) -> bool:
    _, different = differential.results(kind)
    return not row.pins or any(differential.row_of(comparison) is row for comparison in different)


ROWS = {"enums of ints": DEVIATIONS, "other enums": OTHER_DEVIATIONS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_pinned_row_is_still_true(kind: str) -> None:
    gone = {row.what for row in ROWS[kind] if not still_deviates(row, kind)}
    assert gone == set()


def test_the_documented_rows_are_the_pinned_ones() -> None:
    documented = re.findall(r"^\| ?(.*?) ?(?<!\\)\|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    expected = [["What", "---", *(row.what for row in rows)] for rows in ROWS.values()]
    assert documented == [*expected[0], *expected[1]]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_enums_are_of_every_kind(kind: differential.Kind) -> None:
    assert all(len(members) >= 2 for members in kind.members.values())
    enum_types = {type(member) for members in kind.members.values() for member in members}
    assert enum_types == {type(members[0]) for members in kind.members.values()}
    assert {issubclass(enum_type, int) for enum_type in enum_types} == {kind is INTS}
    boundaries = {boundary.name for boundary in getattr(enum, "FlagBoundary", ())} or {""}
    prefix = "Bounded" if kind is INTS else "Limited"
    assert {f"{prefix}{name}" for name in boundaries} <= set(kind.members)


def test_no_operation_hides_another_of_the_same_name() -> None:
    assert not OTHER_OPERATIONS.keys() & (UNARY | UNARY_SMALL).keys()


# Rows that take more than one expression to show


def test_an_int_leaves_the_comparison_to_a_shared_value_on_its_right() -> None:
    """Row: `1.5 > status`."""

    class Aloof(enum.IntEnum):
        ONE = 1

        def __eq__(self, other: object) -> bool:
            return self is other

        __hash__ = int.__hash__

    class Other(enum.IntEnum):
        ONE = 1

    assert Other.ONE == Aloof.ONE
    assert not IntEnumValue(Aloof.ONE) == Other.ONE  # noqa: SIM201


def test_a_function_that_adds_to_its_parameter_writes() -> None:
    """Row: `flags |= Perm.W` in a function."""

    def with_write(flags: Perm) -> Perm:
        flags |= Perm.W
        return flags

    member, status = Perm.R, IntEnumValue(Perm.R)
    assert with_write(member) is Perm.RW
    assert member is Perm.R
    assert with_write(status) == Perm.RW  # type: ignore[arg-type]
    assert snapshot(status) is Perm.RW
    assert with_write(snapshot(status)) is Perm.RW


def test_another_flag_keeps_what_it_is_given_as_the_value_of_a_new_member() -> None:
    """Row: `OtherFlag(status)`."""
    other_flag = enum.IntFlag("OtherFlag", {"A": 4, "B": 2})
    status = IntEnumValue(Perm.R)
    assert other_flag(status) is other_flag.A  # this member exists already
    status.set(Perm.RW)
    made = other_flag(status)
    assert type(made._value_) is type(status)
    assert type(enum.IntFlag("OtherFlag", {"A": 4, "B": 2})(snapshot(status))._value_) is Perm
