"""The table of members: what counts as a member, and enums whose members are made when they are asked for."""

from __future__ import annotations

import enum
import operator
from typing import Any

import pytest
from enums import (
    Big,
    FrutEnum,
    Perm,
    Permissions,
    RecordType,
    StaticallyMade,
    Strict,
    WorkerStatus,
    WorkerStatusEnum,
)
from helpers import TIMED_WRITERS, WRITERS, is_free, run
from process_targets import set_a_record_type

from multiprocessing_intenum import EnumAttribute, IntEnumValue, compare_and_set, exchange, snapshot, wait_for
from multiprocessing_intenum.enums.members import members_of

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


# What counts as a member


BAD: list[tuple[Any, type[Exception], str]] = [
    (FrutEnum.APPLE, TypeError, f"Can not set '{WorkerStatusEnum}' to value of type '{FrutEnum}'"),
    (IntEnumValue(FrutEnum.APPLE), TypeError, f"Can not set '{WorkerStatusEnum}' to value of type '{FrutEnum}'"),
    *(
        (new, TypeError, f"Can not set '{WorkerStatusEnum}' to value of type '{type(new)}'")
        for new in (2, True, None, 2.0, b"IDLE", WorkerStatusEnum)
    ),
    *(
        (
            name,
            KeyError,
            f"{WorkerStatusEnum}' has no member named '{name}'; its names are UNAVAILABLE, IDLE, CALCULATING",
        )
        for name in ("idle", "name", "")
    ),
]


