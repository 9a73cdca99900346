"""How a class of shared values is bound to its enum: by a subclass, by indexing, through aliases and type variables."""

from __future__ import annotations

import enum
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from enums import FrutEnum, Perm, WorkerStatus, WorkerStatusEnum
from typing_extensions import TypeAliasType

from multiprocessing_intenum import IntEnumValue, snapshot

IDLE = WorkerStatusEnum.IDLE

T = TypeVar("T", bound=enum.IntEnum)
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


def test_a_class_can_not_be_bound_to_two_enums() -> None:
    with pytest.raises(TypeError, match=r"Both can not be bound to .*FrutEnum.* and .*WorkerStatusEnum.* at once"):

        class Both(IntEnumValue[WorkerStatusEnum], IntEnumValue[FrutEnum]):  # type: ignore[misc]
            pass

    class Fruit(IntEnumValue[FrutEnum]):
        pass

    with pytest.raises(TypeError, match="Mixed can not be bound"):

        class Mixed(Fruit, WorkerStatus):  # type: ignore[misc]
            pass


def test_two_classes_of_one_enum_can_be_mixed() -> None:
    class Chatty(IntEnumValue[WorkerStatusEnum]):
        pass

    class Mixed(Chatty, WorkerStatus):
        pass

    assert Mixed.EnumType is WorkerStatusEnum


@pytest.mark.parametrize("name", ["_self_lock", "_self_cell", "_self_own", "_self_table", "_self_origin"])
def test_the_librarys_own_names_are_refused(name: str, status: WorkerStatus) -> None:
    with pytest.raises(AttributeError, match=f"can not set '{name}' on WorkerStatus: the library itself uses it"):
        setattr(status, name, None)
    with pytest.raises(AttributeError, match=f"can not delete '{name}'"):
        delattr(status, name)
    for slots in (False, True):
        namespace = {"__slots__": (name,)} if slots else {name: None}
        with pytest.raises(TypeError, match=f"Mine can not define {name}: the library itself uses it"):
            type(WorkerStatus)("Mine", (WorkerStatus,), {"__module__": __name__, **namespace})
    assert snapshot(status) is IDLE


def test_names_under_the_prefix_that_the_library_does_not_use_stay_free(status: WorkerStatus) -> None:
    status._self_note = "mine"  # type: ignore[attr-defined]
    assert status._self_note == "mine"  # type: ignore[attr-defined]


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


def test_a_class_made_by_indexing_holds_nothing_that_cloudpickle_can_not_pickle() -> None:
    # cloudpickle takes such a class apart, as no import finds it. wrapt's own __new__ was in its dict: a builtin, whose
    # class has another name than the one to import it by.
    builtins = [name for name, found in vars(IntEnumValue[Perm]).items() if type(found) is type(len)]
    assert builtins == []
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(IntEnumValue[Perm])
