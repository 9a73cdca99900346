"""How a class of shared values is bound to its enum: by a subclass, by indexing, through aliases and type variables."""

from __future__ import annotations

import enum
import pickle
import sys
import threading
import warnings
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_origin

import pytest
from enums import FrutEnum, Perm, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE
from typing_extensions import TypeAliasType

from multiprocessing_intenum import EnumValue, IntEnumValue, snapshot

IDLE = WorkerStatusEnum.IDLE

T = TypeVar("T", bound=enum.IntEnum)


# By a subclass, by indexing, by the first member


def test_a_class_knows_its_enum() -> None:
    assert WorkerStatus.EnumType is WorkerStatusEnum
    assert WorkerStatus(IDLE).EnumType is WorkerStatusEnum
    assert IntEnumValue.EnumType is enum.IntEnum


def test_indexing_gives_one_class_an_enum() -> None:
    assert IntEnumValue[WorkerStatusEnum] is IntEnumValue[WorkerStatusEnum]
    assert IntEnumValue[WorkerStatusEnum] is not IntEnumValue[FrutEnum]
    assert issubclass(WorkerStatus, IntEnumValue[WorkerStatusEnum])
    assert WorkerStatus[WorkerStatusEnum] is WorkerStatus


@pytest.mark.usefixtures("restless")
def test_threads_that_index_at_once_get_one_class() -> None:
    for _ in range(50):
        fresh = enum.IntEnum("fresh", "ONE TWO")  # type: ignore[misc]
        barrier = threading.Barrier(4)
        classes: list[type] = []

        def index(fresh: Any = fresh, barrier: Any = barrier, classes: Any = classes) -> None:
            barrier.wait(DEADLINE)
            classes.append(IntEnumValue[fresh])

        threads = [threading.Thread(target=index) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, classes))) == 1


def test_without_a_subclass_the_enum_is_that_of_the_first_member() -> None:
    for first in (IDLE, WorkerStatus(IDLE)):
        status = IntEnumValue(first)
        assert type(status) is IntEnumValue[WorkerStatusEnum]
        assert isinstance(status, IntEnumValue[WorkerStatusEnum])


def test_without_an_enum_a_name_can_not_be_looked_up() -> None:
    with pytest.raises(TypeError, match=r"IntEnumValue is bound to no enum .* named 'IDLE': write IntEnumValue\["):
        IntEnumValue("IDLE")


@pytest.mark.parametrize("first", [1, None, enum.Enum("Color", ["RED"]).RED, IDLE.__class__], ids=repr)
def test_without_an_enum_the_first_value_must_be_an_int_valued_member(first: Any) -> None:
    with pytest.raises(TypeError, match="Can not set '<enum 'IntEnum'>' to value of type"):
        IntEnumValue(first)


def test_a_subclass_of_a_subclass_is_bound_to_the_same_enum() -> None:
    class Chatty(WorkerStatus):
        def phrase(self) -> str:
            return f"now {self.name}"

    status = Chatty("IDLE")
    assert Chatty.EnumType is WorkerStatusEnum
    assert isinstance(status, WorkerStatusEnum)
    assert status.phrase() == "now IDLE"


def test_a_subclass_may_have_a_new_of_its_own() -> None:
    made: list[type] = []

    class Noted(IntEnumValue[WorkerStatusEnum]):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            made.append(cls)
            return super().__new__(cls, *args, **kwargs)

    class NotedGeneric(IntEnumValue[T]):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            made.append(cls)
            return super().__new__(cls, *args, **kwargs)

    assert Noted("IDLE").name == NotedGeneric[WorkerStatusEnum]("IDLE").name == NotedGeneric(IDLE).name == "IDLE"
    assert made == [Noted, NotedGeneric[WorkerStatusEnum], NotedGeneric]


def test_two_classes_of_one_enum_can_be_mixed() -> None:
    class Chatty(IntEnumValue[WorkerStatusEnum]):
        pass

    class Mixed(Chatty, WorkerStatus):
        pass

    assert Mixed.EnumType is WorkerStatusEnum


def test_a_class_made_by_indexing_holds_nothing_that_cloudpickle_can_not_pickle() -> None:
    # cloudpickle takes such a class apart, as no import finds it. wrapt's own __new__ was in its dict: a builtin, whose
    # class has another name than the one to import it by.
    builtins = [name for name, found in vars(IntEnumValue[Perm]).items() if type(found) is type(len)]
    assert builtins == []
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(IntEnumValue[Perm])


# Through aliases and type variables


Alias = IntEnumValue[T]
Named = TypeAliasType("Named", WorkerStatusEnum)
NamedTwice = TypeAliasType("NamedTwice", Named)


class OfAVariable(IntEnumValue[T]):
    pass


class OfAVariableAndGeneric(IntEnumValue[T], Generic[T]):
    pass


