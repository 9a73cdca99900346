"""After any sequence of valid and invalid writes, through any proxy of a cell, the state is what a model says."""

from __future__ import annotations

import multiprocessing
import operator
import pickle
from enum import IntEnum, IntFlag
from multiprocessing.context import set_spawning_popen
from multiprocessing.reduction import ForkingPickler
from typing import Any, ClassVar
from unittest import mock

from helpers import StartingChild
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from multiprocessing_intenum import (
    IntEnumAttribute,
    IntEnumValue,
    compare_and_exchange,
    compare_and_set,
    exchange,
    snapshot,
    update,
    wait_for,
)

SPAWN = multiprocessing.get_context("spawn")


class Light(IntEnum):
    RED = -3
    GREEN = 0
    UNIT = 1
    BLUE = 2**62
    VERT = 0


class Perm(IntFlag):
    R = 4
    W = 2
    X = 1


class Other(IntEnum):
    GREEN = 0


def sent_to_a_child(status: Any) -> Any:
    """Return what a spawned child gets: a value with its own mapping of the memory and its own handle of the lock."""
    set_spawning_popen(StartingChild())
    try:
        pickled = ForkingPickler.dumps(status)
    finally:
        set_spawning_popen(None)
    with mock.patch.object(multiprocessing.current_process(), "_inheriting", True, create=True):
        return pickle.loads(pickled)


INTS = (0, 1, 2, 7, -1, True)
BAD: tuple[Any, ...] = (
    *INTS,
    2**64,
    1.5,
    None,
    "",
    "red",
    b"RED",
    Other.GREEN,
    object(),
    Light,
    IntEnumValue(Other.GREEN),
)
IN_PLACE = (
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, operator.ipow,
    operator.ilshift, operator.irshift, operator.iand, operator.ior, operator.ixor, operator.imatmul,
)  # fmt: skip
EXPLOSIVE = (operator.ipow, operator.ilshift)

proxies = st.integers(0, 2)


def model(operation: Any, *operands: Any) -> Any:
    """Return the result, or the type of the error."""
    try:
        return operation(*operands)
    except Exception as error:
        return type(error)


