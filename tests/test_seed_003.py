"""What the documentation of enum describes, from its top to its bottom, each tried on a shared value."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import sys
import warnings
from operator import ge, gt, le, lt
from typing import Any

import process_targets as targets
import pytest
from helpers import run
from looks import goes_through, is_like, is_pickled_by_name

from multiprocessing_intenum import EnumValue, IntEnumValue, snapshot, wait_for

ORDERINGS = [lt, le, gt, ge]


class Bird(enum.Enum):
    WREN = 1
    ROBIN = 2
    HERON = 3


class Other(enum.Enum):
    WREN = 1
    ROBIN = 2


class Season(enum.Enum):
    WINTER = "w"
    SPRING = "s"
    COLD = "w"  # noqa: PIE796 # an alias
    FROSTY = "w"  # noqa: PIE796 # an alias


class Numbered(enum.Enum):
    ONE = enum.auto()
    TWO = enum.auto()
    TEN = 10
    ELEVEN = enum.auto()


class ByName(enum.Enum):
    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[Any]) -> str:
        return f"{count}-{name.lower()}"


class Port(ByName):
    LISBON = enum.auto()
    PORTO = enum.auto()


class Humour(enum.Enum):
    """An enum with methods, special methods and a class method."""

    GLAD = 1
    SAD = 3

    def told(self) -> tuple[str, Any]:
        return self.name, self.value

    def __str__(self) -> str:
        return f"it is {self.value}"

    def __len__(self) -> int:
        return len(self.name)

    def __call__(self, times: int) -> str:
        return self.name * times

    @classmethod
    def usual(cls) -> Humour:
        return cls.SAD


class Reduced(enum.Enum):
    """Pickled as it says itself: by value."""

    A = 1
    B = 2

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Reduced, (self._value_,)


class Outer:
    class Inner(enum.Enum):
        X = "x"
        Y = "y"


BY_TEXT = enum.Enum("BY_TEXT", "CUP, POT JUG", start=0)
BY_PAIRS = enum.Enum("BY_PAIRS", [("CUP", 0.2), ("POT", 2.5)])
BY_DICT = enum.Enum("BY_DICT", {"CUP": "small", "POT": "large"}, type=str)
BY_MODULE = enum.Enum("BY_MODULE", ["CUP", "POT"], module=__name__, qualname="Kitchen.BY_MODULE")


class Kitchen:
    BY_MODULE = BY_MODULE


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Weight(enum.IntEnum):
    LIGHT = 1
    HEAVY = 2


class Right(enum.IntFlag):
    READ = 4
    WRITE = 2
    RUN = 1
    ALL = 7
    NONE = 0


class Paint(enum.Flag):
    BLUE = enum.auto()
    RED = enum.auto()
    LIME = enum.auto()
    PURPLE = BLUE | RED
    BLANK = 0


class Rate(float, enum.Enum):
    LOW = 0.5
    HIGH = 2.0


class Point(tuple, enum.Enum):  # type: ignore[type-arg]
    HERE = (0, 0)
    THERE = (3, 4)


class Blob(bytes, enum.Enum):
    SHORT = b"ab"
    LONG = b"abcd"


class Hidden(enum.Enum):
    """Values that nobody needs to know, and a repr without them."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}>"


class Objects(Hidden):
    WALK = object()
    RUN = object()


class AutoNumbered(Hidden):
    """Values that `__new__` counts."""

    def __new__(cls, *args: Any) -> Any:
        self = object.__new__(cls)
        self._value_ = len(cls.__members__) + 1
        self.words = args  # type: ignore[attr-defined]
        return self


class Lane(AutoNumbered):
    LEFT = ()
    RIGHT = ("fast",)


class Ordered(enum.Enum):
    def __lt__(self, other: Any) -> Any:
        return self.value < other.value if self.__class__ is other.__class__ else NotImplemented

    def __le__(self, other: Any) -> Any:
        return self.value <= other.value if self.__class__ is other.__class__ else NotImplemented

    def __gt__(self, other: Any) -> Any:
        return self.value > other.value if self.__class__ is other.__class__ else NotImplemented

    def __ge__(self, other: Any) -> Any:
        return self.value >= other.value if self.__class__ is other.__class__ else NotImplemented


class Mark(Ordered):
    POOR = 1
    FAIR = 2
    GOOD = 3


class OtherMark(Ordered):
    FAIR = 2