WAYS: dict[str, Any] = {
    "Alias[E]": lambda: Alias[WorkerStatusEnum],
    "Alias[Alias's own variable][E]": lambda: Alias[T][WorkerStatusEnum],  # type: ignore[index]
    "IntEnumValue[type alias]": lambda: IntEnumValue[Named],
    "IntEnumValue[type alias of a type alias]": lambda: IntEnumValue[NamedTwice],
    "Alias[type alias]": lambda: Alias[Named],
    "OfAVariable[E]": lambda: OfAVariable[WorkerStatusEnum],
    "OfAVariable[type alias]": lambda: OfAVariable[Named],
    "OfAVariableAndGeneric[E]": lambda: OfAVariableAndGeneric[WorkerStatusEnum],
}


if sys.version_info >= (3, 12):
    pep695: dict[str, Any] = dict(globals())
    exec(
        """
type New = WorkerStatusEnum
class OfANewVariable[U: enum.IntEnum](IntEnumValue[U]): pass
""",
        pep695,
    )
    WAYS |= {
        "IntEnumValue[type New = E]": lambda: IntEnumValue[pep695["New"]],
        "OfANewVariable[E]": lambda: pep695["OfANewVariable"][WorkerStatusEnum],
        "OfANewVariable[type New = E]": lambda: pep695["OfANewVariable"][pep695["New"]],
    }


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_class_is_bound_to_the_enum_whichever_way_it_is_named(way: Any) -> None:
    class Status(way()):  # type: ignore[misc]
        pass

    assert Status.EnumType is WorkerStatusEnum
    assert snapshot(Status("IDLE")) is IDLE
    with pytest.raises(TypeError, match="Can not set"):
        Status(FrutEnum.APPLE)


def test_an_alias_gives_the_same_class_as_indexing_does() -> None:
    assert Alias[WorkerStatusEnum] is IntEnumValue[Named] is IntEnumValue[WorkerStatusEnum]  # type: ignore[comparison-overlap]


def test_it_can_be_an_annotation_of_any_enum_and_of_one_that_comes_later() -> None:
    for later in Any, "WorkerStatusEnum", TypeVar("TypeVar"):
        assert get_origin(IntEnumValue[later]) is IntEnumValue  # type: ignore[valid-type]


class History(IntEnumValue[T], Generic[T]):
    """A generic subclass, which is bound to an enum later."""

    before: list[Any]

    def set(self, value: Any) -> None:
        self.before.append(snapshot(self))
        super().set(value)


def test_a_generic_subclass_is_bound_by_indexing_or_by_the_first_member() -> None:
    class WorkerHistory(History[WorkerStatusEnum]):
        pass

    for make in (WorkerHistory, History[WorkerStatusEnum], History):
        status: Any = make(IDLE)
        assert isinstance(status, History)
        assert type(status).EnumType is WorkerStatusEnum
        status.before = []
        status.set("CALCULATING")
        assert status.before == [IDLE]
    assert type(History(IDLE)) is History[WorkerStatusEnum]


def test_of_two_subclasses_with_different_enums_the_first_one_wins() -> None:
    class Fruit(IntEnumValue[FrutEnum]):
        pass

    class Mixed(Fruit, WorkerStatus):  # type: ignore[misc]
        pass

    assert Mixed.EnumType is FrutEnum
    assert snapshot(Mixed("APPLE")) is FrutEnum.APPLE


def test_a_generic_subclass_may_have_a_new_of_its_own() -> None:
    made: list[type] = []

    class Counted(IntEnumValue[T], Generic[T]):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self = super().__new__(cls, *args, **kwargs)
            made.append(type(self))
            return self

    class CountedStatus(Counted[WorkerStatusEnum]):
        pass

    assert snapshot(CountedStatus("IDLE")) is snapshot(Counted(IDLE)) is IDLE
    assert made == [CountedStatus, Counted[WorkerStatusEnum]]


# For several enums


def test_a_base_without_members_of_its_own_serves_the_enums_that_derive_from_it() -> None:
    class Spoken(enum.IntEnum):
        def phrase(self) -> str:
            return f"it is {self.name}"

    class Mood(Spoken):
        GOOD = 1

    class SpokenValue(IntEnumValue[Spoken]):
        pass

    mood = SpokenValue(Mood.GOOD)
    assert type(mood).EnumType is Mood
    assert mood.phrase() == "it is GOOD"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="Can not set '<enum 'Spoken'>' to value of type"):
        SpokenValue(FrutEnum.APPLE)


def test_a_class_for_one_kind_of_enum_takes_no_other() -> None:
    class Fruit(enum.IntEnum):
        pass

    class Citrus(Fruit):
        LEMON = 1

    assert IntEnumValue[Fruit](Citrus.LEMON) == Citrus.LEMON
    for use in (lambda: IntEnumValue[Fruit][FrutEnum], lambda: IntEnumValue[Fruit](FrutEnum.APPLE)):
        with pytest.raises(TypeError):
            use()


def test_a_class_of_any_enum_must_be_told_which() -> None:
    class Idle(IntEnumValue[Any]):
        def __init__(self) -> None:
            super().__init__(IDLE)

    with pytest.raises(TypeError, match=r"Idle is bound to no enum.*: derive it from IntEnumValue\[YourEnum\]"):
        Idle()


