"""With arbitrary objects, interrupts and foreign integers: only documented errors, an intact value, a free lock."""

from __future__ import annotations

import enum
import multiprocessing
import operator
from contextlib import suppress
from multiprocessing import context, synchronize
from typing import TYPE_CHECKING, Any

import pytest
from enums import FrutEnum, LoggingStatus, Perm, Permissions, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import PLAIN_WRITERS, SAFE_LOCKS, SHORT, TIMED_WRITERS, WRITERS, is_free
from hypothesis import given, settings
from hypothesis import strategies as st

from multiprocessing_intenum import (
    IntEnumAttribute,
    IntEnumValue,
    RobustRLock,
    compare_and_exchange,
    compare_and_set,
    exchange,
    snapshot,
    update,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING

DOCUMENTED = (TypeError, KeyError, OverflowError, ValueError, TimeoutError)


class Unforeseen(Exception):  # noqa: N818
    """What hostile objects raise. It is none of the documented errors."""


def fail(*_: object) -> Any:
    raise Unforeseen


def hostile(*names: str, base: type = object) -> Any:
    """Make an object whose methods of these names raise."""
    return type("Hostile", (base,), dict.fromkeys(names, fail))()


class ClaimsToBeAMember:
    __class__ = WorkerStatusEnum  # type: ignore[assignment]
    _value_, _name_ = 2, "IDLE"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(IDLE)

    def __int__(self) -> int:
        return 2

    __index__ = __int__


class ClaimsToBeALock:
    __class__ = synchronize.RLock  # type: ignore[assignment]


class ClaimsNothing:
    @property
    def __class__(self) -> type:  # type: ignore[override]
        return fail()  # type: ignore[no-any-return]

    @__class__.setter
    def __class__(self, _: type) -> None: ...


COMPARISON = "__eq__", "__ne__", "__hash__", "__bool__"

ODDITIES: list[Any] = [
    hostile(*COMPARISON),
    hostile(*COMPARISON, "__int__", "__index__", "__float__", "__str__"),
    hostile(*COMPARISON, "__str__", "__len__", "__iter__", base=str),
    type("Named", (str,), dict.fromkeys(COMPARISON, fail))("IDLE"),
    type("Number", (int,), dict.fromkeys((*COMPARISON, "__int__", "__index__"), fail))(2),
    type("Seconds", (float,), dict.fromkeys((*COMPARISON, "__float__", "__ge__", "__gt__"), fail))(0.0),
    ClaimsToBeAMember(),
    ClaimsToBeALock(),
    ClaimsNothing(),
    IntEnumValue(FrutEnum.APPLE),
    Permissions(Perm.R | Perm.W),
    WorkerStatus(CALCULATING),
    IDLE,
    FrutEnum.ORANGE,
    Perm(0),
    "IDLE",
    "idle",
    "",
    WorkerStatusEnum,
    WorkerStatus,
    int,
    object(),
    [IDLE],
    {"CALCULATING": 1},
    lambda: None,
    enum.auto(),
    float("nan"),
    float("-inf"),
    -1,
    -0.0,
    2**63,
    -(10**400),
    True,
    2,
]

oddities = st.integers(0, len(ODDITIES) - 1).map(ODDITIES.__getitem__)
anything = st.one_of(
    oddities, oddities, oddities, st.none(), st.integers(), st.floats(max_value=0.0), st.text(), st.binary()
)
maybe = st.one_of(st.sampled_from(WorkerStatusEnum), anything)


class Box:
    """Hides an object from hypothesis, which would otherwise inspect, compare and print it."""

    def __init__(self, content: Any) -> None:
        self.content = content


def with_objects(max_examples: int = 150, **strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with objects from these strategies as arguments."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @settings(max_examples=max_examples, deadline=None, database=None)
        @given(**{name: strategy.map(Box) for name, strategy in strategies.items()})
        def run(**boxes: Box) -> None:
            test(**{name: box.content for name, box in boxes.items()})

        run.__name__ = test.__name__
        return run

    return decorate


class Target:
    """A shared value and its lock, with a check that an error changes neither."""

    def __init__(self) -> None:
        self.lock = multiprocessing.Lock()
        self.status = WorkerStatus(IDLE, lock=self.lock)

    def allows(self, call: Callable[[], object]) -> None:
        before = snapshot(self.status)
        failed = True
        try:
            call()
            failed = False
        except DOCUMENTED:
            pass
        assert self.lock.acquire(block=False), "the lock is held"
        self.lock.release()
        assert snapshot(self.status) is before if failed else type(snapshot(self.status)) is WorkerStatusEnum


TARGET = Target()
"""Shared by all examples, because making a lock for each would take most of the time."""


@with_objects(max_examples=60, value=maybe, lock=anything, ctx=anything)
def test_the_constructor_raises_only_what_is_documented(value: Any, lock: Any, ctx: Any) -> None:
    for arguments in {}, {"lock": lock}, {"ctx": ctx}, {"lock": lock, "ctx": ctx}:
        for kind in WorkerStatus, IntEnumValue, IntEnumValue[Perm]:
            with suppress(*DOCUMENTED):
                assert issubclass(type(kind(value, **arguments)), IntEnumValue)


@with_objects(new=anything)
def test_set_and_the_value_raise_only_what_is_documented(new: Any) -> None:
    TARGET.allows(lambda: TARGET.status.set(new))
    TARGET.allows(lambda: setattr(TARGET.status, "value", new))


@with_objects(target=anything, one=maybe, other=maybe, timeout=anything)
def test_the_functions_raise_only_what_is_documented(target: Any, one: Any, other: Any, timeout: Any) -> None:
    for status in TARGET.status, target:
        TARGET.allows(lambda status=status: snapshot(status))
        TARGET.allows(lambda status=status: exchange(status, one, timeout))
        TARGET.allows(lambda status=status: compare_and_set(status, one, other, timeout))
        TARGET.allows(lambda status=status: compare_and_exchange(status, one, other, timeout))
        TARGET.allows(lambda status=status: update(status, lambda _: one, timeout))
        TARGET.allows(lambda status=status: update(status, other if not callable(other) else None, timeout))


at_once = anything.filter(lambda timeout: timeout is not None and not issubclass(type(timeout), int))


@with_objects(target=anything, condition=maybe, timeout=at_once, longest=anything)
def test_wait_for_raises_only_what_is_documented(target: Any, condition: Any, timeout: Any, longest: Any) -> None:
    if callable(condition) or issubclass(type(condition), str) or type(condition).__name__ == "Hostile":
        condition = [condition]  # it may do anything when it is called or iterated
    for status in TARGET.status, target:
        with suppress(*DOCUMENTED):
            wait_for(status, condition, timeout, max_interval=longest)
        TARGET.allows(lambda status=status: wait_for(status, condition, 0))


ONE_AT_A_TIME: dict[str, Callable[[Any], object]] = {
    "IntEnumValue": IntEnumValue,
    "value": WorkerStatus,
    "lock": lambda it: WorkerStatus(IDLE, lock=it),
    "ctx": lambda it: WorkerStatus(IDLE, ctx=it),
    "set": lambda it: TARGET.status.set(it),
    "snapshot": snapshot,
    "exchange": lambda it: exchange(TARGET.status, it),
    "target": lambda it: exchange(it, IDLE),
    "expected": lambda it: compare_and_exchange(TARGET.status, it, IDLE),
    "new": lambda it: compare_and_set(TARGET.status, IDLE, it),
    "function": lambda it: update(TARGET.status, None if callable(it) else it),
    "result": lambda it: update(TARGET.status, lambda _: it),
    "timeout": lambda it: exchange(TARGET.status, IDLE, it),
    "condition": lambda it: wait_for(TARGET.status, [it], 0),
    "max_interval": lambda it: wait_for(TARGET.status, IDLE, 0, max_interval=it),
    "attribute": IntEnumAttribute,
}
if RobustRLock in SAFE_LOCKS:
    ONE_AT_A_TIME["RobustRLock"] = lambda it: RobustRLock().acquire(timeout=it)


@pytest.mark.parametrize("call", ONE_AT_A_TIME.values(), ids=ONE_AT_A_TIME)
def test_each_oddity_in_each_place_raises_only_what_is_documented(call: Callable[[Any], object]) -> None:
    for oddity in ODDITIES:
        TARGET.allows(lambda oddity=oddity: call(oddity))


@with_objects(value_type=anything, first=maybe, second=anything)
def test_the_attribute_raises_only_what_is_documented(value_type: Any, first: Any, second: Any) -> None:
    with suppress(TypeError):
        IntEnumAttribute(value_type)

    class State:
        status = IntEnumAttribute(WorkerStatus)

    state = State()
    for new in first, second:
        before = getattr(state, "status", None)
        try:
            state.status = new
        except DOCUMENTED:
            assert getattr(state, "status", None) is before
    with suppress(AttributeError, TypeError):
        State.status.proxy_of(first)


@with_objects(new=st.one_of(st.integers(-100, 100), st.sampled_from(ODDITIES[-6:]), st.none(), st.text()))
def test_an_in_place_operator_that_fails_writes_nothing(new: Any) -> None:
    for name in "iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "iand", "ior", "ixor", "irshift", "imatmul":
        TARGET.allows(lambda name=name: _zero_division_is_the_ints_own(getattr(operator, name), TARGET.status, new))


def _zero_division_is_the_ints_own(function: Any, *args: Any) -> None:
    with suppress(ZeroDivisionError):
        function(*args)


@pytest.mark.parametrize("write", TIMED_WRITERS.values(), ids=TIMED_WRITERS)
def test_a_callback_that_is_hostile_in_itself_comes_out_as_it_is(write: Any) -> None:
    class Refusing(WorkerStatus):
        def set(self, value: Any) -> None:
            super().set(CALCULATING)
            super().set(IDLE)
            raise Unforeseen

    for make in SAFE_LOCKS:
        status = Refusing(IDLE, lock=(lock := make()))
        for timeout in None, SHORT:
            with pytest.raises(Unforeseen):
                write(status, CALCULATING, timeout)
            assert is_free(lock)
            assert snapshot(status) is IDLE


@pytest.mark.parametrize("lock", SAFE_LOCKS)
@pytest.mark.parametrize("error", [Unforeseen, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_function_that_raises_leaves_the_lock_free_and_the_value_whole(lock: Any, error: type) -> None:
    status = WorkerStatus(IDLE, lock=lock())

    def function(member: WorkerStatusEnum) -> WorkerStatusEnum:
        raise error

    for timeout in None, SHORT:
        with pytest.raises(error):
            update(status, function, timeout)
        assert is_free(status.get_lock())
        assert snapshot(status) is IDLE


READS: dict[str, Callable[[Any], object]] = {
    "snapshot": snapshot,
    "name": lambda status: status.name,
    "value": lambda status: status.value,
    "an attribute": lambda status: status.real,
    "==": lambda status: status == IDLE,
    "== itself": lambda status: status == status,
    "reflected ==": lambda status: IDLE == status,  # noqa: SIM300
    "!=": lambda status: status != IDLE,
    "<": lambda status: status < 3,
    "hash": hash,
    "as a key": lambda status: {IDLE: 1}[status],
    "bool": bool,
    "int": int,
    "index": operator.index,
    "float": float,
    "repr": repr,
    "str": str,
    "format": lambda status: f"{status:d}",
    "dir": dir,
    "+": lambda status: status + 1,
    "reflected +": lambda status: 1 + status,
    "reflected -": lambda status: 1 - status,
    "-": operator.neg,
    "round": round,
    "set on another": lambda status: WorkerStatus(IDLE).set(status),
    "a new one": WorkerStatus,
    "wait_for": lambda status: wait_for(status, IDLE, SHORT),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("number", [0, 4, -1, 2**63 - 1, -(2**63)])
def test_an_integer_that_is_no_member_is_named_by_every_read(
    status: WorkerStatus, read: Callable[[Any], object], number: int
) -> None:
    status._self_view[()] = number
    with pytest.raises(ValueError, match=rf"^{number} is no member of '<enum 'WorkerStatusEnum'>'"):
        read(status)
    assert status._self_view[()] == number


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_an_integer_that_is_no_member_can_be_set_right_and_nothing_else_is_written(write: Any) -> None:
    lock = multiprocessing.Lock()
    status = WorkerStatus(IDLE, lock=lock)
    status._self_view[()] = 99
    if write in PLAIN_WRITERS:
        write(status, CALCULATING)
        assert snapshot(status) is CALCULATING
    else:  # these operations must return or use the member that they have found
        with pytest.raises(ValueError, match=r"^99 is no member"):
            write(status, CALCULATING)
        assert status._self_view[()] == 99
    assert is_free(lock)


@pytest.mark.parametrize("outcome", [None, 7, IDLE, Unforeseen, KeyError])
def test_an_integer_that_is_no_member_is_a_value_error_whatever_the_enum_does_about_it(outcome: Any) -> None:
    class Defaulting(enum.IntEnum):
        IDLE = 2

        @classmethod
        def _missing_(cls, value: object) -> Any:
            if isinstance(outcome, type):
                raise outcome
            return outcome

    status = IntEnumValue(Defaulting.IDLE)
    status._self_view[()] = 99
    with pytest.raises(ValueError, match=r"^99 is no member"):
        snapshot(status)


def test_a_flag_that_the_enum_does_not_take_is_a_value_error() -> None:
    class Strict(enum.IntFlag, **({} if not hasattr(enum, "STRICT") else {"boundary": enum.STRICT})):
        READ = 4

    status = IntEnumValue(Strict.READ)
    status._self_view[()] = 3
    if hasattr(enum, "STRICT"):
        with pytest.raises(ValueError, match=r"^3 is no member"):
            snapshot(status)
    else:  # before Python 3.11 every IntFlag accepts any integer
        assert int(snapshot(status)) == 3


def test_the_way_back_from_a_pickle_is_closed_outside_of_a_spawn() -> None:
    status = WorkerStatus(IDLE, ctx=multiprocessing.get_context("spawn"))
    with pytest.raises(RuntimeError, match="snapshot"):
        status.__reduce__()
    context.set_spawning_popen(object())  # as if a process were being started
    try:
        rebuild, arguments, *_ = status.__reduce__()
    finally:
        context.set_spawning_popen(None)
    with pytest.raises(RuntimeError, match="while that process starts"):
        rebuild(*arguments)


def test_an_overridden_set_that_is_interrupted_leaves_the_lock_free() -> None:
    class Interrupted(LoggingStatus):
        def set(self, value: Any) -> None:
            super().set(value)
            raise KeyboardInterrupt

    status = Interrupted(IDLE)
    status.log = []
    for write in WRITERS.values():
        with pytest.raises(KeyboardInterrupt):
            write(status, CALCULATING)
        assert is_free(status.get_lock())
        assert snapshot(status) is CALCULATING


def test_a_state_survives_hostile_assignments() -> None:
    state = WorkerState()
    for oddity in ODDITIES:
        with suppress(*DOCUMENTED):
            state.status = oddity
        assert type(state.status) is WorkerStatusEnum
        assert is_free(state.lock)