class NoAliases(enum.Enum):
    """An enum that refuses a value that it has already."""

    def __init__(self, *args: Any) -> None:
        for member in type(self):
            if member.value == self.value:
                message = f"{self.name} would be another name of {member.name}"
                raise ValueError(message)


class Note(NoAliases):
    DO = 1
    RE = 2


class Orbit(enum.Enum):
    """Members with numbers to compute with."""

    LOW = (400e3, 420.0)
    HIGH = (35786e3, 0.0)

    def __init__(self, height: float, drag: float) -> None:
        self.height = height
        self.drag = drag

    @property
    def radius(self) -> float:
        return 6371e3 + self.height


class Span(datetime.timedelta, enum.Enum):
    """Members that are spans of time. `_ignore_` names the help variables of the body."""

    _ignore_ = ["Span", "index"]  # noqa: RUF012
    Span = vars()
    for index in range(3):
        Span[f"days_{index}"] = index


class Kept(enum.Enum):
    _order_ = "B A"
    B = 2
    A = 1


class Truthful(enum.Enum):
    OFF = 0
    ON = 1

    def __bool__(self) -> bool:
        return bool(self.value)


class Lenient(enum.Enum):
    """`_missing_` finds a member for what is none of the values."""

    HIGH = "high"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        for member in cls:
            if str(value).lower() == member.value:
                return member
        return cls.UNKNOWN


@dataclasses.dataclass
class Creature:
    size: str
    legs: int = dataclasses.field(repr=False)

    def step(self) -> int:
        return self.legs // 2


class Pet(Creature, enum.Enum):
    BEETLE = "small", 6
    DOG = "medium", 4


@dataclasses.dataclass(frozen=True)
class Spot:
    x: int
    y: int


class Place(enum.Enum):
    """Members whose values are objects of a dataclass."""

    HOME = Spot(0, 0)
    WORK = Spot(8, 5)


class Functions(enum.Enum):
    """Functions are methods, unless something holds them."""

    HALF = (abs,)
    DOUBLE = (repr,)

    def __call__(self, argument: Any) -> Any:
        return self.value[0](argument)


NAMED: list[Any] = [
    Bird,
    Season,
    Numbered,
    Port,
    Humour,
    Reduced,
    Outer.Inner,
    BY_TEXT,
    BY_PAIRS,
    BY_DICT,
    BY_MODULE,
    Size,
    Right,
    Paint,
    Rate,
    Point,
    Blob,
    Objects,
    Lane,
    Mark,
    Note,
    Orbit,
    Span,
    Kept,
    Truthful,
    Lenient,
    Pet,
    Place,
    Functions,
]


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__qualname__)
def test_a_shared_value_goes_through_every_member_and_looks_like_it(kind: Any) -> None:
    goes_through(kind)


def test_a_child_reads_and_sets_values_of_every_kind(ctx: Any) -> None:
    steps: list[Any] = [
        (EnumValue(next(iter(kind)), ctx=ctx), next(iter(kind)).name, list(kind)[-1].name) for kind in NAMED
    ]
    combined = Paint.RED | Paint.LIME
    steps += [
        (EnumValue(Season.SPRING, ctx=ctx), "SPRING", "FROSTY"),
        (EnumValue(Paint.BLUE, ctx=ctx), "BLUE", combined),
        (EnumValue(combined, ctx=ctx), combined, "BLANK"),
        (IntEnumValue(Right.READ, ctx=ctx), "READ", Right.READ | Right.RUN),
        (IntEnumValue(Size.SMALL, ctx=ctx), "SMALL", "LARGE"),
    ]
    run(ctx, targets.read_and_set, steps)
    for status, before, new in steps:
        assert is_like(status, status.EnumType[new] if type(new) is str else new), before


# Members, their names and values


def test_it_has_the_texts_the_type_and_the_name_of_its_member() -> None:
    bird = EnumValue(Bird.ROBIN)
    assert (str(bird), repr(bird), bird.name, bird.value) == ("Bird.ROBIN", "<Bird.ROBIN: 2>", "ROBIN", 2)
    assert (f"{bird}", f"{bird!s:>12}", bird.__class__) == ("Bird.ROBIN", "  Bird.ROBIN", Bird)


def test_the_members_are_walked_through_in_the_order_of_definition() -> None:
    for kind in NAMED:
        members = list(kind)
        if issubclass(kind, (int, enum.Flag)):
            continue
        assert [EnumValue(member)._self_view[()] for member in members] == list(range(len(members)))


