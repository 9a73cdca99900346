"""IntEnumAttribute: a shared value behind a plain attribute."""

from __future__ import annotations

import copy
import enum
import json
import multiprocessing
import threading
from typing import Any

import pytest
from enums import FrutEnum, LoggingStatus, Perm, Permissions, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, in_a_thread, is_free, run

from multiprocessing_intenum import IntEnumAttribute, IntEnumValue, compare_and_set, exchange, snapshot, update

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


class Empty:
    status = IntEnumAttribute(WorkerStatus)


class Plain:
    status = IntEnumAttribute(WorkerStatus)

    def __init__(self, status: Any = IDLE) -> None:
        self.status = status


def test_reading_gives_the_member() -> None:
    state = Plain()
    assert state.status is IDLE
    assert json.dumps(state.status) == "2"
    match state.status:
        case WorkerStatusEnum.IDLE:
            pass
        case _:
            pytest.fail("no match")


@pytest.mark.parametrize("new", [CALCULATING, "CALCULATING", WorkerStatus(CALCULATING), IntEnumValue(CALCULATING)])
def test_assigning_writes(new: Any) -> None:
    state = Plain()
    live = Plain.status.proxy_of(state)
    state.status = new
    assert state.status is CALCULATING
    assert snapshot(live) is CALCULATING
    assert Plain.status.proxy_of(state) is live
    state.status = "IDLE"
    assert new in (CALCULATING, "CALCULATING")  # the assigned value itself is not written to


@pytest.mark.parametrize("first", [IDLE, "IDLE"])
def test_the_first_assignment_makes_the_shared_value(first: Any) -> None:
    live = Plain.status.proxy_of(Plain(first))
    assert type(live) is WorkerStatus
    assert snapshot(live) is IDLE


def test_the_first_assignment_adopts_a_shared_value_of_its_class() -> None:
    lock = multiprocessing.Lock()
    first = WorkerStatus(IDLE, lock=lock)
    state = Plain(first)
    assert Plain.status.proxy_of(state) is first
    assert Plain.status.proxy_of(state).get_lock() is lock
    first.set(CALCULATING)
    assert state.status is CALCULATING


def test_it_adopts_a_value_of_a_subclass_of_its_class_too() -> None:
    class Chatty(WorkerStatus):
        pass

    first = Chatty(IDLE)
    assert Plain.status.proxy_of(Plain(first)) is first


@pytest.mark.parametrize("first", [IntEnumValue(IDLE), LoggingStatus(IDLE), IntEnumValue(FrutEnum.APPLE)])
def test_it_does_not_adopt_a_shared_value_of_another_class(first: Any) -> None:
    with pytest.raises(TypeError, match=r"can not adopt a .* as Plain.status: expected a WorkerStatus, or a member"):
        Plain(first)


@pytest.mark.parametrize(
    ("first", "error"), [(FrutEnum.APPLE, TypeError), (2, TypeError), (None, TypeError), ("IDEL", KeyError)]
)
def test_what_is_no_member_can_not_be_the_first(first: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Plain(first)


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (FrutEnum.APPLE, TypeError),
        (2, TypeError),
        (None, TypeError),
        ("IDEL", KeyError),
        (IntEnumValue(FrutEnum.APPLE), TypeError),
    ],
)
def test_what_is_no_member_can_not_be_assigned_and_the_value_stays(new: Any, error: type[Exception]) -> None:
    state = Plain()
    with pytest.raises(error):
        state.status = new
    assert state.status is IDLE
    assert is_free(Plain.status.proxy_of(state).get_lock())


def test_assignment_goes_through_an_overridden_set() -> None:
    class Logged:
        status = IntEnumAttribute(LoggingStatus)

    state = Logged()
    state.status = LoggingStatus(IDLE)  # type: ignore[assignment]
    log = Logged.status.proxy_of(state).log = []
    state.status = CALCULATING
    assert log == ["CALCULATING"]


def test_instances_have_states_of_their_own() -> None:
    one, two = Plain(), Plain()
    one.status = "CALCULATING"
    assert two.status is IDLE


def test_a_class_may_have_several_and_its_subclasses_have_them_too() -> None:
    class Two(Plain):
        permissions = IntEnumAttribute(Permissions)

        def __init__(self) -> None:
            super().__init__()
            self.permissions = Perm.R

    two = Two()
    two.status = "CALCULATING"
    assert (two.status, two.permissions) == (CALCULATING, Perm.R)
    update(Two.permissions.proxy_of(two), lambda flags: flags | Perm.W)
    assert two.permissions is Perm.R | Perm.W
    assert exchange(Two.status.proxy_of(two), IDLE) is CALCULATING


def test_the_class_gives_the_descriptor() -> None:
    assert isinstance(Plain.status, IntEnumAttribute)
    assert Plain.status is vars(Plain)["status"]


