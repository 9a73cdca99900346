"""A shared value answers as its member does, except where docs/deviations.md says."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import TYPE_CHECKING

import differential
from differential import DEVIATIONS, Deviation
from differential_enums import MEMBERS, Perm

from multiprocessing_intenum import IntEnumValue, snapshot

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parent.parent / "docs" / "deviations.md"


def test_every_outcome_is_the_members_or_in_a_pinned_row(capsys: pytest.CaptureFixture[str]) -> None:
    total, different = differential.results()
    others = [differential.describe(comparison) for comparison in different if differential.row_of(comparison) is None]
    with capsys.disabled():
        print(f"\n{differential.summary()}")
    assert not others
    assert total - len(different) > 400_000


def still_deviates(row: Deviation) -> bool:
    _, different = differential.results()
    return not row.pins or any(differential.row_of(comparison) is row for comparison in different)


def test_every_pinned_row_is_still_true() -> None:
    gone = {row.what for row in DEVIATIONS if not still_deviates(row)}
    assert gone == set()


def test_the_documented_rows_are_the_pinned_ones() -> None:
    documented = re.findall(r"^\| ?(.*?) ?(?<!\\)\|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    header, line, *rows = documented
    assert (header, line) == ("What", "---")
    assert rows == [row.what for row in DEVIATIONS]


def test_the_enums_are_of_every_kind() -> None:
    assert all(len(members) >= 2 for members in MEMBERS.values())
    assert {type(member) for members in MEMBERS.values() for member in members} == {
        type(members[0]) for members in MEMBERS.values()
    }
    boundaries = {boundary.name for boundary in getattr(enum, "FlagBoundary", ())} or {""}
    assert {f"Bounded{name}" for name in boundaries} <= set(MEMBERS)


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
