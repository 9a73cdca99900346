"""What a text on enums in depth describes, from its top to its bottom, each tried on a shared value."""

from __future__ import annotations

import enum
import json
import sys
from typing import Any

import process_targets as targets
import pytest
from helpers import run
from looks import goes_through, is_like, is_pickled_by_name

from multiprocessing_intenum import EnumValue, IntEnumValue, snapshot

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:

    class StrEnum(str, enum.Enum):
        __str__ = str.__str__


class Valve(enum.Enum):
    OPEN = 1
    SHUT = 2


class Lamp(enum.Enum):
    RED = 7
    GREEN = 8
    STOP = 7  # noqa: PIE796 # an alias


@enum.unique
class Gear(enum.Enum):
    LOW = "l"
    HIGH = "h"


class Tank(enum.Enum):
    """Members whose value is a tuple, which `__init__` takes apart."""

    SMALL = (2.0, 3.0)
    LARGE = (4.0, 10.0)

    def __init__(self, area: float, height: float) -> None:
        self.area = area
        self.height = height

    @property
    def volume(self) -> float:
        return self.area * self.height

    def holds(self, litres: float) -> bool:
        return litres <= self.volume


class Fault(enum.Enum):
    """Members whose value is a part of what they are made of."""

    def __new__(cls, code: int, text: str) -> Any:
        self = object.__new__(cls)
        self._value_ = code
        self.text = text
        return self

    text: str

    NONE = (0, "all is well")
    HOT = (40, "too hot")


class Fuel(StrEnum):
    GAS = "gas"
    OIL = "oil"


class Rank(enum.IntEnum):
    GUEST = 1
    OWNER = 2


class Door(enum.Flag):
    FRONT = enum.auto()
    REAR = enum.auto()
    ROOF = enum.auto()
    ALL = FRONT | REAR | ROOF


Metal = enum.Enum("Metal", ["IRON", "ZINC", "GOLD"])
Shade = enum.Enum("Shade", "PALE DARK")


class Bag(enum.Enum):
    """Members with values that a program could change, which it should not."""

    FULL = ["stone"]  # noqa: RUF012
    EMPTY: list[str] = []  # noqa: RUF012


class Base(enum.Enum):
    """An enum without members, which may be a base."""

    def shout(self) -> str:
        return f"{self.name}!"


class Sound(Base):
    HUM = "hm"
    BUZZ = "bz"


KINDS: list[Any] = [Valve, Lamp, Gear, Tank, Fault, Fuel, Rank, Door, Metal, Shade, Bag, Sound]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_shared_value_goes_through_every_member_and_looks_like_it(kind: Any) -> None:
    goes_through(kind)


def test_a_child_reads_and_sets_values_of_every_kind(ctx: Any) -> None:
    both = Door.FRONT | Door.ROOF
    steps: list[Any] = [(EnumValue(next(iter(kind)), ctx=ctx), next(iter(kind)).name, list(kind)[-1]) for kind in KINDS]
    steps += [
        (EnumValue(Lamp.GREEN, ctx=ctx), "GREEN", "STOP"),
        (EnumValue(both, ctx=ctx), both, Door.REAR | Door.ROOF),
        (IntEnumValue(Rank.GUEST, ctx=ctx), "GUEST", "OWNER"),
    ]
    run(ctx, targets.read_and_set, steps)
    for status, before, new in steps:
        assert is_like(status, status.EnumType[new] if type(new) is str else new), before


# How an enum is made


def test_the_class_of_its_enum_is_that_of_enums_and_it_passes_for_an_instance() -> None:
    valve = EnumValue(Valve.OPEN)
    assert type(valve.EnumType) is enum.EnumMeta
    assert valve.__class__ is Valve
    assert isinstance(valve, Valve)
    assert not isinstance(valve, Lamp)
    assert type(valve) is not Valve


def test_there_is_one_object_for_each_member_and_a_snapshot_is_it() -> None:
    valve: Any = EnumValue(Valve.OPEN)
    assert snapshot(valve) is Valve.OPEN is Valve(valve.value) is Valve[valve.name]
    assert valve is not Valve.OPEN
    valve.set("SHUT")
    assert snapshot(valve) is Valve.SHUT is Valve(valve.value)


def test_it_finds_the_entry_of_its_member_in_a_dict_and_in_a_set() -> None:
    lamp = EnumValue(Lamp.RED)
    colours = {Lamp.RED: "red", Lamp.GREEN: "green"}
    assert (colours[lamp], lamp in {Lamp.GREEN}) == ("red", False)  # type: ignore[index]
    lamp.set("GREEN")
    assert (colours[lamp], lamp in {Lamp.GREEN}) == ("green", True)  # type: ignore[index]


# Aliases


def test_an_alias_sets_the_member_that_it_stands_for() -> None:
    lamp = EnumValue[Lamp]("GREEN")
    lamp.set("STOP")
    assert snapshot(lamp) is Lamp.RED is Lamp.STOP
    assert (lamp.name, lamp == Lamp.STOP) == ("RED", True)
    assert [each.name for each in lamp.EnumType] == ["RED", "GREEN"]
    assert list(lamp.EnumType.__members__) == ["RED", "GREEN", "STOP"]