class Writes(RuleBasedStateMachine):
    enum_type: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        enum_type = self.enum_type

        class Holder:
            attribute: IntEnumAttribute[Any] = IntEnumAttribute(IntEnumValue[enum_type])

        self.lock = SPAWN.Lock()  # not re-entrant, so that it shows if an error leaves it held
        self.member = next(iter(enum_type))
        status = IntEnumValue(self.member, lock=self.lock)
        self.holder = Holder()
        self.holder.attribute = status
        self.proxies: list[Any] = [status, Holder.attribute.proxy_of(self.holder), sent_to_a_child(status)]
        self.another: Any = IntEnumValue(self.member)

    def argument(self, data: st.DataObject) -> Any:
        members = list(self.enum_type.__members__.values())
        kinds = [
            st.sampled_from(members),
            st.sampled_from(list(self.enum_type.__members__)),
            st.sampled_from(members).map(self.set_another),
            st.sampled_from([*self.proxies, *BAD]),
        ]
        return data.draw(st.one_of(kinds))

    def set_another(self, member: Any) -> Any:
        self.another.set(member)
        return self.another

    def meaning(self, argument: Any) -> Any:
        """Return the member that an argument stands for, or the type of the error."""
        if issubclass(type(argument), IntEnumValue):
            argument = snapshot(argument)
        if type(argument) is self.enum_type:
            return argument if -(2**63) <= int(argument) < 2**63 else OverflowError
        if isinstance(argument, str):
            return self.enum_type.__members__.get(argument, KeyError)
        return TypeError

    def check(self, meaning: Any, operation: Any, *arguments: Any) -> Any:
        """Run the operation. If `meaning` is an error type, it must raise that error, else it is the new member."""
        result = model(operation, *arguments)
        if isinstance(meaning, type):
            assert result is meaning, (result, meaning)
        else:
            self.member = meaning
        return result

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.member = data.draw(st.sampled_from(list(self.enum_type)))
        self.proxies[0].set(self.member)

    @rule(i=proxies, data=st.data())
    def set(self, i: int, data: st.DataObject) -> None:
        argument = self.argument(data)
        self.check(self.meaning(argument), self.proxies[i].set, argument)

    @rule(i=proxies, data=st.data())
    def assign_value(self, i: int, data: st.DataObject) -> None:
        argument = self.argument(data)
        self.check(self.meaning(argument), setattr, self.proxies[i], "value", argument)

    @rule(data=st.data())
    def assign_attribute(self, data: st.DataObject) -> None:
        argument = self.argument(data)
        self.check(self.meaning(argument), setattr, self.holder, "attribute", argument)

    @rule(i=proxies, name=st.sampled_from(["name", "vaule", "real", "_value_"]), data=st.data())
    def assign_another_attribute(self, i: int, name: str, data: st.DataObject) -> None:
        self.check(AttributeError, setattr, self.proxies[i], name, self.argument(data))

    @rule(i=proxies, data=st.data())
    def exchange(self, i: int, data: st.DataObject) -> None:
        argument, before = self.argument(data), self.member
        meaning = self.meaning(argument)
        result = self.check(meaning, exchange, self.proxies[i], argument)
        assert result is (meaning if isinstance(meaning, type) else before)

    @rule(i=proxies, data=st.data(), compare=st.sampled_from([compare_and_set, compare_and_exchange]))
    def compare(self, i: int, data: st.DataObject, compare: Any) -> None:
        expected, new, found = self.argument(data), self.argument(data), self.member
        meant, meaning = self.meaning(expected), self.meaning(new)
        error = next((one for one in (meant, meaning) if isinstance(one, type)), None)
        hit = meant is found
        result = self.check(error or (meaning if hit else found), compare, self.proxies[i], expected, new)
        if error is None:
            assert result is (hit if compare is compare_and_set else found)

    @rule(i=proxies, data=st.data())
    def update(self, i: int, data: st.DataObject) -> None:
        argument, given = self.argument(data), []
        meaning, before = self.meaning(argument), self.member
        result = self.check(meaning, update, self.proxies[i], lambda member: (given.append(member), argument)[1])
        assert given == [before]
        assert result is meaning

    @rule(i=proxies, error=st.sampled_from([ValueError, LookupError, ZeroDivisionError]))
    def update_that_fails(self, i: int, error: type[Exception]) -> None:
        def function(member: Any) -> Any:
            raise error

        self.check(error, update, self.proxies[i], function)

    @rule(i=proxies, data=st.data(), operation=st.sampled_from(IN_PLACE))
    def in_place(self, i: int, data: st.DataObject, operation: Any) -> None:
        small = [*INTS, *self.proxies, *self.enum_type] if int(max(self.enum_type)) < 8 else INTS
        operand = data.draw(st.sampled_from(INTS)) if operation in EXPLOSIVE else self.argument(data)
        if operation not in EXPLOSIVE and data.draw(st.booleans()):
            operand = data.draw(st.sampled_from(small))
        real = snapshot(operand) if issubclass(type(operand), IntEnumValue) else operand
        meaning = model(operation, self.member, real)
        if not (isinstance(meaning, type) and issubclass(meaning, Exception)):
            meaning = self.meaning(meaning) if type(meaning) is self.enum_type else TypeError
        result = self.check(meaning, operation, self.proxies[i], operand)
        assert result is (meaning if isinstance(meaning, type) else self.proxies[i])

    @rule(i=proxies)
    def wait_for_it(self, i: int) -> None:
        assert wait_for(self.proxies[i], self.member, timeout=0) is self.member

    @invariant()
    def all_are_the_member(self) -> None:
        for status in self.proxies:
            assert snapshot(status) is self.member
            assert (status, status.name, status.value) == (self.member, self.member.name, self.member.value)
            assert (hash(status), repr(status)) == (hash(self.member), repr(self.member))
        assert self.holder.attribute is self.member

    @invariant()
    def the_lock_is_free(self) -> None:
        assert self.lock.acquire(block=False)
        self.lock.release()


class EnumWrites(Writes):
    enum_type = Light


class FlagWrites(Writes):
    enum_type = Perm


limits = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestEnumWrites = EnumWrites.TestCase
TestEnumWrites.settings = limits
TestFlagWrites = FlagWrites.TestCase
TestFlagWrites.settings = limits