def test_it_is_used_to_look_up_and_to_be_found() -> None:
    food = {Bird.WREN: "spiders", Bird.HERON: "fish"}
    bird: Any = EnumValue(Bird.HERON)
    assert (food[bird], bird in food, bird in {Bird.WREN}, bird in [Bird.HERON]) == ("fish", True, False, True)
    bird.set("WREN")
    assert (food[bird], bird in food, bird in {Bird.WREN}, bird in [Bird.HERON]) == ("spiders", True, True, False)


def test_its_value_and_its_name_find_the_member_in_the_enum() -> None:
    for member in (Bird.ROBIN, Season.COLD, Port.PORTO, Rate.HIGH, Pet.DOG, Place.WORK):
        status: Any = EnumValue(member)
        assert status.EnumType(status.value) is status.EnumType[status.name] is member


def test_an_enum_contains_the_shared_values_that_name_its_members() -> None:
    for member in (Bird.ROBIN, Season.COLD, Size.LARGE, Paint.PURPLE, Rate.HIGH):
        assert EnumValue(member) in type(member)
        assert EnumValue(member) not in Outer.Inner
    assert EnumValue(Pet.DOG) in Pet  # which is not hashable


def test_an_alias_is_another_name_for_setting_and_waiting() -> None:
    season = EnumValue[Season]("FROSTY")
    assert (season.name, season == Season.COLD, snapshot(season) is Season.WINTER) == ("WINTER", True, True)
    assert wait_for(season, "COLD", 0) is Season.WINTER
    season.set("SPRING")
    season.set("COLD")
    assert snapshot(season) is Season.WINTER


def test_names_may_be_refused_that_are_aliases() -> None:
    with pytest.raises(ValueError, match="duplicate values found in <enum 'Season'>"):
        enum.unique(Season)
    assert enum.unique(Bird) is Bird
    assert is_like(EnumValue(Bird.WREN), Bird.WREN)


def test_automatic_values_are_its_values() -> None:
    numbered, port = EnumValue[Numbered]("ELEVEN"), EnumValue[Port]("PORTO")
    assert (numbered.value, numbered == Numbered(11)) == (11, True)
    assert (port.value, port == Port("1-porto")) == ("1-porto", True)


# Comparisons


def test_it_equals_its_member_alone_and_has_no_order() -> None:
    bird: Any = EnumValue(Bird.WREN)
    assert (bird == Bird.WREN, bird == EnumValue(Bird.WREN), bird != Bird.ROBIN) == (True, True, True)
    assert (bird == Other.WREN, bird == 1, bird == "WREN", bird is None) == (False, False, False, False)
    for operation in ORDERINGS:
        for other in (Bird.ROBIN, EnumValue(Bird.ROBIN), 2):
            with pytest.raises(TypeError, match="not supported between instances of 'Bird' and"):
                operation(bird, other)


# Methods, restricted subclassing, pickling


def test_it_has_the_methods_and_special_methods_of_its_enum() -> None:
    humour: Any = EnumValue(Humour.GLAD)
    assert (humour.told(), str(humour), len(humour), humour(2)) == (("GLAD", 1), "it is 1", 4, "GLADGLAD")
    humour.set(humour.usual())
    assert (humour.told(), f"{humour}", len(humour), humour(2)) == (("SAD", 3), "it is 3", 3, "SADSAD")
    assert callable(humour)


def test_enums_that_derive_from_one_base_are_different_enums() -> None:
    port: Any = EnumValue[ByName][Port]("LISBON")  # type: ignore[misc]
    with pytest.raises(TypeError, match="Can not set '<enum 'Port'>' to value of type '<enum 'Bird'>'"):
        port.set(Bird.WREN)
    with pytest.raises(TypeError, match="already"):
        EnumValue[Port][Bird]  # type: ignore[misc]
    assert snapshot(port) is Port.LISBON


def test_its_member_is_pickled_as_the_enum_says() -> None:
    for member in (
        Bird.HERON,
        Outer.Inner.Y,
        Reduced.B,
        BY_MODULE.POT,
        Paint.PURPLE,
        Paint.RED | Paint.LIME,
        Span.days_2,
    ):
        assert is_pickled_by_name(snapshot(EnumValue(member)))
        assert copy.deepcopy([EnumValue(member)]) == [member]


# Enums that are made by a call


