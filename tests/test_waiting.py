"""wait_for: what it waits for, when it gives up, and that no other process can keep it from returning."""

from __future__ import annotations

import asyncio
import enum
import threading
from typing import Any

import pytest
from enums import FrutEnum, Perm, Permissions, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, in_a_thread

from multiprocessing_intenum import IntEnumValue, aio, changes, compare_and_set, wait_for, waiting
from multiprocessing_intenum.memory import futex

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

WOKEN, LOOKING = "woken by the kernel", "looking again and again"


@pytest.fixture(params=[WOKEN, LOOKING], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to wait. The second one is that of the platforms where the kernel cannot wake a sleeper."""
    if request.param == LOOKING:
        monkeypatch.setattr(futex, "is_available", lambda: False)
    return str(request.param)


looking = pytest.mark.parametrize("way", [LOOKING], indirect=True)


@pytest.mark.parametrize(
    "condition",
    [
        IDLE,
        "IDLE",
        WorkerStatus(IDLE),
        IntEnumValue(IDLE),
        {IDLE, CALCULATING},
        ["CALCULATING", "IDLE"],
        (UNAVAILABLE, "IDLE"),
        {"IDLE": 1}.keys(),
        {"IDLE": 1},
        WorkerStatusEnum,
        lambda member: member is IDLE,
        lambda member: [member],
    ],
)
def test_it_returns_at_once_the_member_that_meets_the_condition(status: WorkerStatus, condition: Any) -> None:
    assert wait_for(status, condition, 0) is IDLE


@pytest.mark.usefixtures("in_python")
@pytest.mark.parametrize(
    "condition",
    [CALCULATING, "CALCULATING", {CALCULATING, UNAVAILABLE}, lambda member: member is CALCULATING],
)
def test_it_waits_for_a_write_from_elsewhere(status: WorkerStatus, condition: Any) -> None:
    asleep = threading.Event()

    def sleep(sleeper: waiting.Sleeper, *how: Any) -> None:
        asleep.set()
        real_sleep(sleeper, *how)

    real_sleep = waiting.Sleeper.sleep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting.Sleeper, "sleep", sleep)
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(wait_for(status, condition, DEADLINE)))
        thread.start()
        assert asleep.wait(DEADLINE)
        status.set(CALCULATING)
        thread.join(DEADLINE)
    assert answers == [CALCULATING]


class AnyLate:
    """A condition that is met at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self, member: WorkerStatusEnum) -> bool:
        self.looks -= 1
        return self.looks <= 0


@looking
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [50e-6 * 2**n for n in range(8)] + [0.01] * 4),
        ({"max_interval": 300e-6}, [50e-6, 100e-6, 200e-6] + [300e-6] * 9),
        ({"max_interval": 20e-6}, [20e-6] * 12),
        ({"max_interval": 1}, [50e-6 * 2**n for n in range(12)]),
        ({"max_interval": float("inf")}, [50e-6 * 2**n for n in range(12)]),
        ({"max_interval": None}, [50e-6 * 2**n for n in range(12)]),
    ],
)
def test_its_sleeps_double_from_50_microseconds_to_the_cap(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch, options: dict[str, float], expected: list[float]
) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr(waiting.time, "sleep", sleeps.append)
    assert wait_for(status, AnyLate(13), **options) is IDLE
    assert sleeps == pytest.approx(expected)


