"""What other libraries find on a shared value and an attribute. tests/compat tests the libraries themselves."""
# ruff: noqa: RUF009 - in a dataclass the call makes a descriptor, not a default that instances share

import copy
import dataclasses
import enum
import sqlite3
import sys
from contextlib import closing

import pytest
from enums import FrutEnum, Paint, Priority, PriorityValue, Tool, WorkerStatus, WorkerStatusEnum

from multiprocessing_intenum import EnumAttribute, EnumValue, IntEnumAttribute, IntEnumValue, compare_and_set, snapshot


def bound_by_sqlite(value):
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute("SELECT ?, typeof(?)", (value, value)).fetchone()


class Adapted(enum.IntEnum):
    """An enum with an adapter for sqlite3, which is registered below."""

    A = 1


class Conforming(enum.IntEnum):
    """An enum with its own `__conform__`, which answers sqlite3 and other callers."""

    A = 1

    def __conform__(self, protocol):
        return "conformed" if protocol is sqlite3.PrepareProtocol else protocol


class AdaptedPlain(enum.Enum):
    A = [1]  # noqa: RUF012


class ConformingPlain(enum.Enum):
    A = [1]  # noqa: RUF012

    def __conform__(self, protocol):
        return f"conformed {self.name}" if protocol is sqlite3.PrepareProtocol else protocol


sqlite3.register_adapter(AdaptedPlain, lambda member: f"adapted {member.name}")
sqlite3.register_adapter(Adapted, lambda member: f"adapted {member.name}")


@pytest.mark.parametrize("member", [WorkerStatusEnum.IDLE, Adapted.A, Conforming.A])
def test_sqlite_binds_what_it_binds_for_the_member(member):
    status = IntEnumValue(member)
    assert bound_by_sqlite(status) == bound_by_sqlite(member)


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (Priority.LOW, ("low", "text")),
        (AdaptedPlain.A, ("adapted A", "text")),
        (ConformingPlain.A, ("conformed A", "text")),
    ],
)
def test_sqlite_binds_what_it_binds_for_a_member_that_is_no_int(member, expected):
    assert bound_by_sqlite(EnumValue(member)) == bound_by_sqlite(member) == expected


@pytest.mark.parametrize("member", [Tool.LIST, Tool.NOTHING, Paint.RED])
def test_sqlite_refuses_what_it_refuses_for_the_member(member):
    errors = []
    for value in (member, EnumValue(member)):
        with pytest.raises(sqlite3.Error) as caught:
            bound_by_sqlite(value)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


def test_sqlite_binds_the_member_of_that_moment(status):
    status.set("CALCULATING")
    assert bound_by_sqlite(status) == (WorkerStatusEnum.CALCULATING, "integer")


def test_conform_answers_no_other_library_than_the_member_does(status, monkeypatch):
    another = object()
    assert status.__conform__(another) is None
    assert IntEnumValue(Conforming.A).__conform__(another) is Conforming.A.__conform__(another)
    monkeypatch.delitem(sys.modules, "sqlite3")
    assert status.__conform__(sqlite3.PrepareProtocol) is None


def test_an_instance_shows_the_members_pydantic_hook_and_no_other(status):
    assert not hasattr(status, "__get_pydantic_core_schema__")

    class Hooked(enum.IntEnum):
        A = 1

        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            return "the enum's own"

    assert IntEnumValue(Hooked.A).__get_pydantic_core_schema__(None, None) == "the enum's own"


def test_the_pydantic_schema_takes_the_shared_value_and_dumps_the_member(status):
    class Handler:
        def generate_schema(self, source):
            return f"the schema of {source.__name__}"

    schema = WorkerStatus.__get_pydantic_core_schema__(WorkerStatus, Handler())
    serialization = schema.pop("serialization")
    assert schema == {"type": "is-instance", "cls": WorkerStatus}
    function = serialization.pop("function")
    assert serialization == {"type": "function-plain", "return_schema": "the schema of WorkerStatusEnum"}
    assert function(status) is snapshot(status)
    assert function(copy.copy(status)) is snapshot(status)


@pytest.mark.parametrize("member", [Priority.LOW, Tool.LOCK, Paint.RED | Paint.LIME])
def test_the_pydantic_schema_of_any_enum_dumps_the_member(member):
    class Handler:
        def generate_schema(self, source):
            return source

    bound = EnumValue[type(member)]
    schema = bound.__get_pydantic_core_schema__(bound, Handler())
    assert (schema["type"], schema["cls"], schema["serialization"]["return_schema"]) == (
        "is-instance",
        bound,
        type(member),
    )
    assert schema["serialization"]["function"](EnumValue(member)) is member
    assert schema["serialization"]["function"](member) is member


@dataclasses.dataclass
class Ticket:
    """A dataclass with attributes of enums that are no ints."""

    priority: EnumAttribute[PriorityValue] = EnumAttribute(PriorityValue, default="LOW")
    tool: EnumAttribute[EnumValue[Tool]] = EnumAttribute(EnumValue[Tool], default=Tool.NOTHING)