def test_an_enum_made_by_a_call_has_the_values_that_it_was_given() -> None:
    values = [(kind, EnumValue[kind]("POT")) for kind in (BY_TEXT, BY_PAIRS, BY_DICT, BY_MODULE)]  # type: ignore[valid-type]
    assert [status.value for _, status in values] == [1, 2.5, "large", 2]
    assert (values[2][1] == "large", values[2][1].upper()) == (True, "LARGE")
    assert BY_TEXT.CUP.value == EnumValue(BY_TEXT.CUP).value == 0


# IntEnum, IntFlag, Flag, others


def test_an_int_member_compares_with_ints_and_other_int_enums_only() -> None:
    for make in (EnumValue, IntEnumValue):
        size: Any = make(Size.LARGE)
        assert (size == 2, size == Weight.HEAVY, size == make(Weight.HEAVY), size == Bird.ROBIN) == (
            True,
            True,
            True,
            False,
        )
        assert (size < 3, ["a", "b", "c"][size], int(size), list(range(size))) == (True, "c", 2, [0, 1])


def test_flags_of_ints_are_combined_with_each_other_and_with_ints() -> None:
    for make in (EnumValue, IntEnumValue):
        right: Any = make(Right.READ)
        right |= Right.WRITE
        assert is_like(right, Right.READ | Right.WRITE)
        assert (right == 6, Right.WRITE in right, right + 1, right | 1, type(right | 1)) == (
            True,
            True,
            7,
            Right.ALL,
            Right,
        )
        right &= Right.RUN
        assert is_like(right, Right.NONE)
        assert not right


def test_flags_are_combined_with_each_other_only() -> None:
    paint: Any = EnumValue(Paint.BLUE)
    paint |= Paint.RED
    assert (snapshot(paint), paint.name, Paint.RED in paint) == (Paint.PURPLE, "PURPLE", True)
    assert (paint == 3, isinstance(paint, int), paint & Paint.LIME) == (False, False, Paint.BLANK)
    with pytest.raises(TypeError):
        paint | 4
    with pytest.raises(TypeError):
        paint |= 4
    with pytest.raises(TypeError):
        paint | Right.READ
    assert snapshot(paint) is Paint.PURPLE
    paint.set("BLANK")
    assert (bool(paint), paint.name, paint.value) == (False, "BLANK", 0)


def test_a_combination_without_a_name_has_the_texts_of_the_member() -> None:
    for member in (Paint.RED | Paint.LIME, Right.READ | Right.RUN, Paint.PURPLE | Paint.LIME, ~Paint.RED):
        assert is_like(EnumValue(member), member)


def test_a_member_that_is_of_another_type_acts_as_that() -> None:
    rate: Any = EnumValue(Rate.HIGH)
    assert (rate == 2.0, rate * 3, rate > Rate.LOW, float(rate), round(rate), f"{rate!s}") == (
        True,
        6.0,
        True,
        2.0,
        2,
        "Rate.HIGH",
    )
    point: Any = EnumValue(Point.THERE)
    assert (point == (3, 4), point[0], len(point), [*point], point + (5,)) == (True, 3, 2, [3, 4], (3, 4, 5))  # noqa: RUF005
    blob: Any = EnumValue(Blob.LONG)
    assert (blob == b"abcd", blob[1:], b"bc" in blob, blob.hex()) == (True, b"bcd", True, "61626364")


def test_it_is_formatted_as_its_member_is() -> None:
    for member, spec in ((Size.LARGE, "03d"), (Rate.LOW, ">8"), (BY_DICT.CUP, "*^9"), (Bird.WREN, ">14")):
        assert format(EnumValue(member), spec) == format(member, spec)
    texts = ["%d %s %r" % (each, each, each) for each in (EnumValue(Size.LARGE), Size.LARGE)]  # noqa: UP031
    assert texts[0] == texts[1]


# The recipes


def test_values_that_nobody_needs_to_know_are_no_matter() -> None:
    objects: Any = EnumValue(Objects.WALK)
    objects.set("RUN")
    assert (repr(objects), objects.value is Objects.RUN.value) == ("<Objects.RUN>", True)
    lane: Any = EnumValue(Lane.LEFT)
    lane.set("RIGHT")
    assert (repr(lane), lane.value, lane.words, lane == Lane(2)) == ("<Lane.RIGHT>", 2, ("fast",), True)


