"""IntEnumValue: how to make it, bind it to an enum, read it and set it."""

from __future__ import annotations

import abc
import asyncio
import ctypes
import enum
import functools
import inspect
import multiprocessing
import operator
import os
import subprocess
import sys
import threading
import warnings
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_origin

import pytest
from enums import Big, FrutEnum, LoggingStatus, Perm, Permissions, Strict, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, WRITERS, is_free

from multiprocessing_intenum import IntEnumValue, snapshot, update

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


# Making


@pytest.mark.parametrize("first", [IDLE, "IDLE", WorkerStatus(IDLE), IntEnumValue(IDLE)], ids=repr)
def test_it_begins_with_a_member_or_a_name_or_another_shared_value(first: Any) -> None:
    status = WorkerStatus(first)
    assert snapshot(status) is IDLE
    status.set(CALCULATING)
    assert first in (IDLE, "IDLE")  # the first value is independent of the others


def test_it_can_be_given_all_arguments_by_keyword() -> None:
    lock = multiprocessing.Lock()
    status = WorkerStatus(value=IDLE, lock=lock)
    assert snapshot(status) is IDLE
    assert status.get_lock() is lock
    assert snapshot(IntEnumValue(value=IDLE)) is IDLE


def test_the_default_lock_is_an_rlock_of_the_context(ctx: Any) -> None:
    assert type(WorkerStatus(IDLE).get_lock()) is type(multiprocessing.RLock())
    assert type(WorkerStatus(IDLE, ctx=ctx).get_lock()) is type(ctx.RLock())


def test_lock_and_ctx_exclude_each_other() -> None:
    with pytest.raises(TypeError, match="lock= and ctx= exclude each other"):
        WorkerStatus(IDLE, lock=multiprocessing.RLock(), ctx=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("lock", [1, object(), "lock", type("OnlyAcquire", (), {"acquire": lambda self: True})()])
def test_something_without_acquire_and_release_is_no_lock(lock: Any) -> None:
    with pytest.raises(TypeError, match=r"Can not use <class .*> as lock: expected an object with acquire\(\) and"):
        WorkerStatus(IDLE, lock=lock)


def test_a_lock_of_asyncio_is_no_lock() -> None:
    with pytest.raises(TypeError, match=r"Can not use <class 'asyncio.locks.Lock'> as lock: .* have to be awaited"):
        WorkerStatus(IDLE, lock=asyncio.Lock())  # type: ignore[arg-type]


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


# Binding to an enum


def test_a_class_knows_its_enum() -> None:
    assert WorkerStatus.EnumType is WorkerStatusEnum
    assert WorkerStatus(IDLE).EnumType is WorkerStatusEnum
    assert IntEnumValue.EnumType is enum.IntEnum


def test_indexing_gives_one_class_an_enum() -> None:
    assert IntEnumValue[WorkerStatusEnum] is IntEnumValue[WorkerStatusEnum]
    assert IntEnumValue[WorkerStatusEnum] is not IntEnumValue[FrutEnum]
    assert issubclass(WorkerStatus, IntEnumValue[WorkerStatusEnum])
    assert WorkerStatus[WorkerStatusEnum] is WorkerStatus


def test_a_bound_class_can_not_be_bound_to_another_enum() -> None:
    with pytest.raises(TypeError, match="WorkerStatus is bound to '<enum 'WorkerStatusEnum'>' already"):
        WorkerStatus[FrutEnum]


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


def test_it_can_not_be_made_of_nothing() -> None:
    with pytest.raises(TypeError):
        IntEnumValue()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        WorkerStatus()  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [int, str, enum.Enum("Color", ["RED"]), enum.Flag("Bits", ["A"])], ids=repr)
def test_only_an_int_valued_enum_can_be_shared(kind: type) -> None:
    with pytest.raises(TypeError, match="expected an enum whose members are ints"):
        IntEnumValue[kind]  # type: ignore[valid-type]


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


def test_a_subclass_of_a_subclass_is_bound_to_the_same_enum() -> None:
    class Chatty(WorkerStatus):
        def phrase(self) -> str:
            return f"now {self.name}"

    status = Chatty("IDLE")
    assert Chatty.EnumType is WorkerStatusEnum
    assert isinstance(status, WorkerStatusEnum)
    assert status.phrase() == "now IDLE"


T = TypeVar("T", bound=enum.IntEnum)


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
            f"'<enum 'Hiding'>' defines {name}, which on a shared value is IntEnumValue.{name}: "
            f"call the enum's own as snapshot(status).{name}"
        )
    assert snapshot(value("A")).set() == "the enum's own"


