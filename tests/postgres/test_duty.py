"""Which process has the duty to follow a record: the steps of the follower, without its thread and without a server."""

from __future__ import annotations

import errno
import json
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import in_a_thread

from multiprocessing_intenum.by_path.mirror import Duty, Question, now
from multiprocessing_intenum.enums.members import members_of
from multiprocessing_intenum.enums.schema import description_of_enum
from multiprocessing_intenum.postgres import follower
from multiprocessing_intenum.postgres.follower import SILENCE, TENURE, TICK, _Followed, _Follower
from multiprocessing_intenum.postgres.table import Found, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING

TABLE = Table({"host": "nowhere"}, "mode", members_of(WorkerStatusEnum), create=False)

FIRST, SECOND = 1, 2
"""What two processes call themselves."""


class Clock:
    """A clock that stands until it is set. Threads that follow records of other tests have the real one."""

    def __init__(self) -> None:
        self.moment = 1_000.0
        self._thread = threading.get_ident()

    def monotonic(self) -> float:
        return self.moment if threading.get_ident() == self._thread else time.monotonic()

    def sleep(self, seconds: float) -> None:
        if threading.get_ident() == self._thread:
            self.moment += seconds
        else:
            time.sleep(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(follower, "time", clock)
    return clock


@pytest.fixture
def status(tmp_path: Path) -> WorkerStatus:
    """The mirror. As long as it is there, its file is open."""
    return WorkerStatus(IDLE, at=tmp_path / "mirror")


@pytest.fixture
def a_process(status: WorkerStatus) -> Callable[[], _Followed]:
    """Return a function that returns the record as another process has it open."""
    return lambda: _Followed(status.get_lock(), TABLE)  # type: ignore[arg-type]


def look(record: _Followed, token: int, times: int = 1, records: int = 1, *, is_connected: bool = False) -> None:
    for _ in range(times):
        assert record.tick(token, records, is_connected=is_connected)


def found(member: WorkerStatusEnum, version: int = 1) -> dict[str, Found]:
    """Return what the database has of the record."""
    enum = json.dumps(description_of_enum(members_of(WorkerStatusEnum))).encode()
    columns = [enum, b"%d" % member, b"%d" % version, b"[[%d, %d, 1.0, 7]]" % (version, member), None]
    return {"mode": Found(0, columns)}


def test_the_second_process_leaves_the_duty_to_the_first(a_process: Callable[[], _Followed], clock: Clock) -> None:
    first, second = a_process(), a_process()
    look(first, FIRST)
    assert first.is_mine
    for _ in range(20):
        look(first, FIRST)
        look(second, SECOND)
    assert (first.is_mine, second.is_mine, second.is_wanted) == (True, False, False)
    assert first.mirror.duty.token == FIRST


def test_a_process_that_sees_that_another_one_has_its_duty_steps_back(
    a_process: Callable[[], _Followed], clock: Clock
) -> None:
    first, second = a_process(), a_process()
    look(first, FIRST)
    assert first.is_mine
    assert first._has_right
    second.mirror.duty = Duty(SECOND, 1, SILENCE, 5)  # which has more records open, and follows them all
    clock.moment += TICK
    look(first, FIRST)
    assert not first.is_mine
    assert not first._has_right
    assert not first._has_lost  # it has not been stopped: it may want the duty again
    assert first.mirror.duty == (SECOND, 1, SILENCE, 5)
    assert second._right.acquire(block=False)  # the kernel's lock is free for the other one


def test_a_process_that_was_stopped_meanwhile_steps_back_for_good(
    a_process: Callable[[], _Followed], clock: Clock
) -> None:
    first, second = a_process(), a_process()
    look(first, FIRST, records=2)
    look(second, SECOND, int(SILENCE / TICK) + 2)  # the first one gives no sign of life
    assert second.is_mine
    clock.moment += SILENCE + 1
    look(first, FIRST, records=2)
    assert not first.is_mine
    for _ in range(20):
        look(second, SECOND)
        look(first, FIRST, records=2)
    assert not first.is_wanted  # though it has more records open
    assert second._has_right


def test_a_process_stands_in_for_one_that_gives_no_sign_of_life(
    a_process: Callable[[], _Followed], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = a_process(), a_process()
    look(first, FIRST)
    looks = int(SILENCE / TICK) + 1  # the first of them sees the last sign of life
    look(second, SECOND, looks)
    assert not second.is_mine
    look(second, SECOND)
    assert second.is_mine
    assert not second._has_right  # the stopped process keeps the kernel's lock
    assert second.mirror.duty.token == SECOND
    first.mirror.duty = Duty(FIRST, 1, SILENCE, 5)
    look(second, SECOND)
    assert not second.is_mine
    assert not second._right.acquire(block=False)
    (said,) = caplog.messages
    assert said.startswith("the process that follows the record 'mode' on this machine has given no sign of life")


def test_a_process_stands_in_for_a_duty_that_was_handed_back_though_its_lock_was_not(
    a_process: Callable[[], _Followed], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """As if the other process had been stopped in between. Nobody is blamed: the duty says that nobody has it."""
    first, second = a_process(), a_process()
    look(first, FIRST)
    first.mirror.duty = Duty(0, 9, 1, 0)
    look(second, SECOND, int(1 / TICK) + 1)
    assert not second.is_mine
    look(second, SECOND)
    assert second.is_mine
    assert not second._has_right
    assert not caplog.messages


def test_a_process_that_can_not_follow_gives_the_duty_back_after_its_tenure(
    a_process: Callable[[], _Followed], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = a_process(), a_process()
    look(first, FIRST)
    first.fail(ConnectionError("no way"))
    assert first.is_mine
    clock.moment += TENURE
    first.fail(ConnectionError())
    assert first.is_mine
    clock.moment += 0.1
    first.fail(ConnectionError("no way"))
    assert not first.is_mine
    assert first.mirror.duty.token == 0
    look(first, FIRST)
    look(second, SECOND, 2)  # it is there before the first one tries again
    assert (first.is_mine, second.is_mine, second._has_right) == (False, True, True)
    first.fail(ConnectionError("no way"))  # of a connection that it was about to make
    assert second.mirror.duty.token == SECOND
    assert [each.rpartition(": ")[2] for each in caplog.messages] == ["no way", "ConnectionError()", "no way"]


def test_alone_a_process_takes_the_duty_that_it_has_given_back_again(
    a_process: Callable[[], _Followed], clock: Clock
) -> None:
    first = a_process()
    look(first, FIRST)
    clock.moment += TENURE + 1
    first.fail(ConnectionError("no way"))
    look(first, FIRST, 4)
    assert not first.is_mine
    look(first, FIRST)
    assert first.is_mine


def test_the_process_with_more_records_takes_over_once_it_has_read_them(
    a_process: Callable[[], _Followed], clock: Clock, status: WorkerStatus
) -> None:
    first, second = a_process(), a_process()
    look(first, FIRST)
    look(second, SECOND, records=2)
    assert (second.is_wanted, second.is_mine) == (True, False)
    assert first.mirror.duty.token == FIRST
    second.catch_up(found(CALCULATING), second.mirror.asking())
    assert (second.is_wanted, second.is_mine) == (False, True)
    assert status == CALCULATING
    look(first, FIRST)
    assert not first.is_mine
    look(second, SECOND, records=2)
    assert second._has_right


def test_a_process_with_more_records_that_can_not_read_them_leaves_the_duty_where_it_is(
    a_process: Callable[[], _Followed], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = a_process(), a_process()
    look(first, FIRST)
    look(second, SECOND, records=2)
    second.fail(ConnectionError("no way"))
    assert not second.is_wanted
    look(second, SECOND, records=2)
    assert (second.is_wanted, second.is_mine) == (False, False)
    assert not caplog.messages  # the record is followed


@pytest.mark.parametrize("is_connected", [True, False])
@pytest.mark.parametrize("token", [FIRST, SECOND + 1])
def test_of_two_with_as_many_records_that_are_both_connected_one_takes_over(
    a_process: Callable[[], _Followed], clock: Clock, token: int, *, is_connected: bool
) -> None:
    one, other = a_process(), a_process()
    look(one, SECOND, records=300)  # more than are counted
    look(other, token, records=400, is_connected=is_connected)
    assert other.is_wanted is (is_connected and token > SECOND)


def test_a_failure_is_over_when_another_process_can_follow(
    a_process: Callable[[], _Followed], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first, second = a_process(), a_process()
    look(first, FIRST)
    look(second, SECOND)
    second.fail(ConnectionError("no way"))
    look(second, SECOND)
    assert len(caplog.messages) == 1
    first.catch_up(found(CALCULATING), first.mirror.asking())
    look(second, SECOND)
    assert caplog.messages[1:] == ["the record 'mode' is followed again"]


def test_a_right_that_the_kernel_does_not_give_keeps_no_process_from_following(
    a_process: Callable[[], _Followed], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = a_process()
    look(first, FIRST)
    first._has_right = False

    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(type(first._right), "acquire", refuse)
    beat = first.mirror.duty.beat
    look(first, FIRST)
    assert first.is_mine
    assert first.mirror.duty.beat == beat + 1


def test_a_row_is_not_stored_while_the_mirror_is_locked_and_only_the_first_wait_is_long(
    a_process: Callable[[], _Followed], status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, lock = a_process(), status.get_lock()
    timeouts: list[float] = []
    acquire = type(lock).acquire

    def noted(self: Any, block: bool = True, timeout: float | None = None) -> bool:
        if timeout is not None:
            timeouts.append(timeout)
        return bool(acquire(self, block, timeout))

    monkeypatch.setattr(type(lock), "acquire", noted)
    with lock:  # type: ignore[attr-defined]
        for _ in range(2):
            in_a_thread(lambda: first.catch_up(found(CALCULATING), first.mirror.asking()))
        assert status == IDLE
        assert "another process holds the lock of the mirror" in first._failure
    first.catch_up(found(CALCULATING), first.mirror.asking())
    assert (status, first._failure) == (CALCULATING, "")
    first.catch_up(found(IDLE, 2), first.mirror.asking())
    assert timeouts == [0.1, 0, 0, 0.1]


def test_a_row_that_was_asked_for_long_ago_is_not_stored(
    a_process: Callable[[], _Followed], status: WorkerStatus
) -> None:
    first = a_process()
    first.catch_up(found(CALCULATING), Question(0, now() - int(SILENCE * 1e9)))
    assert status == IDLE
    assert not first.is_mine
    first.catch_up(found(CALCULATING), Question(0, now()))
    assert status == CALCULATING
    assert first.is_mine


def test_a_record_that_was_closed_is_left_with_its_duty(tmp_path: Path, clock: Clock) -> None:
    status = WorkerStatus(IDLE, at=tmp_path / "mirror")
    first, second = (_Followed(status.get_lock(), TABLE) for _ in range(2))  # type: ignore[arg-type]
    look(first, FIRST)
    row, asked = found(CALCULATING), first.mirror.asking()
    del status
    first.catch_up(row, asked)  # it was asked for before
    assert first.mirror.words.state[()] == int(IDLE)
    assert first._failure == ""
    assert first.tick(FIRST, 1, is_connected=True) is False
    assert not first.is_mine
    assert second._right.acquire(block=False)
    second._right.release()


# The thread


def test_a_record_that_is_opened_after_the_last_look_is_followed_by_the_thread_that_was_about_to_end(
    a_process: Callable[[], _Followed], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = _Follower({"host": "nowhere"})
    key = frozenset(thread.parameters.items())
    starting = follower._starting

    class OpenedJustBefore:
        """The lock that another thread was faster to take, which has opened a record."""

        def __enter__(self) -> None:
            thread.records.append(a_process())
            starting.__enter__()

        def __exit__(self, *_: object) -> None:
            starting.__exit__(None, None, None)

    monkeypatch.setattr(follower, "_followers", {key: thread})
    with monkeypatch.context() as patch:
        patch.setattr(follower, "_starting", OpenedJustBefore())
        assert thread._tick()
    assert follower._followers == {key: thread}
    thread.records.clear()
    assert not thread._tick()
    assert follower._followers == {}


def test_a_thread_forgets_a_record_that_was_closed(tmp_path: Path, clock: Clock) -> None:
    values = [WorkerStatus(IDLE, at=tmp_path / name) for name in ("closed", "open")]
    thread = _Follower({"host": "nowhere"})
    thread.records = [_Followed(each.get_lock(), TABLE) for each in values]  # type: ignore[arg-type]
    kept = thread.records[1]
    assert thread._tick()
    del values[0]
    assert thread._tick()
    assert thread.records == thread._at_work == [kept]


def test_an_error_while_it_looks_who_follows_is_noted(
    a_process: Callable[[], _Followed], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = a_process()

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no way")

    with monkeypatch.context() as patch:
        patch.setattr(record, "_look", refuse)
        look(record, FIRST)
    assert not record.is_mine
    assert len(caplog.messages) == 1
    look(record, FIRST)
    assert record.is_mine


def test_a_thread_that_ends_leaves_its_successor_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a child whose parent was just ending its thread: the child has started another one."""
    before, after = _Follower({"host": "nowhere"}), _Follower({"host": "nowhere"})
    followers = {frozenset(after.parameters.items()): after}
    monkeypatch.setattr(follower, "_followers", followers.copy())
    assert not before._tick()
    assert follower._followers == followers


def test_a_failure_is_none_of_a_record_that_was_given_up_since_the_last_look(
    a_process: Callable[[], _Followed],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    thread = _Follower({"host": "nowhere"})
    given_up, followed, wanted = thread.records = [a_process() for _ in range(3)]
    ticks: list[float] = []

    def tick() -> bool:
        ticks.append(clock.moment)
        thread._at_work = thread.records
        return len(ticks) < 2

    def fail(until: float) -> None:
        assert until == clock.moment + TICK
        followed._take()
        wanted.is_wanted = True
        monkeypatch.setattr(thread, "_step", wait)
        raise ConnectionError("no way")

    def wait(until: float) -> None:
        assert clock.moment < thread._look_at < clock.moment + TICK  # it tries again, but not at once
        clock.moment = until

    monkeypatch.setattr(thread, "_tick", tick)
    monkeypatch.setattr(thread, "_step", fail)
    thread.run()
    assert ticks == [1_000.0, 1_000.0 + TICK]
    assert (given_up._failure, followed._failure, wanted._failure) == ("", "no way", "")
    assert (given_up._has_lost, followed._has_lost, wanted._has_lost) == (False, False, True)
    assert caplog.messages == ["the record 'mode' is not followed at the moment: no way"]


class Connected:
    """A session that a thread has, or makes."""

    def __init__(self, *given: Any) -> None:
        self.given, self.is_closed, self.until, self.is_notified = given, False, 0.0, False

    def notified(self, until: float) -> bool:
        self.until = until
        return self.is_notified

    def close(self) -> None:
        self.is_closed = True


def test_a_thread_has_a_session_only_while_it_has_something_to_follow(
    a_process: Callable[[], _Followed], clock: Clock
) -> None:
    thread = _Follower({"host": "nowhere"})
    thread.records.append(a_process())
    other, session = a_process(), cast("Any", Connected())
    look(other, FIRST, records=7)
    thread._look_at = clock.moment + 1
    assert thread._tick()
    assert (thread._at_work, thread._look_at) == ([], clock.moment + 1)
    other.leave()
    thread._session = session
    assert thread._tick()
    assert thread._at_work == thread.records
    assert thread._look_at == 0.0  # at once: there is something new
    assert not session.is_closed
    thread.records[0].mirror.duty = Duty(thread._token + 1, 0, SILENCE, 7)
    assert thread._tick()
    assert thread._at_work == []
    assert (session.is_closed, thread._session) == (True, None)


def test_a_thread_that_waits_after_a_failure_waits_on_when_it_has_more_to_follow(
    a_process: Callable[[], _Followed], clock: Clock
) -> None:
    thread = _Follower({"host": "nowhere"})
    thread.records.append(a_process())
    thread._pause, thread._look_at = 4.0, clock.moment + 4
    assert thread._tick()
    assert thread._at_work == thread.records
    assert thread._look_at == clock.moment + 4


def test_a_thread_waits_for_a_notification_until_it_has_to_look(
    a_process: Callable[[], _Followed], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = _Follower({"host": "nowhere"})
    session: Any = Connected()
    thread._session, thread._at_work = session, [a_process()]
    looks: list[float] = []
    monkeypatch.setattr(thread, "_look", lambda: looks.append(clock.moment))
    look_at = thread._look_at = clock.moment + 0.3
    thread._step(clock.moment + TICK)
    assert (thread._look_at, session.until) == (look_at, look_at)
    thread._step(clock.moment + 0.2)
    assert session.until == clock.moment + 0.2
    session.is_notified = True
    thread._step(clock.moment + TICK)
    assert thread._look_at == 0.0
    assert looks == []
    thread._step(clock.moment + TICK)
    assert looks == [clock.moment]


def test_a_thread_without_a_session_sleeps_until_it_has_to_do_something(
    a_process: Callable[[], _Followed], clock: Clock
) -> None:
    thread = _Follower({"host": "nowhere"})
    start = clock.moment
    thread._step(start + TICK)
    assert clock.moment == start + TICK
    thread._at_work, thread._look_at = [a_process()], clock.moment + 0.25
    thread._step(clock.moment + TICK)
    assert clock.moment == start + TICK + 0.25


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [
        ({"host": "one"}, 5),
        ({"host": "one,two,three"}, 15),
        ({"hostaddr": "10.0.0.1,10.0.0.2", "connect_timeout": "7"}, 14),
        ({"host": "one", "connect_timeout": "600"}, 60),
        ({"host": "one", "connect_timeout": "-1"}, 5),
    ],
)
def test_a_process_that_connects_says_for_how_long_it_may_be_silent_but_of_its_own_records_only(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str], seconds: int
) -> None:
    values = [WorkerStatus(IDLE, at=tmp_path / name) for name in ("mine", "wanted")]
    mine, wanted = (_Followed(each.get_lock(), TABLE) for each in values)  # type: ignore[arg-type]
    look(mine, FIRST)
    wanted.is_wanted = True
    wanted.mirror.duty = Duty(SECOND, 3, SILENCE, 1)
    monkeypatch.setattr(follower, "Session", Connected)
    thread = _Follower(parameters)
    thread._at_work = [mine, wanted]
    session: Any = thread._connected()
    assert session is thread._session
    assert session.given == ({"connect_timeout": "5"} | parameters, clock.moment + seconds)
    assert mine.mirror.duty.silence == seconds + 1
    assert wanted.mirror.duty == (SECOND, 3, SILENCE, 1)


def test_a_value_that_is_opened_twice_is_followed_once(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    monkeypatch.setattr(follower, "_followers", {})
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self))
    for _ in range(2):
        follower.follow(status.get_lock(), TABLE)  # type: ignore[arg-type]
    (thread,) = follower._followers.values()
    assert [each.file() for each in thread.records] == [status.get_lock()]
    assert len(started) == 1


def test_a_child_follows_only_what_is_still_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [WorkerStatus(IDLE, at=tmp_path / name) for name in ("closed", "open")]
    started: list[threading.Thread] = []
    monkeypatch.setattr(follower, "_followers", {})
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self))
    for value in values:
        follower.follow(value.get_lock(), TABLE)  # type: ignore[arg-type]
    (before,) = follower._followers.values()
    del value, values[0]
    follower._follow_in_child()
    (after,) = follower._followers.values()
    assert after is not before
    assert [each.file() for each in after.records] == [values[0].get_lock()]
    assert len(started) == 2