def test_an_enum_with_an_order_orders_shared_values_too() -> None:
    mark: Any = EnumValue(Mark.FAIR)
    for operation in ORDERINGS:
        for other in Mark:
            expected = operation(Mark.FAIR, other)
            assert operation(mark, other) is operation(mark, EnumValue(other)) is expected
            assert operation(other, mark) is operation(other, Mark.FAIR)
        with pytest.raises(TypeError, match="not supported between instances of 'Mark' and 'OtherMark'"):
            operation(mark, OtherMark.FAIR)
    marks = [EnumValue(Mark.GOOD), Mark.POOR, mark]
    assert [each.name for each in sorted(marks)] == ["POOR", "FAIR", "GOOD"]  # type: ignore[type-var]
    assert max(marks) == Mark.GOOD  # type: ignore[type-var]


def test_an_enum_that_refuses_aliases_is_shared_as_any_other() -> None:
    with pytest.raises(ValueError, match="UT would be another name of DO"):

        class Scale(NoAliases):
            DO = 1
            UT = 1

    assert EnumValue[Note]("RE").value == 2


def test_members_with_numbers_compute_for_a_shared_value() -> None:
    orbit: Any = EnumValue(Orbit.LOW)
    assert (orbit.value, orbit.radius, orbit.drag) == ((400e3, 420.0), 6771e3, 420.0)
    orbit.set("HIGH")
    assert (orbit.value, orbit.radius, orbit.drag) == ((35786e3, 0.0), 42157e3, 0.0)


def test_members_that_are_spans_of_time_are_counted_with() -> None:
    span: Any = EnumValue[Span]("days_2")  # type: ignore[misc]
    day = datetime.timedelta(days=1)
    assert (span.days, span == 2 * day, span > day, span + day, span / day) == (2, True, True, 3 * day, 2.0)
    assert datetime.datetime(2024, 1, 30) + snapshot(span) == datetime.datetime(2024, 2, 1)
    assert list(Span.__members__) == ["days_0", "days_1", "days_2"]


# The finer points


def test_the_order_that_an_enum_states_is_the_order_of_its_places() -> None:
    assert [EnumValue(member)._self_view[()] for member in (Kept.B, Kept.A)] == [0, 1]


def test_a_name_that_enum_keeps_for_itself_names_no_member() -> None:
    bird = EnumValue(Bird.WREN)
    for name in ("_order_", "__members__", "mro", "name"):
        with pytest.raises(KeyError, match="has no member named"):
            bird.set(name)
    assert snapshot(bird) is Bird.WREN


def test_what_is_of_the_class_alone_is_not_of_the_value() -> None:
    bird = EnumValue(Bird.WREN)
    assert not hasattr(Bird.WREN, "__members__")
    assert not hasattr(bird, "__members__")
    assert list(bird.EnumType.__members__) == ["WREN", "ROBIN", "HERON"]


def test_another_member_is_found_on_a_value_as_on_a_member() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in some versions of Python it is deprecated, in 3.11 it is an error
        found = [getattr(thing, "HERON", "nothing") for thing in (Bird.WREN, EnumValue(Bird.WREN))]
    assert found[0] is found[1]


def test_its_truth_is_its_members() -> None:
    truths = {
        Bird.WREN: True,
        Truthful.OFF: False,
        Truthful.ON: True,
        Paint.BLANK: False,
        Right.NONE: False,
        BY_TEXT.CUP: True,  # though its value is 0
        Span.days_0: False,
        Span.days_1: True,
    }
    for member, truth in truths.items():
        assert bool(EnumValue(member)) is bool(member) is truth


def test_its_dir_shows_the_methods_of_its_member() -> None:
    assert {"radius", "height", "drag", "name", "value", "set", "get_lock"} <= set(dir(EnumValue(Orbit.LOW)))
    assert "radius" not in dir(EnumValue(Bird.WREN))


def test_what_missing_finds_is_set_and_read() -> None:
    lenient: Any = EnumValue(Lenient.UNKNOWN)
    lenient.set(Lenient("HIGH"))
    assert is_like(lenient, Lenient.HIGH)
    lenient.value = Lenient("nonsense")
    assert is_like(lenient, Lenient.UNKNOWN)
    with pytest.raises(KeyError):  # a name, for which the enum is not asked
        lenient.set("nonsense")