def test_a_subclass_that_is_bound_to_nothing_says_what_to_do() -> None:
    class Labelled(IntEnumValue):  # type: ignore[type-arg]
        label: str

        def __init__(self, label: str, member: Any) -> None:
            super().__init__(member)
            self.label = label

    with pytest.raises(TypeError, match=r"Labelled is bound to no enum.*: derive it from IntEnumValue\[YourEnum\]"):
        Labelled("a worker", IDLE)
    with pytest.raises(TypeError, match=r"Labelled is bound to no enum.*: derive it from IntEnumValue\[YourEnum\]"):
        Labelled(label="a worker", member=IDLE)

    class Bound(Labelled[WorkerStatusEnum]):  # type: ignore[misc]
        pass

    assert Bound("a worker", IDLE).label == "a worker"


# What a class can not be bound to


@pytest.mark.parametrize("kind", [int, str, enum.Enum("Color", ["RED"]), enum.Flag("Bits", ["A"])], ids=repr)
def test_only_an_int_valued_enum_can_be_shared(kind: type) -> None:
    with pytest.raises(TypeError, match="expected an enum whose members are ints"):
        IntEnumValue[kind]  # type: ignore[valid-type]


def test_a_bound_class_can_not_be_bound_to_another_enum() -> None:
    with pytest.raises(TypeError, match="WorkerStatus is already bound to '<enum 'WorkerStatusEnum'>'"):
        WorkerStatus[FrutEnum]


def test_a_class_can_not_be_bound_to_two_enums() -> None:
    with pytest.raises(TypeError, match=r"Both can not be bound to .*FrutEnum.* and .*WorkerStatusEnum.* at once"):

        class Both(IntEnumValue[WorkerStatusEnum], IntEnumValue[FrutEnum]):  # type: ignore[misc]
            pass


def test_a_class_can_not_be_bound_to_a_mere_name() -> None:
    with pytest.raises(TypeError, match="Late can not be bound to 'Nothing', a mere name: give the enum itself"):

        class Late(IntEnumValue["Nothing"]):  # type: ignore[name-defined,type-var]
            pass


@pytest.mark.parametrize("item", [WorkerStatusEnum | None, Annotated[WorkerStatusEnum, "a state"], 1], ids=repr)
def test_a_class_can_not_be_bound_to_what_is_no_class(item: Any) -> None:
    with pytest.raises(TypeError, match=r"Odd can not be bound to .*, which is no class: give the enum itself"):

        class Odd(IntEnumValue[item]):  # type: ignore[valid-type]
            pass


# The warning about an enum's own set and get_lock


def test_an_enum_with_a_method_of_our_names_gets_a_warning() -> None:
    class Hiding(enum.IntEnum):
        A = 1

        def set(self) -> str:
            return "the enum's own"

        @property
        def get_lock(self) -> str:
            return "a property"

    with pytest.warns(RuntimeWarning, match="'<enum 'Hiding'>' defines") as warned:
        value: Any = IntEnumValue[Hiding]
    assert [warning.filename for warning in warned] == [__file__] * 2
    for name, warning in zip(("set", "get_lock"), warned, strict=True):
        assert str(warning.message) == (
            f"'<enum 'Hiding'>' defines {name}, but on a shared value it is IntEnumValue.{name}: "
            f"call the enum's own as snapshot(status).{name}"
        )
    assert snapshot(value("A")).set() == "the enum's own"


def test_an_enum_whose_members_have_an_attribute_of_our_names_gets_a_warning() -> None:
    class Hiding(enum.Enum):
        A = 1

        def __init__(self, _: int) -> None:
            self.get_lock = "hidden"

    with pytest.warns(RuntimeWarning, match="'<enum 'Hiding'>' defines get_lock"):
        EnumValue(Hiding.A)


def test_a_mere_member_of_our_names_gets_none() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names: Any = enum.IntEnum("Names", ["set", "get_lock"])
        assert IntEnumValue(names.get_lock).name == "get_lock"


def first_member(settable: Any) -> Any:
    return IntEnumValue(settable.ONE)


def index(settable: Any) -> Any:
    return IntEnumValue[settable]


def subclass(settable: Any) -> Any:
    class Status(IntEnumValue[settable]):  # type: ignore[valid-type]
        pass

    return Status


def alias(settable: Any) -> Any:
    return Alias[settable]


@pytest.mark.parametrize("make", [first_member, index, subclass, alias])
def test_the_warning_about_an_enums_set_points_to_the_users_line(make: Any) -> None:
    class Settable(enum.IntEnum):
        ONE = 1

        def set(self) -> None: ...

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(Settable)
    (warning,) = caught
    assert "defines set" in str(warning.message)
    assert Path(warning.filename) == Path(__file__)
    assert warning.lineno in range(make.__code__.co_firstlineno, make.__code__.co_firstlineno + 4)