def test_a_mere_member_of_our_names_gets_none() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names: Any = enum.IntEnum("Names", ["set", "get_lock"])
        assert IntEnumValue(names.get_lock).name == "get_lock"


def test_what_is_not_yet_initialised_says_so() -> None:
    with pytest.raises(AttributeError, match=r"WorkerStatus.__init__\(\) has not been called, so there is no _self_"):
        snapshot(WorkerStatus.__new__(WorkerStatus))


# Reading


def test_name_and_value_are_the_members_own(status: WorkerStatus) -> None:
    for member in WorkerStatusEnum:
        status.set(member)
        assert (status.name, status.value) == (member.name, member.value)


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
    made._self_word.value = 8  # like another process, whose enum has made this member
    assert made.name == "MADE_8"
    made._self_word.value = 13
    with pytest.raises(ValueError, match="13 is no member of '<enum 'Made'>'"):
        snapshot(made)


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
        flags._self_word.value = number
        assert read(flags) == read(fresh(number))


def test_no_combination_of_flags_is_named_by_an_int_that_the_enum_ejects() -> None:
    permissions = Permissions(Perm.R)
    permissions._self_word.value = 1 << 40
    try:
        expected: Any = Perm(1 << 40)
    except ValueError:
        expected = None
    if type(expected) is Perm:
        assert snapshot(permissions) is expected
    else:
        with pytest.raises(ValueError, match="is no member"):
            snapshot(permissions)


def test_an_integer_that_is_no_member_is_a_value_error_that_names_it(status: WorkerStatus) -> None:
    status._self_word.value = 77  # another program wrote to it
    for read in (snapshot, repr, int, hash, lambda status: status.name, lambda status: status == IDLE):
        with pytest.raises(ValueError, match="77 is no member of '<enum 'WorkerStatusEnum'>': another program"):
            read(status)
    status.set(IDLE)
    assert snapshot(status) is IDLE


@pytest.mark.parametrize("other", [IDLE, "IDLE", None, 2, WorkerState])
def test_snapshot_of_something_else_is_a_type_error(other: Any) -> None:
    with pytest.raises(TypeError, match=f"expected an IntEnumValue, not {type(other)}"):
        snapshot(other)


# Setting


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
@pytest.mark.parametrize("new", [CALCULATING, "CALCULATING", WorkerStatus(CALCULATING), IntEnumValue(CALCULATING)])
def test_every_writer_takes_a_member_a_name_and_another_shared_value(
    status: WorkerStatus, write: Any, new: Any
) -> None:
    write(status, new)
    assert snapshot(status) is CALCULATING
    assert is_free(status.get_lock())


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
    with pytest.raises(ValueError, match="to 64: it has the enum's type but is none of its members"):
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


def test_every_write_goes_through_an_overridden_set() -> None:
    status = LoggingStatus(IDLE)
    status.log = []
    for write in WRITERS.values():
        for name in ("CALCULATING", "IDLE"):
            write(status, name)
            assert status.log == [name]
            status.log.clear()


class LoggingPermissions(IntEnumValue[Perm]):
    seen: ClassVar[list[Perm]] = []

    def set(self, value: Any) -> None:
        super().set(value)
        self.seen.append(snapshot(self))


@pytest.mark.parametrize("operation", [operator.ior, operator.iand, operator.ixor])
def test_in_place_operators_go_through_an_overridden_set_and_leave_the_name_bound(operation: Any) -> None:
    for member in map(Perm, range(8)):
        for other in (Perm.W, Permissions(Perm.W), LoggingPermissions(Perm.W)):
            permissions = before = LoggingPermissions(member)
            LoggingPermissions.seen.clear()
            permissions = operation(permissions, other)
            assert permissions is before
            assert LoggingPermissions.seen == [operation(member, Perm.W)]
            assert type(snapshot(permissions)) is Perm


def test_an_in_place_operator_whose_result_is_no_member_is_a_type_error(status: WorkerStatus) -> None:
    kept = status
    operations: list[Any] = [
        operator.iadd,
        operator.isub,
        operator.imul,
        operator.itruediv,
        operator.ifloordiv,
        operator.imod,
        operator.ipow,
        operator.ilshift,
        operator.irshift,
        operator.iand,
        operator.ixor,
        operator.ior,
        operator.imatmul,
    ]
    for operation in operations:
        with pytest.raises(TypeError):
            operation(status, 1)
        assert snapshot(kept) is IDLE
        assert is_free(kept.get_lock())


def test_an_overridden_set_that_raises_leaves_the_lock_free_and_the_value_whole() -> None:
    class Refusing(IntEnumValue[WorkerStatusEnum]):
        def set(self, value: Any) -> None:
            raise ZeroDivisionError

    status = Refusing(IDLE)
    for write in WRITERS.values():
        with pytest.raises(ZeroDivisionError):
            write(status, CALCULATING)
        assert snapshot(status) is IDLE
        assert is_free(status.get_lock())