def test_a_dataclass_field_has_a_state_of_any_enum():
    first, second = Ticket(), Ticket("HIGH", Tool.LIST)
    assert (first.priority, first.tool) == (Priority.LOW, Tool.NOTHING)
    assert (second.priority, second.tool) == (Priority.HIGH, Tool.LIST)
    assert repr(second) == f"Ticket(priority={Priority.HIGH!r}, tool={Tool.LIST!r})"
    assert dataclasses.asdict(second) == {"priority": Priority.HIGH, "tool": Tool.LIST}
    second.priority, second.tool = "LOW", "NOTHING"
    assert first == second


@dataclasses.dataclass
class State:
    job_id: int
    status: IntEnumAttribute[WorkerStatus] = IntEnumAttribute(WorkerStatus, default=WorkerStatusEnum.IDLE)


@dataclasses.dataclass
class StateWithoutDefault:
    status: IntEnumAttribute[WorkerStatus] = IntEnumAttribute(WorkerStatus)


@dataclasses.dataclass(frozen=True)
class FrozenState:
    status: IntEnumAttribute[WorkerStatus] = dataclasses.field(
        default=IntEnumAttribute(WorkerStatus, default="IDLE"), repr=False
    )


def test_a_dataclass_field_begins_with_its_default_or_with_what_it_is_given():
    assert State(1).status is WorkerStatusEnum.IDLE
    assert State(1, "CALCULATING").status is WorkerStatusEnum.CALCULATING
    assert State(1, status=WorkerStatusEnum.UNAVAILABLE).status is WorkerStatusEnum.UNAVAILABLE
    assert StateWithoutDefault("IDLE").status is WorkerStatusEnum.IDLE


def test_a_dataclass_field_adopts_a_shared_value(status):
    assert State.status.proxy_of(State(1, status)) is status


def test_each_instance_of_a_dataclass_has_a_state_of_its_own():
    first, second = State(1), State(1)
    assert first == second
    assert compare_and_set(State.status.proxy_of(first), "IDLE", "CALCULATING")
    assert (first.status, second.status) == (WorkerStatusEnum.CALCULATING, WorkerStatusEnum.IDLE)
    assert first != second


def test_what_dataclasses_makes_of_an_instance_has_the_member():
    state = State(7, "CALCULATING")
    assert repr(state) == f"State(job_id=7, status={WorkerStatusEnum.CALCULATING!r})"
    assert dataclasses.asdict(state)["status"] is WorkerStatusEnum.CALCULATING
    assert dataclasses.astuple(state) == (7, WorkerStatusEnum.CALCULATING)
    replaced = dataclasses.replace(state, job_id=8)
    state.status = "IDLE"
    assert replaced == State(8, WorkerStatusEnum.CALCULATING)


def test_a_field_of_a_frozen_dataclass_is_written_through_its_shared_value():
    state = FrozenState()
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.status = "CALCULATING"
    FrozenState.status.proxy_of(state).set("CALCULATING")
    assert state.status is WorkerStatusEnum.CALCULATING


def test_a_dataclass_field_without_default_must_be_given():
    with pytest.raises(
        TypeError, match=r"StateWithoutDefault\(\) needs a value for 'status': the field has no default"
    ):
        StateWithoutDefault()


@pytest.mark.parametrize(("default", "error"), [("IDEL", KeyError), (FrutEnum.APPLE, TypeError), (2, TypeError)])
def test_a_default_that_is_no_member_is_refused_when_the_class_is_made(default, error):
    with pytest.raises(error):
        IntEnumAttribute(WorkerStatus, default=default)


def test_a_default_is_a_member_though_given_as_a_shared_value(status):
    attribute = IntEnumAttribute(WorkerStatus, default=status)

    @dataclasses.dataclass
    class Copied:
        status: IntEnumAttribute[WorkerStatus] = attribute

    status.set("CALCULATING")
    assert Copied().status is WorkerStatusEnum.IDLE
    assert Copied.status.proxy_of(Copied()) is not status


def test_a_default_does_for_a_class_that_is_bound_by_its_first_member():
    @dataclasses.dataclass
    class Unbound:
        status: IntEnumAttribute[IntEnumValue] = IntEnumAttribute(IntEnumValue, default=WorkerStatusEnum.IDLE)

    assert Unbound().status is WorkerStatusEnum.IDLE


def test_slots_without_a_dict_leave_no_place_and_the_error_says_what_to_do():
    @dataclasses.dataclass(slots=True)
    class Slotted:
        status = IntEnumAttribute(WorkerStatus)

    with pytest.raises(TypeError, match=r"add '__dict__' to the __slots__ .* slots=False"):
        Slotted().status = "IDLE"
    with pytest.raises(TypeError, match=r"slots=False"):
        Slotted().status  # noqa: B018


def test_a_copy_shares_the_state_and_a_deep_copy_has_a_state_of_its_own_with_the_same_member():
    state = State(1, "CALCULATING")
    shallow, deep, written = copy.copy(state), copy.deepcopy(state), copy.deepcopy(state)
    written.status = "UNAVAILABLE"
    state.status = "IDLE"
    assert shallow.status is WorkerStatusEnum.IDLE
    assert deep.status is WorkerStatusEnum.CALCULATING
    assert written.status is WorkerStatusEnum.UNAVAILABLE
    assert compare_and_set(State.status.proxy_of(deep), "CALCULATING", "UNAVAILABLE")
    assert (deep.status, state.status) == (WorkerStatusEnum.UNAVAILABLE, WorkerStatusEnum.IDLE)