@pytest.mark.parametrize("read", [lambda state: state.status, Plain.status.proxy_of])
def test_reading_before_the_first_assignment_says_what_is_missing(read: Any) -> None:
    state = Plain.__new__(Plain)
    with pytest.raises(AttributeError) as caught:
        read(state)
    assert str(caught.value) == (
        "'Plain' object has no shared 'status' yet: assign it in __init__, before the processes that share it start"
    )
    assert not hasattr(state, "status")


def test_it_can_not_be_deleted_and_stays() -> None:
    state = Plain()
    with pytest.raises(AttributeError, match="can not delete 'status' of a Plain: other processes may share it"):
        del state.status
    assert state.status is IDLE


def test_one_that_no_class_body_has_named_says_so() -> None:
    class Late:
        pass

    Late.status = IntEnumAttribute(WorkerStatus)  # type: ignore[attr-defined]
    uses: list[Any] = [
        lambda late: late.status,
        lambda late: setattr(late, "status", IDLE),
        lambda late: Late.status.proxy_of(late),  # type: ignore[attr-defined]
    ]
    for use in uses:
        with pytest.raises(TypeError, match="an EnumAttribute gets its name from the body of its class"):
            use(Late())


def test_one_can_not_have_two_names() -> None:
    attribute = IntEnumAttribute(WorkerStatus)
    attribute.__set_name__(Plain, "status")
    attribute.__set_name__(type("Another", (), {}), "status")
    with pytest.raises(TypeError, match=r"this EnumAttribute is already 'status': make .* Plain\.state"):
        attribute.__set_name__(Plain, "state")
    assert attribute._name == "status"


@pytest.mark.parametrize("found", [IDLE, "IDLE", WorkerStatus(IDLE), None])
def test_what_was_put_into_the_dict_behind_its_back_is_refused_and_stays(found: Any) -> None:
    state = Plain()
    state.__dict__["status"] = found
    uses: list[Any] = [
        lambda: state.status,
        lambda: Plain.status.proxy_of(state),
        lambda: setattr(state, "status", CALCULATING),
    ]
    for use in uses:
        with pytest.raises(TypeError, match=r"'Plain' object has a \w+ in its __dict__ where 'status' keeps"):
            use()
    assert state.__dict__["status"] is found


def test_the_dict_of_an_instance_shows_and_compares_as_the_member() -> None:
    assert repr(vars(Plain())) == repr({"status": IDLE})
    assert vars(Plain()) == {"status": IDLE}
    assert hash(frozenset(vars(Plain()).items())) == hash(frozenset({"status": IDLE}.items()))


def test_objects_that_compare_by_their_dict_are_equal_when_their_states_are() -> None:
    class Job(Plain):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Job) and vars(self) == vars(other)

        def __hash__(self) -> int:
            return hash(frozenset(vars(self).items()))

    one, two = Job(IDLE), Job("IDLE")
    assert (one == two, hash(one) == hash(two)) == (True, True)
    two.status = CALCULATING
    assert (one == two, hash(one) == hash(two)) == (False, False)


