"""Every writer: what it takes, returns, writes and refuses, and that it goes through an overridden set()."""

from __future__ import annotations

import enum
import itertools
import multiprocessing
import operator
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from enums import FrutEnum, LoggingStatus, Perm, Permissions, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, HAVE_PATHS, WRITERS, Holder, is_free

from multiprocessing_intenum import (
    IntEnumValue,
    SharedFile,
    compare_and_exchange,
    compare_and_set,
    exchange,
    last_change,
    snapshot,
    update,
)
from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.cell import Cell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum
PAIRS = list(itertools.product(WorkerStatusEnum, repeat=2))
FORMS: dict[str, Any] = {"member": lambda member: member, "name": lambda member: member.name, "value": WorkerStatus}
"""The three ways to give a member."""

FUNCTIONS: dict[str, Any] = {
    "exchange": lambda status: exchange(status, "IDLE"),
    "compare_and_set": lambda status: compare_and_set(status, "IDLE", "IDLE"),
    "compare_and_exchange": lambda status: compare_and_exchange(status, "IDLE", "IDLE"),
    "update": lambda status: update(status, lambda member: member),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("new", [CALCULATING, "CALCULATING", WorkerStatus(CALCULATING), IntEnumValue(CALCULATING)])
def test_every_writer_takes_a_member_a_name_and_another_shared_value(
    status: WorkerStatus, write: Any, new: Any
) -> None:
    write(status, new)
    assert snapshot(status) is CALCULATING
    assert is_free(status.get_lock())


@pytest.mark.parametrize(("before", "new"), PAIRS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_exchange_returns_the_member_before(before: WorkerStatusEnum, new: WorkerStatusEnum, form: Any) -> None:
    status = WorkerStatus(before)
    assert exchange(status, form(new)) is before
    assert snapshot(status) is new


@pytest.mark.parametrize(("before", "expected"), PAIRS)
@pytest.mark.parametrize("new", WorkerStatusEnum)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_compare_and_set_writes_if_and_only_if_the_value_is_expected(
    before: WorkerStatusEnum, expected: WorkerStatusEnum, new: WorkerStatusEnum, form: Any
) -> None:
    status = WorkerStatus(before)
    assert compare_and_set(status, form(expected), form(new)) is (before is expected)
    assert snapshot(status) is (new if before is expected else before)


@pytest.mark.parametrize(("before", "expected"), PAIRS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_compare_and_exchange_returns_the_member_found(
    before: WorkerStatusEnum, expected: WorkerStatusEnum, form: Any
) -> None:
    status = WorkerStatus(before)
    assert compare_and_exchange(status, form(expected), form(CALCULATING)) is before
    assert snapshot(status) is (CALCULATING if before is expected else before)


@pytest.mark.parametrize("before", WorkerStatusEnum)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_update_sets_what_the_function_makes_of_the_member_and_returns_it(before: WorkerStatusEnum, form: Any) -> None:
    def after(member: WorkerStatusEnum) -> WorkerStatusEnum:
        return WorkerStatusEnum(member % 3 + 1)

    status = WorkerStatus(before)
    assert update(status, lambda member: form(after(member))) is after(before)
    assert snapshot(status) is after(before)


def test_update_gives_the_function_a_real_member(status: WorkerStatus) -> None:
    seen: list[WorkerStatusEnum] = []

    def function(member: WorkerStatusEnum) -> str:
        seen.append(member)
        return "CALCULATING"

    assert update(status, function) is CALCULATING
    assert seen == [IDLE]
    assert seen[0] is IDLE


def test_members_are_compared_by_identity_whatever_the_enum_says_of_equality() -> None:
    class Blurred(IntEnumValue[WorkerStatusEnum]):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = IntEnumValue.__hash__

    status = Blurred(IDLE)
    assert not compare_and_set(status, CALCULATING, UNAVAILABLE)
    assert snapshot(status) is IDLE


# An overridden set, and in-place operators


def test_every_write_goes_through_an_overridden_set() -> None:
    status = LoggingStatus(IDLE)
    status.log = []
    for write in WRITERS.values():
        for name in ("CALCULATING", "IDLE"):
            write(status, name)
            assert status.log == [name]
            status.log.clear()


def test_a_write_that_does_not_happen_is_not_seen_by_an_overridden_set() -> None:
    status = LoggingStatus(IDLE)
    status.log = []
    assert not compare_and_set(status, CALCULATING, UNAVAILABLE)
    assert compare_and_exchange(status, CALCULATING, UNAVAILABLE) is IDLE
    assert status.log == []


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


# What is refused


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("target", [IDLE, "IDLE", 2, None, WorkerState, object()])
def test_a_target_that_is_no_shared_value_is_a_type_error(function: Any, target: Any) -> None:
    with pytest.raises(TypeError) as caught:
        function(target)
    assert str(caught.value).startswith(f"expected an IntEnumValue, not {type(target)}: a member or an attribute's")


def test_an_attributes_member_is_no_target_and_the_error_says_what_is() -> None:
    state = WorkerState()
    with pytest.raises(
        TypeError, match=r"for an IntEnumAttribute or EnumAttribute give Class.attribute.proxy_of\(instance\)"
    ):
        compare_and_set(state.status, IDLE, CALCULATING)  # type: ignore[arg-type]
    assert compare_and_set(WorkerState.status.proxy_of(state), IDLE, CALCULATING)


@pytest.mark.parametrize("compare", [compare_and_set, compare_and_exchange])
@pytest.mark.parametrize(
    ("wrong", "error"), [(FrutEnum.APPLE, TypeError), (2, TypeError), (None, TypeError), ("IDEL", KeyError)], ids=repr
)
def test_an_expected_value_that_is_no_member_is_an_error_and_nothing_is_written(
    status: WorkerStatus, compare: Any, wrong: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        compare(status, wrong, CALCULATING)
    assert snapshot(status) is IDLE
    assert is_free(status.get_lock())


@pytest.mark.parametrize("compare", [compare_and_set, compare_and_exchange])
def test_a_wrong_new_value_is_an_error_even_where_it_would_not_be_written(status: WorkerStatus, compare: Any) -> None:
    with pytest.raises(TypeError, match="Can not set"):
        compare(status, CALCULATING, FrutEnum.APPLE)
    assert snapshot(status) is IDLE


@pytest.mark.parametrize("function", [None, 1, "IDLE", IDLE])
def test_update_needs_a_function(status: WorkerStatus, function: Any) -> None:
    with pytest.raises(TypeError, match=f"expected a function from member to member, not {type(function)}"):
        update(status, function)
    assert snapshot(status) is IDLE


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit, TimeoutError])
def test_what_the_function_of_update_raises_comes_out_with_the_lock_free_and_nothing_written(
    status: WorkerStatus, error: type[BaseException]
) -> None:
    def fail(member: WorkerStatusEnum) -> WorkerStatusEnum:
        raise error

    with pytest.raises(error):
        update(status, fail)
    assert snapshot(status) is IDLE
    assert is_free(status.get_lock())


def test_the_function_of_update_holds_the_lock_and_may_write_itself(status: WorkerStatus) -> None:
    def function(member: WorkerStatusEnum) -> WorkerStatusEnum:
        assert not is_free(status.get_lock())
        for write in WRITERS.values():
            write(status, UNAVAILABLE)
            assert snapshot(status) is UNAVAILABLE
        assert not is_free(status.get_lock())
        return CALCULATING

    assert update(status, function) is CALCULATING
    assert is_free(status.get_lock())


@pytest.mark.parametrize(
    ("timeout", "error", "text"),
    [
        (-1, ValueError, "timeout must not be negative or NaN, but is -1.0"),
        (-0.5, ValueError, "but is -0.5: give seconds, or None for no limit"),
        (float("nan"), ValueError, "but is nan"),
        (float("-inf"), ValueError, "but is -inf"),
        (-(10**400), ValueError, "but is -inf"),
        ("1", TypeError, "timeout must be seconds as int or float, or None for no limit, not <class 'str'>"),
        (1j, TypeError, "not <class 'complex'>"),
        (IntEnumValue(IDLE), TypeError, "timeout must be seconds"),
    ],
)
def test_a_timeout_that_is_no_number_of_seconds_is_an_error_and_nothing_is_written(
    status: WorkerStatus, timeout: Any, error: type[Exception], text: str
) -> None:
    calls: list[Any] = [
        lambda: exchange(status, CALCULATING, timeout),
        lambda: compare_and_set(status, IDLE, CALCULATING, timeout),
        lambda: compare_and_exchange(status, IDLE, CALCULATING, timeout),
        lambda: update(status, lambda _: CALCULATING, timeout),
    ]
    for call in calls:
        with pytest.raises(error, match=text):
            call()
        assert snapshot(status) is IDLE
        assert is_free(status.get_lock())


@pytest.mark.parametrize("timeout", [None, 0, 0.0, 1, 2.5, True, float("inf"), 10**400, 1e300, Perm.R])
def test_a_timeout_may_be_none_or_any_number_of_seconds(status: WorkerStatus, timeout: Any) -> None:
    assert exchange(status, CALCULATING, timeout) is IDLE
    assert exchange(status, IDLE, timeout=timeout) is CALCULATING


# Many threads


def test_no_update_of_many_threads_is_lost() -> None:
    permissions = Permissions(Perm(0))

    def flip(bit: Perm) -> None:
        mine = permissions
        for _ in range(301):
            mine ^= bit

    threads = [threading.Thread(target=flip, args=(bit,)) for bit in Perm]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert snapshot(permissions) is Perm.R | Perm.W | Perm.X


def test_of_many_threads_exactly_one_wins_a_compare_and_set(status: WorkerStatus) -> None:
    for _ in range(20):
        status.set(IDLE)
        barrier = threading.Barrier(6)
        wins: list[bool] = []

        def claim(barrier: threading.Barrier = barrier, wins: list[bool] = wins) -> None:
            barrier.wait()
            wins.append(compare_and_set(status, IDLE, CALCULATING))

        threads = [threading.Thread(target=claim) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(wins) == [False] * 5 + [True]


# A shared value that is given as what to set


class Announced:
    """A lock that says when somebody wants it."""

    def __init__(self, lock: Any) -> None:
        self.lock, self.is_wanted = lock, threading.Event()

    def acquire(self, *args: Any, **options: Any) -> Any:
        self.is_wanted.set()
        return self.lock.acquire(*args, **options)

    def release(self) -> None:
        self.lock.release()


COPIERS: dict[str, Callable[[Any, Any], object]] = {
    **WRITERS,
    "compare_and_set": lambda status, new: compare_and_set(status, CALCULATING, new),
    "compare_and_exchange": lambda status, new: compare_and_exchange(status, CALCULATING, new),
    "attribute that has it already": lambda status, new: setattr(HOLDERS[id(status)], "status", new),
}
HOLDERS: dict[int, Any] = {}
"""By the `id()` of a value, an object that has it as an attribute: it was assigned before anybody else wrote."""


def in_memory_again(status: Any) -> Any:
    """Return another value on the same memory, as a child has that was sent one twice."""
    cell = status._self_cell
    other = type(status)(snapshot(status))
    other._attach(Cell(cell.members, memoryview(cell._block), cell.lock, cell.rules))
    return other


@pytest.fixture(params=["itself", "in memory", *["by path", "by path, read-only"] * HAVE_PATHS])
def two_of_one(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a value, another one that shares its state, and an event that says that a writer wants the lock."""
    if request.param.startswith("by path"):
        is_wanted = threading.Event()
        acquire = FileLock.acquire

        def announce(self: Any, *args: Any, **options: Any) -> bool:
            is_wanted.set()
            return acquire(self, *args, **options)

        monkeypatch.setattr(FileLock, "acquire", announce)
        status: Any = WorkerStatus(IDLE, at=tmp_path / "status")
        file = SharedFile(tmp_path / "status", readonly=request.param.endswith("read-only"))
        return status, WorkerStatus(at=file), is_wanted
    lock = Announced(multiprocessing.RLock())
    status = WorkerStatus(IDLE, lock=lock)
    return status, status if request.param == "itself" else in_memory_again(status), lock.is_wanted


@pytest.mark.parametrize("copy", COPIERS.values(), ids=COPIERS)
def test_a_value_that_is_set_to_itself_undoes_no_write_that_came_meanwhile(two_of_one: Any, copy: Any) -> None:
    status, other, is_wanted = two_of_one
    HOLDERS[id(status)] = Holder(status)
    copier = threading.Thread(target=copy, args=(status, other), daemon=True)
    try:
        with status.get_lock() if hasattr(status.get_lock(), "__enter__") else status.get_lock().lock:
            is_wanted.clear()
            copier.start()
            while copier.is_alive() and not is_wanted.wait(0.001):
                pass
            status.set(CALCULATING)  # whoever holds the lock claims it
        copier.join(DEADLINE)
        assert not copier.is_alive()
        assert snapshot(status) is CALCULATING
        assert last_change(status).number == 1
    finally:
        HOLDERS.clear()


@pytest.mark.parametrize("copy", COPIERS.values(), ids=COPIERS)
def test_another_value_counts_with_the_member_that_it_has_when_the_lock_is_free(copy: Any) -> None:
    lock = Announced(multiprocessing.RLock())
    status, other = WorkerStatus(CALCULATING, lock=lock), WorkerStatus(IDLE)
    HOLDERS[id(status)] = Holder(status)
    copier = threading.Thread(target=copy, args=(status, other), daemon=True)
    try:
        with lock.lock:
            copier.start()
            assert lock.is_wanted.wait(DEADLINE)
            other.set(UNAVAILABLE)
        copier.join(DEADLINE)
        assert snapshot(status) is UNAVAILABLE
    finally:
        HOLDERS.clear()


def test_an_expected_value_counts_with_the_member_that_it_has_when_the_lock_is_free() -> None:
    lock = Announced(multiprocessing.RLock())
    status, other = WorkerStatus(CALCULATING, lock=lock), WorkerStatus(IDLE)
    found: list[Any] = []
    claimer = threading.Thread(target=lambda: found.append(compare_and_set(status, other, IDLE)), daemon=True)
    with lock.lock:
        claimer.start()
        assert lock.is_wanted.wait(DEADLINE)
        other.set(CALCULATING)
    claimer.join(DEADLINE)
    assert found == [True]


if HAVE_PATHS:

    @pytest.mark.parametrize(
        "copy", [lambda status, new: status.set(new), lambda status, new: setattr(status, "value", new)]
    )
    def test_a_value_can_be_set_to_itself_by_who_may_only_read(tmp_path: Path, copy: Any) -> None:
        kept = WorkerStatus(IDLE, at=tmp_path / "status")
        status = WorkerStatus(at=SharedFile(tmp_path / "status", readonly=True))
        copy(status, WorkerStatus(at=SharedFile(tmp_path / "status", readonly=True)))
        with pytest.raises(PermissionError):
            copy(status, kept)
        assert kept == IDLE

    def test_a_value_of_another_enum_on_the_same_memory_is_still_refused(tmp_path: Path) -> None:
        again = enum.IntEnum("WorkerStatusEnum", [(member.name, member.value) for member in WorkerStatusEnum])
        status = WorkerStatus(IDLE, at=tmp_path / "status")
        other: Any = IntEnumValue[again](at=tmp_path / "status")  # type: ignore[valid-type]
        with pytest.raises(TypeError, match="Can not set"):
            status.set(other)
        assert other == status == IDLE


def test_an_in_place_operator_uses_the_member_that_another_value_has_when_the_lock_is_free() -> None:
    lock = Announced(multiprocessing.RLock())
    flags = Permissions(Perm.R | Perm.W, lock=lock)
    mask = in_memory_again(flags)

    def keep_its_own() -> None:
        nonlocal flags
        flags |= mask

    writer = threading.Thread(target=keep_its_own, daemon=True)
    with lock.lock:
        writer.start()
        assert lock.is_wanted.wait(DEADLINE)
        mask.set(Perm.X)
    writer.join(DEADLINE)
    assert snapshot(flags) is Perm.X