# Attributes


def test_what_is_no_attribute_of_it_can_not_be_set(status: WorkerStatus) -> None:
    for name in (
        "vaule",
        "_private",
        "set",
        "get_lock",
        "EnumType",
        "name",
        "__class__",
        "__dict__",
        "__doc__",
        "__eq__",
    ):
        with pytest.raises(AttributeError):
            setattr(status, name, CALCULATING)
    with pytest.raises(
        AttributeError, match=r"can not set 'vaule' on WorkerStatus: to change the state use set\(\) or"
    ):
        status.vaule = CALCULATING  # type: ignore[attr-defined]
    assert snapshot(status) is IDLE
    assert not hasattr(IDLE, "vaule")


def test_attributes_of_its_own_are_declared_or_begin_with_self() -> None:
    status = LoggingStatus(IDLE)
    status.label = "the first worker's"
    status._self_note = 1  # type: ignore[attr-defined]
    assert (status.label, status._self_note) == ("the first worker's", 1)  # type: ignore[attr-defined]
    assert not hasattr(IDLE, "label")


def test_attributes_of_its_own_with_a_default_can_be_deleted() -> None:
    status = LoggingStatus(IDLE)
    status.log = []
    status.label, status._self_note = "the first worker's", 1  # type: ignore[attr-defined]
    del status.label, status._self_note  # type: ignore[attr-defined]
    assert status.label == "a worker's"
    assert not hasattr(status, "_self_note")
    for name in ("label", "_self_note", "log", "name", "set", "_self_word", "vaule"):
        with pytest.raises(AttributeError, match=f"can not delete '{name}' of LoggingStatus"):
            delattr(status, name)


def test_a_property_of_a_subclass_can_be_set() -> None:
    class Inverted(IntEnumValue[WorkerStatusEnum]):
        @property
        def busy(self) -> bool:
            return self == CALCULATING

        @busy.setter
        def busy(self, busy: bool) -> None:
            self.set(CALCULATING if busy else IDLE)

    status = Inverted(IDLE)
    status.busy = True
    assert snapshot(status) is CALCULATING
    assert status.busy
    assert not status._self_own  # a child would get it through the state only


def test_what_a_subclass_sets_before_its_init_is_its_own_too() -> None:
    class Labelled(IntEnumValue[WorkerStatusEnum]):
        label: str

        def __init__(self, label: str) -> None:
            self.label = label
            super().__init__(IDLE)

    one, two = Labelled("one"), Labelled("two")
    assert (one.label, two.label, one._self_own) == ("one", "two", {"label"})


def test_a_cached_property_of_a_subclass_leaves_the_member_alone() -> None:
    class Cached(IntEnumValue[WorkerStatusEnum]):
        @functools.cached_property
        def token(self) -> object:
            return object()

    one, two = Cached(IDLE), Cached(IDLE)
    assert one.token is not two.token
    assert "token" not in vars(IDLE)
    assert vars(one) == vars(IDLE)
    assert vars(one) is not vars(IDLE)
    assert one.__getattr__("__dict__") is not vars(IDLE)  # wrapt in pure Python looks it up this way


def test_a_class_that_is_abstract_answers_as_its_member_too() -> None:
    # wrapt in pure Python has its own metaclass
    metaclasses = (abc.ABCMeta,) if type(IntEnumValue) is type else (type(IntEnumValue), abc.ABCMeta)

    class Abstract(IntEnumValue[WorkerStatusEnum], metaclass=type("Both", metaclasses, {})):
        """Text of the subclass."""

    status = Abstract(IDLE)
    assert (status.__doc__, status.__module__) == (IDLE.__doc__, IDLE.__module__)


def test_it_can_be_an_annotation_of_any_enum_and_of_one_that_comes_later() -> None:
    for later in Any, "WorkerStatusEnum", TypeVar("TypeVar"):
        assert get_origin(IntEnumValue[later]) is IntEnumValue  # type: ignore[valid-type]


def test_a_class_can_not_be_bound_to_a_mere_name() -> None:
    with pytest.raises(TypeError, match="Late can not be bound to 'Nothing', a mere name: give the enum itself"):

        class Late(IntEnumValue["Nothing"]):  # type: ignore[name-defined,type-var]
            pass


@pytest.mark.parametrize("item", [WorkerStatusEnum | None, Annotated[WorkerStatusEnum, "a state"], 1], ids=repr)
def test_a_class_can_not_be_bound_to_what_is_no_class(item: Any) -> None:
    with pytest.raises(TypeError, match=r"Odd can not be bound to .*, which is no class: give the enum itself"):

        class Odd(IntEnumValue[item]):  # type: ignore[valid-type]
            pass