@looking
def test_it_never_sleeps_past_the_deadline(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        sleeps.append(seconds)

    monkeypatch.setattr(waiting.time, "monotonic", lambda: now)
    monkeypatch.setattr(waiting.time, "sleep", sleep)
    with pytest.raises(TimeoutError):
        wait_for(status, CALCULATING, 0.0125)
    assert sum(sleeps) == pytest.approx(0.0125)


@looking
def test_it_sees_what_was_written_in_time_however_late_it_wakes(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += 3600
        status.set(CALCULATING)

    monkeypatch.setattr(waiting.time, "monotonic", lambda: now)
    monkeypatch.setattr(waiting.time, "sleep", sleep)
    assert wait_for(status, CALCULATING, 1) is CALCULATING


@looking
def test_it_looks_once_more_when_the_time_is_over(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the clock before it looks, so that it does not miss a write between the two."""
    times = iter([1000.0, 1000.0, 2000.0])

    def monotonic() -> float:
        now = next(times)
        if now == 2000.0:
            status.set(CALCULATING)
        return now

    monkeypatch.setattr(waiting.time, "monotonic", monotonic)
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: None)
    assert wait_for(status, CALCULATING, 1) is CALCULATING


def by_name(member: WorkerStatusEnum) -> bool:
    return False


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (CALCULATING, "CALCULATING"),
        ("CALCULATING", "CALCULATING"),
        ([CALCULATING, "UNAVAILABLE"], "CALCULATING or UNAVAILABLE"),
        (by_name, "by_name to be true"),
        (AnyLate(10**9), "to be true"),
    ],
)
def test_the_timeout_error_has_the_state_and_what_was_waited_for(
    status: WorkerStatus, condition: Any, wanted: str
) -> None:
    with pytest.raises(TimeoutError) as caught:
        wait_for(status, condition, timeout=SHORT)
    text = str(caught.value)
    assert text.startswith(f"waited {SHORT} s for ")
    assert wanted in text
    assert text.endswith(f", the state is {IDLE!r}")


def test_a_timeout_of_zero_only_looks(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting.Sleeper, "sleep", lambda *_: pytest.fail("it slept"))
    assert wait_for(status, IDLE, 0) is IDLE
    with pytest.raises(TimeoutError, match="waited 0 s for CALCULATING"):
        wait_for(status, CALCULATING, 0)


def test_it_takes_no_lock(status: WorkerStatus) -> None:
    with status.get_lock():  # type: ignore[attr-defined]
        assert in_a_thread(lambda: wait_for(status, IDLE, DEADLINE)) is IDLE

        def give_up() -> None:
            with pytest.raises(TimeoutError):
                wait_for(status, CALCULATING, SHORT)

        in_a_thread(give_up)


def test_it_waits_for_combinations_of_flags() -> None:
    permissions = Permissions(Perm.R | Perm.W)
    assert wait_for(permissions, Perm.R | Perm.W, 0) is Perm.R | Perm.W
    assert wait_for(permissions, lambda flags: Perm.W in flags, 0) is Perm.R | Perm.W
    assert wait_for(permissions, {Perm.X, Perm.R | Perm.W}, 0) is Perm.R | Perm.W
    with pytest.raises(TimeoutError, match="for R,"):
        wait_for(permissions, Perm.R, SHORT)
    with pytest.raises(TimeoutError, match=r"for (R\|X|<Perm.R\|X: 5>),"):  # before 3.11 the combination has no name
        wait_for(permissions, Perm.R | Perm.X, SHORT)


def test_a_member_that_is_callable_or_iterable_is_still_a_member() -> None:
    class Odd(enum.IntEnum):
        ONE = 1
        TWO = 2

        def __call__(self, member: object) -> bool:
            return True

        def __iter__(self) -> Any:
            return iter([])

    odd = IntEnumValue(Odd.ONE)
    assert wait_for(odd, Odd.ONE, 0) is Odd.ONE
    with pytest.raises(TimeoutError, match="for TWO"):
        wait_for(odd, Odd.TWO, 0)


def test_the_enum_as_a_condition_means_any_of_its_named_members() -> None:
    class Rights(enum.IntFlag):
        R = 4
        W = 2
        RW = 6
        NONE = 0

    flags = IntEnumValue(Rights.R)
    for member in Rights.__members__.values():
        flags.set(member)
        assert wait_for(flags, Rights, 0) is member

    class Bits(enum.IntFlag):
        A = 1
        B = 2

    with pytest.raises(TimeoutError, match="for A or B"):
        wait_for(IntEnumValue(Bits.A | Bits.B), Bits, 0)


@pytest.mark.parametrize(
    ("condition", "error", "text"),
    [
        (FrutEnum.APPLE, TypeError, "Can not wait for .* to be a value of type"),
        (2, TypeError, "Can not wait for .* to be a value of type"),
        (None, TypeError, "Can not wait for .* to be a value of type"),
        ("IDEL", KeyError, "no member named 'IDEL'"),
        ([IDLE, "IDEL"], KeyError, "no member named 'IDEL'"),
        ({IDLE, FrutEnum.APPLE}, TypeError, "Can not wait for .* to be a value of type"),
        (FrutEnum, TypeError, "Can not wait for .* to be a value of type"),
        ([], ValueError, "the collection of members to wait for is empty: it would never be met"),
        (set(), ValueError, "empty"),
    ],
)
def test_a_condition_that_can_not_be_met_is_an_error_at_once(
    status: WorkerStatus, condition: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        wait_for(status, condition, 0)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"timeout": -1}, ValueError, "timeout must not be negative or NaN"),
        ({"timeout": float("nan")}, ValueError, "timeout must not be negative or NaN"),
        ({"timeout": "1"}, TypeError, "timeout must be seconds"),
        ({"max_interval": 0}, ValueError, "max_interval must be a positive number of seconds, not 0"),
        ({"max_interval": -1}, ValueError, "max_interval must not be negative or NaN"),
        ({"max_interval": "1"}, TypeError, "max_interval must be seconds"),
    ],
)
def test_bad_times_are_errors(status: WorkerStatus, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        wait_for(status, IDLE, **options)


@pytest.mark.parametrize("other", [IDLE, "IDLE", None])
def test_it_waits_for_shared_values_only(other: Any) -> None:
    with pytest.raises(TypeError, match="expected an IntEnumValue"):
        wait_for(other, IDLE)


ONE_VALUE: list[Any] = [
    lambda values: wait_for(values, IDLE),
    lambda values: asyncio.run(aio.wait_for(values, IDLE)),
    changes,
    aio.changes,
    lambda values: compare_and_set(values, IDLE, CALCULATING),
]
COLLECTIONS: list[Any] = [list, tuple, set, frozenset, lambda values: dict(enumerate(values))]


@pytest.mark.parametrize("collection", [*COLLECTIONS, lambda values: dict(enumerate(values)).values()])
@pytest.mark.parametrize("function", ONE_VALUE)
def test_for_several_values_the_error_says_how_to_wait_for_any_of_them(function: Any, collection: Any) -> None:
    values = collection([WorkerStatus(IDLE), WorkerStatus("CALCULATING")])
    with pytest.raises(TypeError) as caught:
        function(values)
    assert str(caught.value) == (
        f"expected one IntEnumValue, not {type(values)} of several: give each of them by itself; to wait for any of "
        "them, make an asyncio task of multiprocessing_intenum.aio.wait_for(status, ...) for each, and give the tasks "
        "to asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)"
    )


@pytest.mark.parametrize("other", [[], [IDLE], {}, {"a": IDLE}, iter([WorkerStatus(IDLE)])])
def test_what_is_no_collection_of_shared_values_is_told_what_to_give(other: Any) -> None:
    with pytest.raises(TypeError, match="expected an IntEnumValue"):
        wait_for(other, IDLE)


def test_what_the_predicate_raises_comes_out(status: WorkerStatus) -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for(status, lambda member: 1 / 0)  # type: ignore[arg-type, return-value]


# Nothing missed


@pytest.mark.usefixtures("in_python")
def test_a_state_that_held_only_in_passing_counts_as_met(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    def come_and_go(sleeper: waiting.Sleeper, *how: Any) -> None:
        for name in ("CALCULATING", "UNAVAILABLE", "IDLE"):
            status.set(name)

    monkeypatch.setattr(waiting.Sleeper, "sleep", come_and_go)
    assert wait_for(status, UNAVAILABLE, 0.001) is UNAVAILABLE
    assert wait_for(status, {"UNAVAILABLE", "CALCULATING"}, DEADLINE) is CALCULATING


def test_what_was_before_the_call_does_not_count(status: WorkerStatus) -> None:
    status.set(CALCULATING)
    status.set(IDLE)
    with pytest.raises(TimeoutError):
        wait_for(status, CALCULATING, SHORT)


def test_a_function_sees_each_member_once_and_the_state_first(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(sleeper: waiting.Sleeper, *how: Any) -> None:
        for name in ("CALCULATING", "IDLE", "UNAVAILABLE"):
            status.set(name)

    monkeypatch.setattr(waiting.Sleeper, "sleep", write)
    seen: list[Any] = []
    assert wait_for(status, lambda member: seen.append(member) or len(seen) == 4, DEADLINE) is IDLE  # type: ignore[func-returns-value]
    assert seen == [IDLE, UNAVAILABLE, CALCULATING, IDLE]


def test_a_change_that_its_killed_writer_has_not_counted_is_seen_too(status: WorkerStatus) -> None:
    status._self_view[()] = int(CALCULATING)  # killed after the state, before the count and the wake-up
    assert wait_for(status, CALCULATING, 0) is CALCULATING


@pytest.mark.usefixtures("in_python")
def test_a_change_during_the_announcement_is_looked_at_before_the_sleep(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    announce = waiting.Sleeper.announce

    def announce_late(sleeper: waiting.Sleeper, *how: Any) -> int:
        steps.append("announce")
        status.set(UNAVAILABLE)
        return announce(sleeper, *how)

    def sleep(sleeper: waiting.Sleeper, *how: Any) -> None:
        steps.append("sleep")
        status.set(CALCULATING)

    monkeypatch.setattr(waiting.Sleeper, "announce", announce_late)
    monkeypatch.setattr(waiting.Sleeper, "sleep", sleep)
    assert wait_for(status, CALCULATING, DEADLINE) is CALCULATING
    assert steps == ["announce", "sleep"]