@pytest.mark.usefixtures("restless")
def test_of_threads_that_assign_for_the_first_time_at_once_none_loses_its_write() -> None:
    barrier = threading.Barrier(2)

    def assign(state: Empty, name: str, seen: list[Any]) -> None:
        barrier.wait(DEADLINE)
        state.status = name
        seen.append(Empty.status.proxy_of(state))

    for _ in range(200):
        state, seen = Empty(), list[Any]()
        threads = [threading.Thread(target=assign, args=(state, name, seen)) for name in ("CALCULATING", "UNAVAILABLE")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert seen[0] is seen[1] is Empty.status.proxy_of(state)


def test_a_first_assignment_that_is_overtaken_writes_to_the_value_of_the_faster_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = Empty()
    attribute: Any = vars(Empty)["status"]
    first = type(attribute)._first

    def overtaken(self: Any, *given: Any) -> Any:
        monkeypatch.undo()
        in_a_thread(lambda: setattr(state, "status", "CALCULATING"))
        faster.append(Empty.status.proxy_of(state))
        return first(self, *given)

    faster: list[Any] = []
    monkeypatch.setattr(type(attribute), "_first", overtaken)
    state.status = "UNAVAILABLE"
    assert Empty.status.proxy_of(state) is faster[0]
    assert state.status is WorkerStatusEnum.UNAVAILABLE


def test_a_first_assignment_that_fails_tells_of_nothing_else() -> None:
    with pytest.raises(TypeError) as caught:
        Plain(2)
    assert caught.value.__context__ is None


# Copies


class Noting(IntEnumValue[WorkerStatusEnum]):
    """A subclass with its own __init__, attributes and set()."""

    notes: list[str]

    def __init__(self, value: Any, notes: list[str], lock: Any = None) -> None:
        self.notes = notes
        super().__init__(value, lock)

    def set(self, value: Any) -> None:
        super().set(value)
        self.notes.append(self.name)


def test_a_deep_copy_has_a_state_of_its_own_of_the_same_kind_at_once() -> None:
    class Noted:
        status = IntEnumAttribute(IntEnumValue)

    lock = multiprocessing.Lock()
    state = Noted()
    state.status = Noting(CALCULATING, [], lock)
    other = copy.deepcopy(state)
    live, its = Noted.status.proxy_of(state), Noted.status.proxy_of(other)
    assert (type(its), its.get_lock(), other.status) == (Noting, lock, CALCULATING)
    other.status = IDLE
    state.status = "UNAVAILABLE"
    assert (live.notes, its.notes) == (["UNAVAILABLE"], ["IDLE"])
    with pytest.raises(TypeError):
        other.status = FrutEnum.APPLE


def test_what_is_one_value_in_an_object_is_one_in_its_deep_copy() -> None:
    class Twice:
        one = IntEnumAttribute(WorkerStatus)
        two = IntEnumAttribute(WorkerStatus)

    state = Twice()
    state.one = state.two = WorkerStatus(IDLE)  # type: ignore[assignment]
    state.bare = Twice.one.proxy_of(state)  # type: ignore[attr-defined]
    other = copy.deepcopy(state)
    assert type(other.bare) is WorkerStatusEnum  # type: ignore[attr-defined]
    other.one = "CALCULATING"
    assert (other.two, state.two) == (CALCULATING, IDLE)


def test_a_deep_copy_is_shared_with_the_child_that_writes_to_it_first(ctx: Any) -> None:
    other = copy.deepcopy(Sent(ctx))
    run(ctx, calculate, other)
    assert other.status is CALCULATING


class Sent:
    status = IntEnumAttribute(WorkerStatus)

    def __init__(self, ctx: Any) -> None:
        self.status = WorkerStatus(IDLE, ctx=ctx)  # type: ignore[assignment]


def calculate(state: Sent) -> None:
    state.status = CALCULATING


def test_an_instance_without_a_dict_can_not_have_one() -> None:
    class Slotted:
        __slots__ = ()
        status = IntEnumAttribute(WorkerStatus)

    slotted = Slotted()
    uses: list[Any] = [
        lambda: slotted.status,
        lambda: Slotted.status.proxy_of(slotted),
        lambda: setattr(slotted, "status", IDLE),
    ]
    for use in uses:
        with pytest.raises(TypeError, match=r"'Slotted' objects have no __dict__ to keep a shared 'status' in: add"):
            use()


def test_an_object_of_another_class_does_not_have_it() -> None:
    with pytest.raises(TypeError, match="'object' objects lack the attribute 'status': give one with it"):
        WorkerState.status.proxy_of(object())


@pytest.mark.parametrize("value_type", [int, WorkerStatusEnum, IDLE, WorkerStatus(IDLE), "WorkerStatus", None])
def test_it_is_declared_with_a_class_of_shared_values(value_type: Any) -> None:
    with pytest.raises(TypeError, match="expected a subclass of IntEnumValue or EnumValue, such as"):
        IntEnumAttribute(value_type)


def test_it_can_be_declared_with_the_class_itself_or_one_that_indexing_made() -> None:
    class Any_:  # noqa: N801
        any = IntEnumAttribute(IntEnumValue)
        fruit = IntEnumAttribute(IntEnumValue[FrutEnum])

    thing = Any_()
    thing.any = IDLE
    thing.fruit = "ORANGE"
    assert (thing.any, thing.fruit) == (IDLE, FrutEnum.ORANGE)
    with pytest.raises(TypeError):
        thing.any = FrutEnum.APPLE


def test_the_parts_of_a_state_share_their_lock() -> None:
    state = WorkerState()
    live = WorkerState.status.proxy_of(state)
    assert live.get_lock() is state.lock
    assert state.job_id.get_lock() is state.lock
    with state.lock:
        assert compare_and_set(live, IDLE, CALCULATING)
        state.job_id.value = 7
        state.status = IDLE
        assert not is_free(state.lock)
    assert is_free(state.lock)


def test_an_in_place_operator_on_the_attribute_reads_then_writes() -> None:
    class Guarded:
        permissions = IntEnumAttribute(Permissions)

    thing = Guarded()
    thing.permissions = Perm.R
    thing.permissions |= Perm.W
    assert thing.permissions is Perm.R | Perm.W


def test_it_does_not_get_in_the_way_of_other_descriptors_and_enums() -> None:
    class Outer:
        class Mode(enum.IntEnum):
            OFF = 0
            ON = 1

        mode = IntEnumAttribute(IntEnumValue[Mode])

        @property
        def on(self) -> bool:
            return self.mode is Outer.Mode.ON

    outer = Outer()
    outer.mode = "ON"
    assert outer.on