@pytest.mark.parametrize(("new", "error", "text"), BAD)
def test_it_can_not_begin_with_what_is_no_member(new: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        WorkerStatus(new)
    assert text in str(caught.value)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(("new", "error", "text"), BAD)
def test_what_is_no_member_is_refused_by_every_writer_and_the_value_stays(
    status: WorkerStatus, write: Any, new: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        write(status, new)
    assert type(caught.value) is error
    assert text in str(caught.value)
    assert snapshot(status) is IDLE
    assert is_free(status.get_lock())


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_has_the_enums_type_but_is_no_member_of_it_is_refused_where_the_enum_can_grow(write: Any) -> None:
    permissions = IntEnumValue(Strict.R)
    with pytest.raises(ValueError, match=r"64: it has the type '<\w+ 'Strict'>', but is none of its members"):
        write(permissions, int.__new__(Strict, 64))
    assert snapshot(permissions) is Strict.R


def test_an_object_that_only_claims_to_be_a_member_is_refused(status: WorkerStatus) -> None:
    class Liar:
        __class__ = WorkerStatusEnum

        def __index__(self) -> int:
            return 3

    for write in WRITERS.values():
        with pytest.raises(TypeError, match="Can not set"):
            write(status, Liar())
        assert snapshot(status) is IDLE


def test_a_forged_member_counts_as_the_one_of_its_number() -> None:
    class Perm(enum.IntFlag):
        R = 4
        W = 2

    permissions = IntEnumValue(Perm.R)
    permissions.set(int.__new__(Perm, 2))
    assert snapshot(permissions) is Perm.W


def test_a_name_may_be_a_str_of_another_kind() -> None:
    class Name(str):
        __slots__ = ()

    status = WorkerStatus(Name("IDLE"))
    status.set(Name("CALCULATING"))
    assert snapshot(status) is CALCULATING


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_member_of_a_str_enum_is_no_name(status: WorkerStatus, write: Any) -> None:
    class Word(str, enum.Enum):
        CALCULATING = "CALCULATING"

    with pytest.raises(TypeError, match=f"Can not set '{WorkerStatusEnum}' to value of type '{Word}'"):
        write(status, Word.CALCULATING)
    assert snapshot(status) is IDLE


# Members and their integers


def test_the_int_need_not_be_the_value() -> None:
    class Planet(int, enum.Enum):
        def __new__(cls, place: int, text: str) -> Any:
            self = int.__new__(cls, place)
            self._value_ = text
            return self

        VENUS = 2, "hot"
        MARS = 4, "cold"

    planet = IntEnumValue(Planet.VENUS)
    planet.set("MARS")
    assert (planet.value, int(planet), snapshot(planet)) == ("cold", 4, Planet.MARS)


def test_an_alias_is_its_member() -> None:
    class Switch(enum.IntEnum):
        OFF = 0
        ON = 1
        YES = 1

    switch = IntEnumValue(Switch.OFF)
    switch.set("YES")
    assert snapshot(switch) is Switch.ON


def test_two_members_of_one_int_are_refused() -> None:
    class Temperature(int, enum.Enum):
        def __new__(cls, text: str) -> Any:
            self = int.__new__(cls, 7)
            self._value_ = text
            return self

        COLD = "cold"
        HOT = "hot"

    with pytest.raises(TypeError, match="COLD and HOT are both the integer 7"):
        IntEnumValue[Temperature]


@pytest.mark.parametrize("member", [Big.TOO_LARGE, Big.TOO_SMALL])
def test_a_member_beyond_64_bits_can_not_be_stored(member: Big) -> None:
    with pytest.raises(OverflowError, match=f"Can not store Big member {member.name} = {int(member)}"):
        IntEnumValue(member)
    size = IntEnumValue(Big.SMALL)
    for write in WRITERS.values():
        with pytest.raises(OverflowError, match="a shared value holds 64 bits"):
            write(size, member)
        assert snapshot(size) is Big.SMALL


@pytest.mark.parametrize("member", [Big.LARGEST, Big.SMALLEST])
def test_the_outermost_64_bit_members_fit(member: Big) -> None:
    size = IntEnumValue(Big.SMALL)
    size.set(member)
    assert snapshot(size) is member


# Flags


@pytest.mark.parametrize("boundary", ["STRICT", "CONFORM", "EJECT", "KEEP"])
def test_flags_of_every_boundary_are_shared(boundary: str) -> None:
    if not hasattr(enum, "FlagBoundary"):  # Python 3.10
        kind: Any = Perm
    else:
        kind = enum.IntFlag("Bits", {"R": 4, "W": 2, "X": 1}, boundary=enum.FlagBoundary[boundary])
    bits = IntEnumValue(kind.R)
    for number in range(8):
        bits.set(kind(number))
        assert snapshot(bits) is kind(number)
        assert bits.name == kind(number).name


@pytest.mark.parametrize(
    "read", [repr, int, hash, lambda flags: flags | 1, lambda flags: 1 | flags, lambda flags: ~flags]
)
def test_a_combination_that_another_process_has_made_is_read_as_any_other(read: Any) -> None:
    for number in range(8):
        fresh: Any = enum.IntFlag("Fresh", {"R": 4, "W": 2, "X": 1})
        flags = IntEnumValue(fresh.R)
        flags._self_view[()] = number
        assert read(flags) == read(fresh(number))


def test_no_combination_of_flags_is_named_by_an_int_that_the_enum_ejects() -> None:
    permissions = Permissions(Perm.R)
    permissions._self_view[()] = 1 << 40
    try:
        expected: Any = Perm(1 << 40)
    except ValueError:
        expected = None
    if type(expected) is Perm:
        # Python 3.11.2 makes another member each time.
        assert (snapshot(permissions), type(snapshot(permissions))) == (expected, Perm)
    else:
        with pytest.raises(ValueError, match="is no member"):
            snapshot(permissions)


# Members that `_missing_` makes


def test_members_that_missing_makes_are_taken_from_the_enum() -> None:
    class Made(enum.IntEnum):
        ONE = 1

        @classmethod
        def _missing_(cls, value: object) -> Any:
            if value == 13:
                return cls.ONE  # a default, which is not what the cell holds
            if not isinstance(value, int):
                return None
            member = int.__new__(cls, value)
            member._name_, member._value_ = f"MADE_{value}", value
            return cls._value2member_map_.setdefault(value, member)

    made = IntEnumValue(Made.ONE)
    made.set(Made(7))
    assert snapshot(made) is Made(7)
    made._self_view[()] = 8  # like another process, whose enum has made this member
    assert made.name == "MADE_8"
    made._self_view[()] = 13
    with pytest.raises(ValueError, match="13 is no member of '<enum 'Made'>'"):
        snapshot(made)


MAKERS = pytest.mark.parametrize("maker", [RecordType, StaticallyMade])


@MAKERS
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_members_that_an_enum_makes_anew_each_time_can_be_stored(maker: Any, write: Any) -> None:
    assert maker(65280) is not maker(65280)
    status = IntEnumValue(maker.A)
    write(status, maker(65280))
    assert status == maker(65280)
    assert (status.name, status.value) == (maker(65280).name, maker(65280).value)
    assert repr(status) == repr(maker(65280))


@MAKERS
def test_a_number_is_one_object_for_each_read_of_a_process(maker: Any) -> None:
    one, two = IntEnumValue(maker(65280)), IntEnumValue(maker(65280))
    assert snapshot(one) is snapshot(one) is snapshot(two)
    assert wait_for(one, maker(65280), 0) is snapshot(two)


@MAKERS
def test_such_members_are_compared_by_their_number(maker: Any) -> None:
    status = IntEnumValue(maker(65280))
    assert not compare_and_set(status, maker(65281), maker.A)
    assert compare_and_set(status, maker(65280), maker(65281))
    for write in TIMED_WRITERS.values():
        write(status, maker(65282), 1)
        assert status == maker(65282)


def test_such_a_member_can_be_sent_to_a_child_which_makes_its_own(ctx: Any) -> None:
    status = IntEnumValue(RecordType(65280), lock=ctx.RLock())
    run(ctx, set_a_record_type, status)
    assert snapshot(status) == RecordType(65281)


# Flags whose numbers are odd


def test_a_flag_with_a_value_that_is_no_int_is_refused_by_name() -> None:
    odd: Any = enum.Flag("odd", {"A": 1, "B": 2})
    odd.A._value_ = 1.0  # some versions of Python take such a value in the declaration
    with pytest.raises(TypeError, match=r"Can not share a value of '<\w+ 'odd'>': .*A.* is no int"):
        members_of(odd)


def test_the_complement_of_an_int_flag_that_python_3_10_has_written_can_be_read() -> None:
    perm: Any = enum.IntFlag("perm", {"R": 1, "W": 2, "X": 4})
    members = members_of(perm)
    assert members[-2] == ~perm.R
    assert members.names[-2] == (~perm.R)._name_


def test_names_of_several_flags_in_one_text_are_no_name() -> None:
    perm: Any = enum.Flag("perm", {"R": 1, "W": 2})
    with pytest.raises(KeyError, match=r"no member named 'R\|W'; its names are R, W; to combine members, give the"):
        members_of(perm).member_of("R|W")


# Two classes of one name


def made_anew(module: str = "notebook") -> Any:
    """Run a cell that makes an enum and the class of its values, and return both."""
    space: dict[str, Any] = {"__name__": module}
    cell = "class Status(enum.IntEnum):\n    IDLE = 1\n    BUSY = 2\nclass Value(IntEnumValue[Status]): pass"
    exec("import enum\nfrom multiprocessing_intenum import IntEnumValue\n" + cell, space)
    return space["Status"], space["Value"]


USES: dict[str, Any] = {
    "set": (lambda value, old: value.set(old.BUSY), "Can not set '<enum 'Status'>' to value of type '<enum 'Status'>'"),
    "value=": (lambda value, old: setattr(value, "value", old.BUSY), "Can not set '<enum 'Status'>' to value of type"),
    "the first": (lambda value, old: type(value)(old.BUSY), "Can not set '<enum 'Status'>' to value of type"),
    "another value": (
        lambda value, old: value.set(IntEnumValue(old.BUSY)),
        "Can not set '<enum 'Status'>' to value of",
    ),
    "exchange": (lambda value, old: exchange(value, old.BUSY), "Can not set '<enum 'Status'>' to value of type"),
    "expect": (lambda value, old: compare_and_set(value, old.BUSY, "IDLE"), "Can not expect '<enum 'Status'>' to be a"),
    "wait": (lambda value, old: wait_for(value, old.BUSY, 0), "Can not wait for '<enum 'Status'>' to be a value of"),
    "in place": (lambda value, old: operator.ior(value, old.BUSY), "Can not set '<enum 'Status'>' to value of type"),
    "bind": (lambda value, old: type(value)[old], "Value is already bound to '<enum 'Status'>'"),
    "attribute": (
        lambda value, old: setattr(holder_of(type(value)), "status", IntEnumValue(old.BUSY)),
        "can not adopt a IntEnumValue[Status] as Holder.status: expected a Value",
    ),
    "transitions": (
        lambda value, old: type("Next", (type(value),), {}, transitions={old.BUSY: []}),
        "transitions: expected a member of '<enum 'Status'>' or its name",
    ),
}


def holder_of(value_type: Any) -> Any:
    class Holder:
        status = EnumAttribute(value_type)

    Holder.__qualname__ = "Holder"
    return Holder()


@pytest.mark.parametrize(("use", "text"), USES.values(), ids=USES)
def test_an_older_enum_of_the_same_name_is_told_from_the_new_one(use: Any, text: str) -> None:
    (old, _), (new, value_type) = made_anew(), made_anew()
    value = value_type(new.IDLE)
    with pytest.raises(TypeError) as caught:
        use(value, old)
    assert str(caught.value).startswith(text)
    if use is not USES["in place"][0]:  # that has an int as its result
        assert "the class Status was made anew (by a cell of a notebook that ran again, by a reloader)" in str(
            caught.value
        )
    assert snapshot(value) is new.IDLE


def test_an_older_class_of_values_is_told_from_the_new_one() -> None:
    (old, old_type), (_, value_type) = made_anew(), made_anew()
    with pytest.raises(TypeError, match=r"can not adopt a Value .*the class Value was made anew"):
        holder_of(value_type).status = old_type(old.IDLE)


def test_an_enum_that_was_imported_under_two_names_is_told_too() -> None:
    (one, _), (other, value_type) = made_anew("app.enums"), made_anew("enums")
    with pytest.raises(
        TypeError, match=r"two classes of one name, one from the module enums, one from the module app\.enums"
    ):
        value_type(other.IDLE).set(one.BUSY)


def test_another_enum_is_refused_without_a_word_about_its_name(status: WorkerStatus) -> None:
    with pytest.raises(TypeError) as caught:
        status.set(FrutEnum.APPLE)  # type: ignore[arg-type]
    assert str(caught.value) == "Can not set '<enum 'WorkerStatusEnum'>' to value of type '<enum 'FrutEnum'>'"