def test_a_unique_enum_has_a_number_for_each_name() -> None:
    assert [EnumValue(gear)._self_view[()] for gear in Gear] == [0, 1]
    with pytest.raises(ValueError, match="duplicate values found"):
        enum.unique(Lamp)


# Methods, properties, and values of one's own


def test_it_answers_with_the_methods_and_attributes_of_its_member() -> None:
    tank: Any = EnumValue(Tank.SMALL)
    assert (tank.value, tank.area, tank.height, tank.volume, tank.holds(7)) == ((2.0, 3.0), 2.0, 3.0, 6.0, False)
    tank.set("LARGE")
    assert (tank.value, tank.area, tank.height, tank.volume, tank.holds(7)) == ((4.0, 10.0), 4.0, 10.0, 40.0, True)


def test_its_value_is_the_one_that_the_enum_chose_in_new() -> None:
    fault: Any = EnumValue(Fault.NONE)
    fault.set(Fault(40))
    assert (fault.name, fault.value, fault.text) == ("HOT", 40, "too hot")
    assert Fault(fault.value) is snapshot(fault)


# To JSON


class MemberEncoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        return o.value if isinstance(o, enum.Enum) else super().default(o)


def test_an_encoder_for_enums_writes_it_like_its_member() -> None:
    for member in (Gear.LOW, Fuel.OIL, Fault.HOT):
        text = json.dumps({"state": member}, cls=MemberEncoder)
        assert json.dumps({"state": EnumValue(member)}, cls=MemberEncoder) == text


def test_json_alone_writes_a_str_member_and_takes_the_snapshot_of_a_shared_value() -> None:
    fuel = EnumValue(Fuel.OIL)
    assert json.dumps({"fuel": snapshot(fuel)}) == '{"fuel": "oil"}'
    assert json.dumps({"fuel": fuel}, default=str) == '{"fuel": "oil"}'
    with pytest.raises(TypeError, match="Object of type Fuel is not JSON serializable"):
        json.dumps({"fuel": fuel})


# Flags


def test_flags_are_combined_taken_apart_and_asked_for() -> None:
    door: Any = EnumValue(Door.FRONT)
    door |= Door.ROOF
    assert snapshot(door) is Door.FRONT | Door.ROOF
    assert (door.value, door.__class__) == (5, Door)
    assert (Door.ROOF in door, Door.REAR in door) == (True, False)
    door ^= Door.FRONT
    assert snapshot(door) is Door.ROOF
    assert door | Door.REAR == Door.REAR | door == Door.REAR | Door.ROOF
    assert ~door == Door.FRONT | Door.REAR
    door &= Door.REAR
    assert (door.value, bool(door), door == Door(0)) == (0, False, True)
    door.set("ALL")
    assert snapshot(door) is Door.FRONT | Door.REAR | Door.ROOF


if sys.version_info >= (3, 11):

    def test_a_combination_is_walked_through_and_counted() -> None:
        door: Any = EnumValue(Door.FRONT | Door.ROOF)
        assert (list(door), len(door), door.name) == ([Door.FRONT, Door.ROOF], 2, "FRONT|ROOF")
        door |= Door.REAR
        assert (list(door), len(door), door.name) == ([Door.FRONT, Door.REAR, Door.ROOF], 3, "ALL")

    class Strict(enum.Flag, boundary=enum.STRICT):
        A = 1
        B = 4

    class Conform(enum.Flag, boundary=enum.CONFORM):
        A = 1
        B = 4

    class Eject(enum.Flag, boundary=enum.EJECT):
        A = 1
        B = 4

    class Keep(enum.Flag, boundary=enum.KEEP):
        A = 1
        B = 4

    BOUNDED: list[Any] = [Strict, Conform, Eject, Keep]

    @pytest.mark.parametrize("kind", BOUNDED, ids=lambda kind: kind.__name__)
    def test_within_the_boundary_every_combination_is_kept(kind: Any) -> None:
        flags = goes_through(kind)
        for member in (kind(0), kind.A | kind.B):
            flags.set(member)
            assert is_like(flags, member)

    def test_what_is_beyond_the_boundary_is_what_the_enum_makes_of_it() -> None:
        strict, conform, eject, keep = (EnumValue[kind](kind.A) for kind in BOUNDED)
        conform.set(Conform(6))
        assert is_like(conform, Conform.B)
        keep.set(Keep(6))
        assert is_like(keep, Keep(6))
        with pytest.raises(TypeError, match="to value of type '<class 'int'>'"):
            eject.set(Eject(6))
        assert is_like(eject, Eject.A)
        with pytest.raises(ValueError, match="invalid value 6"):
            strict.set(Strict(6))
        assert is_like(strict, Strict.A)

    def test_a_child_sets_what_is_beyond_the_boundary(ctx: Any) -> None:
        keep, conform = EnumValue(Keep.A, ctx=ctx), EnumValue(Conform.A, ctx=ctx)
        run(ctx, targets.read_and_set, [(keep, "A", Keep(6)), (conform, "A", Conform(6))])
        assert is_like(keep, Keep(6))
        assert is_like(conform, Conform.B)