def test_members_of_a_dataclass_have_its_fields_and_methods() -> None:
    pet: Any = EnumValue(Pet.BEETLE)
    assert (pet.size, pet.legs, pet.step(), isinstance(pet, Creature)) == ("small", 6, 3, True)
    pet.set("DOG")
    assert (pet.size, pet.legs, pet.step()) == ("medium", 4, 2)
    assert dataclasses.asdict(snapshot(pet)) == {"size": "medium", "legs": 4}
    assert not dataclasses.is_dataclass(pet)  # it asks for the type
    with pytest.raises(TypeError, match="should be called on dataclass instances"):
        dataclasses.asdict(pet)
    place: Any = EnumValue(Place.WORK)
    assert (place.value.x, place.value == Spot(8, 5), dataclasses.replace(place.value, x=1)) == (8, True, Spot(1, 5))


def test_members_that_can_be_called_are_called() -> None:
    functions: Any = EnumValue(Functions.HALF)
    assert functions(-2) == 2
    functions.set("DOUBLE")
    assert functions(-2) == "-2"


def birds_food(bird: Any) -> str:
    match bird:
        case Bird.WREN | Bird.ROBIN:
            return "spiders"
        case Bird.HERON:
            return "fish"
    return "nothing"


def paint_of(paint: Any) -> str:
    match paint:
        case Paint.PURPLE:
            return "purple"
        case Paint(value=value) if value & 4:
            return "with lime"
    return "plain"


def test_a_match_takes_the_case_of_the_member() -> None:
    bird, paint = EnumValue(Bird.ROBIN), EnumValue(Paint.BLUE)
    assert (birds_food(bird), paint_of(paint)) == ("spiders", "plain")
    bird.set("HERON")
    paint |= Paint.RED
    assert (birds_food(bird), paint_of(paint)) == ("fish", "purple")
    paint |= Paint.LIME
    assert (birds_food(EnumValue(Other.WREN)), paint_of(paint)) == ("nothing", "with lime")