def test_a_class_for_one_kind_of_enum_takes_no_other() -> None:
    class Fruit(enum.IntEnum):
        pass

    class Citrus(Fruit):
        LEMON = 1

    assert IntEnumValue[Fruit](Citrus.LEMON) == Citrus.LEMON
    for use in (lambda: IntEnumValue[Fruit][FrutEnum], lambda: IntEnumValue[Fruit](FrutEnum.APPLE)):
        with pytest.raises(TypeError):
            use()


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


def test_a_value_without_a_member_says_what_is_missing() -> None:
    for cls in IntEnumValue, WorkerStatus:
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'value'"):
            cls()  # type: ignore[call-arg]


def test_a_class_of_any_enum_must_be_told_which() -> None:
    class Idle(IntEnumValue[Any]):
        def __init__(self) -> None:
            super().__init__(IDLE)

    with pytest.raises(TypeError, match=r"Idle is bound to no enum.*: derive it from IntEnumValue\[YourEnum\]"):
        Idle()


def test_dir_is_the_members_with_set_and_get_lock(status: WorkerStatus) -> None:
    assert set(dir(status)) == {*dir(IDLE), "set", "get_lock"}


def test_its_text_and_class_are_the_members_and_its_type_is_its_own(status: WorkerStatus) -> None:
    assert (repr(status), str(status), f"{status}") == (repr(IDLE), str(IDLE), f"{IDLE}")
    assert status.__class__ is WorkerStatusEnum
    assert status.__doc__ == IDLE.__doc__
    assert status.__module__ == IDLE.__module__
    assert type(status) is WorkerStatus


def test_its_class_has_none_of_its_members_attributes() -> None:
    assert not hasattr(WorkerStatus, "__wrapped__")
    assert not hasattr(WorkerStatus, "IDLE")
    assert WorkerStatus.__name__ == "WorkerStatus"
    assert WorkerStatus.__module__ == "enums"
    assert LoggingStatus.__doc__
    assert LoggingStatus.__doc__.startswith("The seeds' example")


@pytest.mark.usefixtures("restless")
def test_many_threads_each_read_what_they_have_written(status: WorkerStatus) -> None:
    def write_and_read() -> None:
        for member in list(WorkerStatusEnum) * 200:
            with status.get_lock():  # type: ignore[attr-defined]
                status.set(member)
                if not (snapshot(status) is member and status == member and status.name == member.name):
                    stale.append(member)

    stale: list[WorkerStatusEnum] = []
    threads = [threading.Thread(target=write_and_read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not stale


def test_the_cell_is_64_bits_of_shared_memory(status: WorkerStatus) -> None:
    assert type(status._self_word) is ctypes.c_int64
    assert status._self_word.value == int(IDLE)


def test_update_gives_the_function_a_real_member(status: WorkerStatus) -> None:
    seen: list[WorkerStatusEnum] = []

    def function(member: WorkerStatusEnum) -> str:
        seen.append(member)
        return "CALCULATING"

    assert update(status, function) is CALCULATING
    assert seen == [IDLE]
    assert seen[0] is IDLE


def test_a_class_keeps_its_own_module_doc_and_source_where_its_values_show_their_members(status: WorkerStatus) -> None:
    assert (WorkerStatus.__module__, status.__module__) == ("enums", WorkerStatusEnum.__module__)
    assert (IntEnumValue.__doc__ or "").startswith("An integer in shared memory")
    assert status.__doc__ == WorkerStatusEnum.IDLE.__doc__
    if type(WorkerStatus) is type:  # wrapt's pure-Python metaclass puts its own line number into every class
        assert inspect.getsource(WorkerStatus).startswith("class WorkerStatus(")


def test_so_it_is_with_the_other_implementation_of_wrapt() -> None:
    program = (
        "from enums import *\n"
        "status = WorkerStatus('IDLE')\n"
        "member = WorkerStatusEnum.IDLE\n"
        "print(WorkerStatus.__module__, status.__module__ == member.__module__, status.__doc__ == member.__doc__)"
    )
    other = "" if os.environ.get("WRAPT_DISABLE_EXTENSIONS") else "1"
    environment = {**os.environ, "WRAPT_DISABLE_EXTENSIONS": other, "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "enums True True\n"


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


def test_the_class_is_no_wrapper_to_inspect() -> None:
    assert list(inspect.signature(IntEnumValue.__init__).parameters) == ["self", "value", "lock", "ctx"]
    assert inspect.unwrap(WorkerStatus) is WorkerStatus