# Enums that are made by a call


def test_an_enum_made_by_a_call_is_shared_by_the_names_that_it_was_given() -> None:
    metal: Any = EnumValue[Metal]("ZINC")  # type: ignore[valid-type]
    assert (metal.value, metal == Metal.ZINC) == (2, True)
    rows = [("NORTH", "n"), ("SOUTH WEST", "s w")]
    wind: Any = EnumValue[enum.Enum("Wind", rows)]("NORTH")  # type: ignore[misc]
    wind.set("SOUTH WEST")
    assert (wind.name, wind.value) == ("SOUTH WEST", "s w")


# match


def gear_of(gear: Any) -> str:
    match gear:
        case Gear.LOW:
            return "slow"
        case Gear.HIGH:
            return "fast"
    return "none"


def fuel_of(fuel: Any) -> str:
    match fuel:
        case "gas":
            return "a plain str"
        case Fuel.OIL:
            return "a member"
    return "none"


def test_a_match_takes_the_case_of_the_member() -> None:
    gear, fuel = EnumValue(Gear.LOW), EnumValue(Fuel.GAS)
    assert (gear_of(gear), fuel_of(fuel)) == ("slow", "a plain str")
    gear.set("HIGH")
    fuel.set("OIL")
    assert (gear_of(gear), fuel_of(fuel)) == ("fast", "a member")
    assert gear_of(EnumValue(Valve.OPEN)) == "none"
    assert gear_of(snapshot(gear)) == "fast"


def test_a_match_on_the_class_takes_its_attributes() -> None:
    match EnumValue(Tank.LARGE):
        case Tank(area=4.0, volume=volume):
            assert volume == 40.0
        case _:
            pytest.fail("no case was taken")


# From texts and numbers to enums


def test_code_that_compares_with_the_text_goes_on_to_work() -> None:
    fuel: Any = EnumValue(Fuel.GAS)
    assert fuel == "gas"
    assert {"gas": 1}[fuel] == 1
    assert (fuel + "!", f"{fuel}", fuel[1:], "a" in fuel, len(fuel)) == ("gas!", "gas", "as", True, 3)
    fuel.set("OIL")
    assert (fuel == "oil", fuel != "gas", fuel.upper(), fuel.startswith("o")) == (True, True, "OIL", True)
    assert Fuel(fuel) is Fuel.OIL


def test_code_that_compares_with_the_number_goes_on_to_work() -> None:
    for make in (EnumValue, IntEnumValue):
        rank: Any = make(Rank.GUEST)
        rank.set("OWNER")
        assert (rank == 2, rank > Rank.GUEST, rank + 1, [5, 6, 7][rank], Rank(rank)) == (True, True, 3, 7, Rank.OWNER)


# Pitfalls


def test_a_plain_member_does_not_equal_its_value_and_nor_does_a_shared_value() -> None:
    for member in (Valve.OPEN, Gear.LOW, Tank.SMALL, Fault.HOT, Door.FRONT):
        status = EnumValue(member)
        assert (status == member.value, member.value == status, status != member.value) == (False, False, True)


def test_a_str_is_a_name_and_never_a_value() -> None:
    fuel = EnumValue(Fuel.GAS)
    with pytest.raises(KeyError, match="'oil' is the value of OIL, and a str is always a name: give the member"):
        fuel.set("oil")
    fuel.set(Fuel("oil"))
    assert snapshot(fuel) is Fuel.OIL


def change_what_it_holds(bag: Any) -> None:
    bag.value.append("feather")
    assert bag.value == ["feather"]


def test_a_value_that_is_changed_is_changed_in_its_own_process_only(ctx: Any) -> None:
    bag = EnumValue(Bag.EMPTY, ctx=ctx)
    run(ctx, change_what_it_holds, bag)
    assert (snapshot(bag), bag.value) == (Bag.EMPTY, [])


def test_its_members_get_no_attributes_through_it() -> None:
    bag: Any = EnumValue(Bag.FULL)
    with pytest.raises(AttributeError, match="can not set 'colour'"):
        bag.colour = "red"
    assert not hasattr(Bag.FULL, "colour")


def test_a_base_without_members_is_bound_to_the_enums_that_derive_from_it() -> None:
    sound: Any = EnumValue[Base][Sound]("HUM")  # type: ignore[misc]
    assert (sound.shout(), isinstance(sound, Base)) == ("HUM!", True)
    with pytest.raises(TypeError, match="cannot extend"):

        class Louder(Sound):  # type: ignore[misc]
            pass


def test_its_member_is_pickled_by_name_and_it_is_not() -> None:
    for member in (Valve.OPEN, Tank.LARGE, Fault.HOT, Fuel.OIL, Bag.FULL, Metal.GOLD):
        status = EnumValue(member)
        assert is_pickled_by_name(snapshot(status))
        with pytest.raises(RuntimeError, match=r"send snapshot\(status\)"):
            is_pickled_by_name(status)