if sys.version_info >= (3, 11):

    class Tone(enum.StrEnum):
        SOFT = enum.auto()
        Loud = enum.auto()

    @enum.verify(enum.UNIQUE, enum.CONTINUOUS)
    class Step(enum.Enum):
        FIRST = 1
        SECOND = 2

    @enum.verify(enum.NAMED_FLAGS)
    class Light(enum.Flag):
        DIM = 1
        BRIGHT = 2
        BOTH = 3

    class Tool(enum.Enum):
        """What is a member and what is not, as the enum says."""

        SAW = 1
        edge = enum.nonmember("steel")

        @enum.member
        def BEND() -> str:  # type: ignore[misc]  # noqa: N802
            return "bent"

        @enum.property
        def handle(self) -> str:
            return f"of the {self.name}"

    class Described(enum.Enum):
        """An attribute that has the name of a member, which `enum.property` allows."""

        NAME = "a name"
        description = "a description"

        @enum.property
        def NAMED(self) -> str:  # noqa: N802
            return self.name

    class Level(float, enum.ReprEnum):
        SHALLOW = 0.5
        DEEP = 9.5

    MODULE = __name__.rpartition(".")[2]

    @enum.global_enum
    class Beat(enum.Enum):
        SLOW = 1
        FAST = 2

    @enum.global_enum
    class Bits(enum.IntFlag):
        LEFT = 1
        RIGHT = 2

    class Hard(enum.IntFlag, boundary=enum.STRICT):
        A = 1
        B = 4

    class Ejected(enum.IntFlag, boundary=enum.EJECT):
        A = 1
        B = 4

    SINCE_3_11: list[Any] = [Tone, Step, Light, Tool, Described, Level, Beat, Bits, Hard, Ejected]

    @pytest.mark.parametrize("kind", SINCE_3_11, ids=lambda kind: kind.__name__)
    def test_a_shared_value_goes_through_every_member_since_python_3_11(kind: Any) -> None:
        goes_through(kind)

    def test_a_child_reads_and_sets_values_of_the_kinds_since_python_3_11(ctx: Any) -> None:
        steps: list[Any] = [
            (EnumValue(next(iter(kind)), ctx=ctx), next(iter(kind)).name, list(kind)[-1].name) for kind in SINCE_3_11
        ]
        run(ctx, targets.read_and_set, steps)
        for status, before, new in steps:
            assert is_like(status, status.EnumType[new]), before

    def test_a_str_enum_with_automatic_values_has_its_names_in_small_letters() -> None:
        tone: Any = EnumValue(Tone.SOFT)
        tone.set("Loud")
        assert (tone == "loud", str(tone), f"{tone:>6}", tone.upper(), tone.name) == (
            True,
            "loud",
            "  loud",
            "LOUD",
            "Loud",
        )

    def test_what_is_no_member_is_an_attribute() -> None:
        tool: Any = EnumValue(Tool.SAW)
        assert (tool.edge, tool.handle) == ("steel", "of the SAW")
        tool.set("BEND")
        assert (tool.value(), tool.edge, tool.handle) == ("bent", "steel", "of the BEND")
        with pytest.raises(KeyError, match="'edge'; its names are"):
            tool.set("edge")
        described: Any = EnumValue(Described.description)
        assert (described.NAMED, described.name) == ("description", "description")

    def test_a_private_name_is_no_member_and_can_not_be_set() -> None:
        class Private(enum.Enum):
            A = 1
            __secret = 2

        private = goes_through(Private)
        with pytest.raises(KeyError, match="has no member named '_Private__secret'; its names are A"):
            private.set("_Private__secret")

    def test_an_enum_that_keeps_the_texts_of_its_type_keeps_them_shared() -> None:
        level: Any = EnumValue(Level.DEEP)
        assert (str(level), repr(level), f"{level:.2f}", level - 0.5) == ("9.5", "<Level.DEEP: 9.5>", "9.50", 9.0)

    def test_a_global_enum_has_the_texts_of_a_module() -> None:
        assert (str(EnumValue(Beat.FAST)), repr(EnumValue(Beat.FAST))) == ("FAST", f"{MODULE}.FAST")
        bits: Any = EnumValue(Bits.LEFT)
        bits |= Bits.RIGHT
        assert repr(bits) == repr(Bits.LEFT | Bits.RIGHT) == f"{MODULE}.LEFT|{MODULE}.RIGHT"

    def test_a_verified_enum_is_refused_before_it_could_be_shared() -> None:
        with pytest.raises(ValueError, match="missing values 2"):

            @enum.verify(enum.CONTINUOUS)
            class Gap(enum.Enum):
                A = 1
                B = 3

        assert EnumValue[Step]("SECOND").value == 2
        assert enum.show_flag_values(EnumValue(Light.BOTH).value) == [1, 2]

    def test_the_boundary_of_flags_of_ints_is_kept() -> None:
        for make in (EnumValue, IntEnumValue):
            hard, ejected = make(Hard.A), make(Ejected.A)
            hard |= Hard.B
            assert is_like(hard, Hard.A | Hard.B)
            with pytest.raises(ValueError, match="invalid value 2"):
                hard.set(Hard(2))
            with pytest.raises(TypeError, match="to value of type '<class 'int'>'"):
                ejected |= 2  # type: ignore[arg-type]
            assert is_like(ejected, Ejected.A)


if sys.version_info >= (3, 12):

    def test_an_enum_contains_the_value_of_a_shared_value() -> None:
        for member in (Bird.HERON, Season.COLD, Size.LARGE, Tone.SOFT, Paint.RED):
            status: Any = EnumValue(member)
            assert status.value in status.EnumType
        assert EnumValue(Bird.HERON).value not in Other

    def test_flags_with_values_are_walked_through_in_the_order_of_their_bits() -> None:
        paint: Any = EnumValue(Paint.LIME)
        paint |= Paint.BLUE
        assert (list(paint), len(paint)) == ([Paint.BLUE, Paint.LIME], 2)


if sys.version_info >= (3, 13):

    class Unit(enum.Enum):
        """Members with more values and names than one."""

        METRE = "m"
        FOOT = "ft"

        def __init__(self, value: str) -> None:
            self._add_value_alias_(value.upper())

    def test_an_alias_that_is_added_later_is_a_name_for_it() -> None:
        unit = EnumValue(Unit.METRE)
        unit.set(Unit("FT"))
        assert is_like(unit, Unit.FOOT)
        Unit.METRE._add_alias_("METER")
        unit.set("METER")
        assert is_like(unit, Unit.METRE)
        goes_through(Unit)

    def test_a_value_that_hashes_to_no_member_is_looked_for_all_the_same() -> None:
        class Listed(enum.Enum):
            SHORT = [1]  # noqa: RUF012
            LONG = [1, 2]  # noqa: RUF012

        listed: Any = goes_through(Listed)
        listed.set(Listed([1]))
        assert (is_like(listed, Listed.SHORT), [1] in Listed, Listed(listed.value)) == (True, True, Listed.SHORT)
