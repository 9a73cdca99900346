"""Values by path across a new beginning, and across a file that was removed, replaced or moved away."""

from __future__ import annotations

import asyncio
import csv
import os
import pickle
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from enums import LoggingStatus, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, WRITERS, Child, Holder, in_a_thread, is_free
from looks import is_like
from path_targets import ends_being_used, strangers
from versions import New, OldValue

from multiprocessing_intenum import (
    SharedFile,
    UnknownMemberError,
    aio,
    changes,
    exchange,
    history,
    last_change,
    snapshot,
    update,
    value_at,
    wait_for,
    waiting,
)
from multiprocessing_intenum.memory import window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

GONE = "the file was removed or replaced, so this process uses another value than those that open this path now"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "status")


class Service:
    """Another process that uses the value, and is started again and again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.made: list[tuple[int, str | None, str]] = []
        """Each change as number, name before, and name after."""
        self._runs = strangers(1)
        (self.process,) = self._runs.__enter__()

    def starts(self, name: str = "IDLE", kind: str = "WorkerStatus") -> None:
        self.process.ask("from versions import *")
        assert self.process.ask(f"status = {kind}({name!r}, at={self.path!r})") == "None"
        self.made.append((0, None, name))

    def sets(self, *names: str) -> None:
        for name in names:
            assert self.process.ask(f"status.set({name!r})") == "None"
            number, _, before = self.made[-1]
            self.made.append((number + 1, before, name))

    def makes_changes(self, count: int) -> None:
        for _ in range(count):
            self.sets("CALCULATING" if self.made[-1][2] == "IDLE" else "IDLE")

    def stops(self) -> None:
        """End it, so that nobody uses the value."""
        self._runs.__exit__(None, None, None)
        with suppress(FileNotFoundError):
            ends_being_used(self.path)
        self._runs = strangers(1)
        (self.process,) = self._runs.__enter__()

    def end(self) -> None:
        self._runs.__exit__(None, None, None)


@pytest.fixture
def service(path: str) -> Iterator[Service]:
    found = Service(path)
    yield found
    found.end()


def reader_of(path: str, kind: Any = WorkerStatus) -> Any:
    return kind(at=SharedFile(path, readonly=True))


class Follower:
    """A consumer of the changes, in Python or in a coroutine."""

    def __init__(self, status: Any, way: str) -> None:
        self._is_async = way == "aio"
        self._feed: Any = (aio.changes if self._is_async else changes)(status, timeout=0)

    def all_now(self) -> list[tuple[int, str | None, str]]:
        """Return the changes that are left."""
        found = asyncio.run(self._all()) if self._is_async else list(self._feed)
        return [(each.number, each.before and each.before.name, each.after.name) for each in found]

    async def _all(self) -> list[Any]:
        return [each async for each in self._feed]


@pytest.fixture(params=["changes", "aio"])
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


# Across a new beginning


@pytest.mark.parametrize("behind", range(17))
def test_a_consumer_gets_each_change_across_a_restart_however_far_behind_it_is(
    path: str, service: Service, way: str, behind: int
) -> None:
    service.starts()
    service.sets("CALCULATING")
    reader = reader_of(path)
    follower = Follower(reader, way)
    service.sets("UNAVAILABLE")
    assert follower.all_now() == service.made[-1:]
    begin = len(service.made)
    service.makes_changes(max(behind - 1, 0))
    if behind:
        service.stops()
        service.starts("IDLE")
    assert len(service.made) - begin == behind
    assert follower.all_now() == service.made[begin:]
    service.makes_changes(3)
    assert follower.all_now() == service.made[-3:]


@pytest.mark.parametrize("first", range(0, 14, 2))
def test_several_restarts_lose_nothing_either(path: str, service: Service, way: str, first: int) -> None:
    service.starts()
    follower = Follower(reader_of(path), way)
    begin = len(service.made)
    service.makes_changes(first)
    service.stops()
    service.starts("UNAVAILABLE")
    service.makes_changes(13 - first)
    service.stops()
    service.starts("CALCULATING")
    service.stops()
    service.starts("CALCULATING")  # the state that it has
    assert len(service.made) - begin == 16
    assert follower.all_now() == service.made[begin:]
    assert [(each.number, each.after) for each in history(reader_of(path))] == [(0, CALCULATING)]


def test_a_consumer_that_follows_all_the_while_gets_each_change_of_many_restarts(
    path: str, service: Service, way: str
) -> None:
    service.starts()
    follower = Follower(reader_of(path), way)
    seen: list[Any] = []
    for number in range(5):
        service.makes_changes(number)
        seen += follower.all_now()
        service.makes_changes(2)
        service.stops()
        service.starts()
    assert seen + follower.all_now() == service.made[1:]


def test_who_is_further_behind_gets_the_last_ones_numbered_as_they_were(path: str, service: Service, way: str) -> None:
    service.starts()
    follower = Follower(reader_of(path), way)
    service.makes_changes(5)
    service.stops()
    service.starts()
    service.makes_changes(60)
    found = follower.all_now()
    assert len(found) >= 16
    assert found == service.made[-len(found) :]
    assert found[0][0] > 6  # the gap shows
    service.stops()
    service.starts()
    service.makes_changes(20)
    found = follower.all_now()
    assert found == service.made[-len(found) :]
    assert found == service.made[-21:]


def test_the_last_word_of_a_killed_writer_comes_before_the_new_beginning(path: str, way: str) -> None:
    """It has stored the state, and not counted the change yet."""
    with strangers(1) as (writer,):
        writer.ask(f"status = WorkerStatus('IDLE', at={path!r})")
        follower = Follower(reader_of(path), way)
        writer.ask("words = status._self_cell.words")
        writer.ask("words._write_entry(int(WorkerStatusEnum.CALCULATING), 1)")
        writer.ask("words.state[()] = int(WorkerStatusEnum.CALCULATING)")
    ends_being_used(path)
    status = WorkerStatus(UNAVAILABLE, at=path)
    assert follower.all_now() == [(1, "IDLE", "CALCULATING"), (0, None, "UNAVAILABLE")]
    status.set(IDLE)
    assert follower.all_now() == [(1, "UNAVAILABLE", "IDLE")]


@pytest.mark.parametrize("wait", [wait_for, lambda *given: asyncio.run(aio.wait_for(*given))], ids=["blocks", "aio"])
def test_a_wait_sees_a_state_that_held_before_the_restart(
    path: str, service: Service, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.starts()
    reader = reader_of(path)

    def restart(*_: object) -> None:
        monkeypatch.undo()
        service.sets("UNAVAILABLE")
        service.stops()
        service.starts()

    async def restart_in_a_loop(*_: object) -> None:
        restart()

    monkeypatch.setattr(waiting.Sleeper, "sleep", restart)
    monkeypatch.setattr(aio, "_change_since", restart_in_a_loop)
    assert wait(reader, "UNAVAILABLE", DEADLINE) is UNAVAILABLE
    assert reader == IDLE


def test_a_new_beginning_wakes_those_that_sleep(path: str, service: Service) -> None:
    service.starts()
    service.process.ask("status._self_cell.words.sleepers.announce((1,), 0)")  # it may be killed while it waits
    service.stops()
    status = WorkerStatus(CALCULATING, at=path)
    assert not any(status._self_cell.words.sleepers.flags)  # nobody was there


def test_the_first_change_of_a_value_has_number_0_and_nothing_before(path: str, service: Service) -> None:
    service.starts("CALCULATING")
    service.stops()
    service.starts("IDLE")
    reader = reader_of(path)
    change = last_change(reader)
    assert (change.number, change.before, change.after) == (0, None, IDLE)
    assert history(reader) == [change]


# A file that is removed, replaced or moved away: those that only read


def removed(path: str) -> None:
    os.unlink(path)


def moved_away(path: str) -> None:
    os.rename(path, f"{path}.away")


def replaced(path: str) -> None:
    """By a file that is made elsewhere, as rsync and many editors do."""
    with strangers(1) as (other,):
        assert other.ask(f"status = WorkerStatus('UNAVAILABLE', at={path + '.new'!r})") == "None"
    os.rename(f"{path}.new", path)


def moved_away_and_made_again(path: str) -> None:
    moved_away(path)
    with strangers(1) as (other,):
        assert other.ask(f"status = WorkerStatus('UNAVAILABLE', at={path!r})") == "None"


WAYS: dict[str, Callable[[str], None]] = {
    "removed": removed,
    "moved away": moved_away,
    "replaced": replaced,
    "moved away and made again": moved_away_and_made_again,
}


@pytest.mark.parametrize("lose", [removed, moved_away])
@pytest.mark.parametrize("left", [0, 1, 16])
def test_a_follower_goes_on_with_the_file_that_is_made_again(
    path: str, service: Service, way: str, lose: Any, left: int
) -> None:
    service.starts()
    reader = reader_of(path)
    follower = Follower(reader, way)
    service.makes_changes(left)
    lose(path)
    assert follower.all_now() == service.made[1:]
    assert follower.all_now() == []  # it waits for a file of this name
    assert is_like(reader, WorkerStatusEnum[service.made[-1][2]])
    begin = len(service.made)
    service.stops()
    service.starts("UNAVAILABLE")
    service.makes_changes(15)
    assert follower.all_now() == service.made[begin:]
    assert is_like(reader, WorkerStatusEnum[service.made[-1][2]])
    service.makes_changes(2)
    assert follower.all_now() == service.made[-2:]


@pytest.mark.parametrize("left", [0, 1, 16])
def test_a_follower_gets_what_is_left_in_the_old_file_and_then_all_of_the_new_one(
    path: str, service: Service, way: str, left: int
) -> None:
    service.starts()
    reader = reader_of(path)
    follower = Follower(reader, way)
    for _ in range(3):  # it happens again
        begin = len(service.made)
        service.makes_changes(left)
        other = Service(f"{path}.new")
        other.starts("UNAVAILABLE")
        other.makes_changes(4)
        os.rename(f"{path}.new", path)
        assert follower.all_now() == service.made[begin:] + other.made
        assert is_like(reader, WorkerStatusEnum[other.made[-1][2]])
        other.end()
        service.stops()
        service.starts()  # the file that has the name now is begun anew
        assert follower.all_now() == service.made[-1:]
    service.stops()


def test_several_consumers_of_one_value_get_each_change_of_the_new_file(path: str, service: Service) -> None:
    service.starts()
    reader = reader_of(path)
    followers = [Follower(reader, way) for way in ("changes", "aio", "changes", "aio")]
    other_reader = reader_of(path)
    others = [Follower(other_reader, way) for way in ("changes", "aio")]
    service.makes_changes(2)
    assert followers[0].all_now() == service.made[1:]
    removed(path)
    begin = len(service.made)
    service.stops()
    service.starts("UNAVAILABLE")
    service.makes_changes(2)
    assert wait_for(reader, service.made[-1][2], timeout=0).name == service.made[-1][2]  # the first to go on
    assert followers[0].all_now() == service.made[begin:]
    for each in (*followers[1:], *others):
        assert each.all_now() == service.made[1:]
    service.sets("UNAVAILABLE")
    for each in (*followers, *others):
        assert each.all_now() == service.made[-1:]


def test_every_look_of_a_reader_goes_on_with_the_file_that_has_the_name(path: str, service: Service) -> None:
    service.starts()
    looks: dict[str, Callable[[Any], Any]] = {
        "last_change": lambda reader: last_change(reader).after.name,
        "history": lambda reader: history(reader)[-1].after.name,
        "wait_for": lambda reader: wait_for(reader, WorkerStatusEnum, timeout=0) and reader.name,
        "aio.wait_for": lambda reader: asyncio.run(aio.wait_for(reader, WorkerStatusEnum, 0)) and reader.name,
        "changes": lambda reader: (changes(reader, timeout=0), reader.name)[1],
        "aio.changes": lambda reader: (aio.changes(reader, timeout=0), reader.name)[1],
    }
    readers = {name: reader_of(path) for name in looks}
    plain, attribute = reader_of(path), Holder(reader_of(path))
    moved_away(path)
    service.stops()
    service.starts("UNAVAILABLE")
    assert {name: look(readers[name]) for name, look in looks.items()} == dict.fromkeys(looks, "UNAVAILABLE")
    assert all(is_like(reader, UNAVAILABLE) for reader in readers.values())
    assert snapshot(plain) is IDLE  # a plain read does not look
    assert attribute.status is IDLE
    assert last_change(type(attribute).status.proxy_of(attribute)).after is UNAVAILABLE
    assert attribute.status is UNAVAILABLE
    again = pickle.loads(pickle.dumps(plain))
    assert is_like(again, UNAVAILABLE)


def test_a_reader_that_sleeps_is_woken_by_the_first_change_of_the_new_file(path: str, service: Service) -> None:
    service.starts()
    readers = [reader_of(path) for _ in range(4)]
    seen: list[Any] = []
    waits: list[Callable[[], object]] = [
        lambda: seen.append(wait_for(readers[0], UNAVAILABLE, DEADLINE)),
        lambda: seen.append(next(changes(readers[1], timeout=DEADLINE)).after),
        lambda: seen.append(asyncio.run(aio.wait_for(readers[2], UNAVAILABLE, DEADLINE))),
        lambda: seen.append(asyncio.run(first_of(readers[3]))),
    ]
    threads = [threading.Thread(target=wait) for wait in waits]
    for thread in threads:
        thread.start()
    replaced(path)  # the counts of changes are the same
    for thread in threads:
        thread.join(DEADLINE)
    assert seen == [UNAVAILABLE] * 4


@pytest.mark.parametrize("wait", [wait_for, lambda *given: asyncio.run(aio.wait_for(*given))], ids=["blocks", "aio"])
@pytest.mark.parametrize("where", ["in the old file", "in the new file"])
def test_a_wait_sees_a_state_that_held_in_passing_in_either_file(
    path: str, service: Service, wait: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.starts()
    reader = reader_of(path)

    def replace_it(*_: object) -> None:
        monkeypatch.undo()
        if where == "in the old file":
            service.sets("CALCULATING", "IDLE")
        removed(path)
        service.stops()
        service.starts("UNAVAILABLE")
        if where == "in the new file":
            service.sets("CALCULATING", "UNAVAILABLE")

    async def replace_it_in_a_loop(*_: object) -> None:
        replace_it()

    monkeypatch.setattr(waiting.Sleeper, "sleep", replace_it)
    monkeypatch.setattr(aio, "_change_since", replace_it_in_a_loop)
    assert wait(reader, "CALCULATING", DEADLINE) is CALCULATING
    with pytest.raises(TimeoutError):
        wait(reader, "IDLE", 0)


async def first_of(reader: Any) -> Any:
    return (await anext(aio.changes(reader, timeout=DEADLINE))).after


def test_a_coroutine_is_woken_though_another_look_was_the_first_to_see_the_new_file(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both files have the same count of changes."""
    sleep, may_look = waiting.Sleeper.sleep, threading.Event()

    def sleep_until_then(sleeper: waiting.Sleeper, *how: Any) -> None:
        assert may_look.wait(DEADLINE)
        sleep(sleeper, *how)

    monkeypatch.setattr(waiting.Sleeper, "sleep", sleep_until_then)
    with strangers(1) as (other,):
        assert other.ask(f"status = WorkerStatus('IDLE', at={path!r})") == "None"
        assert other.ask(f"new = WorkerStatus('UNAVAILABLE', at={path + '.new'!r})") == "None"
        reader = reader_of(path)

        async def follow() -> Any:
            feed = aio.changes(reader, timeout=DEADLINE)
            first = asyncio.ensure_future(anext(feed))
            wait = asyncio.ensure_future(aio.wait_for(reader, UNAVAILABLE, DEADLINE))
            await asyncio.sleep(0)  # both sleep
            await asyncio.sleep(0)
            os.rename(f"{path}.new", path)
            assert last_change(reader).after is UNAVAILABLE  # it goes on with the new file
            may_look.set()
            return await asyncio.wait_for(asyncio.gather(first, wait), DEADLINE / 4)

        change, member = asyncio.run(follow())
        assert (change.number, change.after, member) == (0, UNAVAILABLE, UNAVAILABLE)


def test_a_file_of_an_enum_that_does_not_go_together_is_an_error_and_reads_go_on(
    path: str, service: Service, way: str
) -> None:
    service.starts()
    reader = reader_of(path)
    follower = Follower(reader, way)
    service.makes_changes(1)
    removed(path)
    other = Service(path)
    other.starts("APPLE", "IntEnumValue[FrutEnum]")
    with pytest.raises(ValueError, match="the enum FrutEnum in the file is not WorkerStatusEnum here"):
        follower.all_now()  # after what is left
    for look in (
        lambda: wait_for(reader, UNAVAILABLE, timeout=0),
        lambda: asyncio.run(aio.wait_for(reader, UNAVAILABLE, 0)),
        lambda: changes(reader),
        lambda: aio.changes(reader),
        lambda: last_change(reader),
        lambda: history(reader),
    ):
        with pytest.raises(ValueError, match="FrutEnum"):
            look()
    assert is_like(reader, CALCULATING)
    removed(path)
    other.end()
    begin = len(service.made)
    service.stops()
    service.starts("UNAVAILABLE")
    assert follower.all_now() == service.made[begin:]
    assert is_like(reader, UNAVAILABLE)


@pytest.mark.parametrize(
    ("put", "error", "text"),
    [
        (lambda path: path.write_text("Dear diary"), ValueError, "holds something else than a shared value"),
        (Path.mkdir, IsADirectoryError, "is a directory"),
        (lambda path: path.symlink_to("nothing"), OSError, "is a symbolic link"),
        (lambda path: (path.touch(), path.chmod(0o666)), PermissionError, "can be written by others"),
    ],
    ids=["something else", "a directory", "a link", "unsafe"],
)
def test_what_can_not_be_opened_is_an_error_until_it_is_gone(
    path: str, service: Service, put: Any, error: type[Exception], text: str
) -> None:
    service.starts()
    reader = reader_of(path)
    follower = Follower(reader, "changes")
    removed(path)
    put(Path(path))
    with pytest.raises(error, match=text):
        follower.all_now()
    with pytest.raises(error, match=text):
        wait_for(reader, UNAVAILABLE, timeout=0)
    assert is_like(reader, IDLE)
    Path(path).rmdir() if Path(path).is_dir() else removed(path)
    service.stops()
    service.starts("UNAVAILABLE")
    assert follower.all_now() == service.made[-1:]


def test_a_directory_that_is_gone_with_the_file_is_no_file(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    path = str(directory / "status")
    with strangers(1) as (other,):
        other.ask(f"status = WorkerStatus('IDLE', at={path!r})")
        reader = reader_of(path)
        follower = Follower(reader, "changes")
        os.rename(directory, tmp_path / "away")
        assert follower.all_now() == []
        with pytest.raises(TimeoutError, match=r"the state is <WorkerStatusEnum\.IDLE: 2>"):
            wait_for(reader, UNAVAILABLE, timeout=0)
        directory.mkdir()
        other.ask(f"again = WorkerStatus('UNAVAILABLE', at={path!r})")
        assert follower.all_now() == [(0, None, "UNAVAILABLE")]


def test_a_reader_goes_on_with_the_file_of_a_newer_version(path: str, service: Service, way: str) -> None:
    service.starts("IDLE", "OldValue")
    reader = reader_of(path, OldValue)
    follower = Follower(reader, way)
    service.sets("BUSY")
    removed(path)
    service.stops()
    service.starts("IDLE", "NewStrictValue")
    assert follower.all_now() == [(1, "IDLE", "BUSY"), (0, None, "IDLE")]
    service.sets("PAUSED", "IDLE")
    with pytest.raises(UnknownMemberError, match=r"^PAUSED \(4\)"):
        follower.all_now()
    assert follower.all_now() == [(2, None, "IDLE")]


def test_a_kernel_that_refuses_to_show_the_new_file_is_an_error(
    path: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.starts()
    reader = reader_of(path)
    removed(path)
    service.stops()
    service.starts("UNAVAILABLE")

    def refuse(*_: object) -> int:
        import ctypes

        ctypes.set_errno(12)
        return -1

    monkeypatch.setattr(window, "_mmap", lambda: refuse)
    with pytest.raises(OSError, match=r"^\[Errno 12\] Cannot allocate memory$"):
        history(reader)
    assert is_like(reader, IDLE)
    monkeypatch.undo()
    assert last_change(reader).after is UNAVAILABLE
    assert is_like(reader, UNAVAILABLE)


def test_reads_meanwhile_find_a_member_of_one_of_the_two_files(path: str, tmp_path: Path) -> None:
    """The new file is shown at the address of the old one, to threads that read all the while."""
    reader, is_over = reader_in(path), threading.Event()
    seen: set[Any] = set()

    def read() -> None:
        while not is_over.is_set():
            seen.add(snapshot(reader))

    threads = [threading.Thread(target=read) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # else the threads that read let this one go on only every 5 ms
    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            WorkerStatus(CALCULATING if number % 2 else UNAVAILABLE, at=f"{path}.new")
            os.rename(f"{path}.new", path)
            assert last_change(reader).after is (CALCULATING if number % 2 else UNAVAILABLE)
            assert snapshot(reader) is (CALCULATING if number % 2 else UNAVAILABLE)
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        for thread in threads:
            thread.join(DEADLINE)
    assert seen <= {IDLE, UNAVAILABLE, CALCULATING}
    assert len(os.listdir(tmp_path)) == 1


def reader_in(path: str) -> Any:
    WorkerStatus(IDLE, at=path)
    return reader_of(path)


def test_many_files_leave_no_descriptor_and_no_memory_behind(path: str) -> None:
    reader = reader_in(path)
    counts: list[tuple[int, int]] = []
    for _ in range(200):
        WorkerStatus(IDLE, at=f"{path}.new")
        os.rename(f"{path}.new", path)
        assert last_change(reader).number == 0
        counts.append((len(os.listdir("/proc/self/fd")), Path("/proc/self/maps").read_text().count(path)))
    assert max(counts) == counts[0]


# Those that use it


def lost(path: str, how: str) -> WorkerStatus:
    """Return a value that is used, and whose file has lost its name."""
    status = WorkerStatus(IDLE, at=path)
    status.set(CALCULATING)
    status.set(IDLE)
    WAYS[how](path)
    return status


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_every_write_of_a_process_that_uses_it_says_so_and_writes_nothing(path: str, how: str, write: Any) -> None:
    status = lost(path, how)
    for new in (CALCULATING, IDLE, UNAVAILABLE):
        with pytest.raises(FileNotFoundError, match=GONE) as caught:
            write(status, new)
        assert caught.value.filename == path
        assert "make the value anew, or start this process again" in str(caught.value)
    assert is_like(status, IDLE)
    assert [change.number for change in history(status)] == [0, 1, 2]
    assert not any(status._self_cell.words.sleepers.flags)


@pytest.mark.parametrize("how", WAYS)
def test_reads_of_a_process_that_uses_it_go_on(path: str, how: str) -> None:
    status = lost(path, how)
    assert is_like(status, IDLE)
    assert [change.after for change in history(status)] == [IDLE, CALCULATING, IDLE]
    assert last_change(status).number == 2
    assert Holder(status).status is IDLE
    assert repr(status.get_lock()).endswith("not held by this thread>")


@pytest.mark.parametrize("how", WAYS)
def test_a_wait_and_a_follower_of_a_process_that_uses_it_say_so(path: str, how: str, way: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    follower = Follower(status, way)
    feed = changes(status, timeout=DEADLINE)
    status.set(CALCULATING)
    WAYS[how](path)
    assert next(feed).after is CALCULATING  # what is left comes first
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match=GONE):
            next(feed)
    with pytest.raises(FileNotFoundError, match=GONE):
        follower.all_now()
    for look in (
        lambda: wait_for(status, CALCULATING, timeout=0),
        lambda: wait_for(status, UNAVAILABLE, timeout=DEADLINE),
        lambda: asyncio.run(aio.wait_for(status, CALCULATING, 0)),
        lambda: changes(status, timeout=0),
        lambda: aio.changes(status, timeout=0),
    ):
        with pytest.raises(FileNotFoundError, match=GONE):
            look()
    assert is_like(status, CALCULATING)


@pytest.mark.parametrize("how", WAYS)
def test_those_that_sleep_are_told(path: str, how: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    errors: list[Any] = []

    async def follow() -> None:
        await anext(aio.changes(status, timeout=DEADLINE))

    waits: list[Callable[[], object]] = [
        lambda: wait_for(status, UNAVAILABLE, DEADLINE),
        lambda: next(changes(status, timeout=DEADLINE)),
        lambda: asyncio.run(aio.wait_for(status, UNAVAILABLE, DEADLINE)),
        lambda: asyncio.run(follow()),
    ]

    def run(wait: Callable[[], object]) -> None:
        try:
            wait()
        except FileNotFoundError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(wait,)) for wait in waits]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + DEADLINE
    while not any(status._self_cell.words.sleepers.flags) and time.monotonic() < deadline:
        time.sleep(0)
    WAYS[how](path)
    for thread in threads:
        thread.join(DEADLINE)
    assert [error.filename for error in errors] == [path] * 4


@pytest.mark.parametrize("how", WAYS)
def test_the_lock_says_so_and_is_free(path: str, how: str) -> None:
    status = lost(path, how)
    lock: Any = status.get_lock()
    for take in (lock.acquire, lambda: lock.acquire(False), lambda: lock.acquire(timeout=SHORT), lock.__enter__):
        with pytest.raises(FileNotFoundError, match=GONE):
            take()
    with pytest.raises(RuntimeError, match="cannot release"):
        lock.release()
    assert in_a_thread(lambda: repr(lock)).endswith("not held by this thread>")
    away = f"{path}.away"
    if os.path.exists(away):
        os.rename(away, path)
        assert is_free(lock)  # no opening has kept it
        with lock, lock:
            status.set(UNAVAILABLE)
        assert snapshot(WorkerStatus(at=path)) is UNAVAILABLE


def test_a_directory_that_is_moved_away_takes_the_name_with_it(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    path = str(directory / "status")
    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    deadline = time.monotonic() + DEADLINE
    while lock._named_at != os.stat(path).st_ctime_ns:  # until a write takes the short way
        assert time.monotonic() < deadline
        status.set(IDLE)
        status.set(CALCULATING)
    os.rename(directory, tmp_path / "away")
    directory.mkdir()
    again = WorkerStatus(UNAVAILABLE, at=path)

    def write_again_and_again() -> None:
        while time.monotonic() < deadline:
            status.set(IDLE)

    with pytest.raises(FileNotFoundError, match=GONE):
        write_again_and_again()  # a write looks at the name itself once in a second
    assert (status, again) == (IDLE, UNAVAILABLE)


def test_a_holder_of_the_lock_writes_until_it_gives_it_back(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    with status.get_lock():
        removed(path)
        status.set(CALCULATING)  # one step of what it has begun
    assert status == CALCULATING
    with pytest.raises(FileNotFoundError, match=GONE):
        status.set(IDLE)


def test_more_kinds_of_writes_say_so_too(path: str) -> None:
    status, other = lost(path, "removed"), WorkerStatus(UNAVAILABLE)
    called: list[Any] = []
    logging = LoggingStatus(IDLE, at=f"{path}.log")
    logging.log = []
    removed(f"{path}.log")
    for write in (
        lambda: status.set(other),  # type: ignore[arg-type]
        lambda: update(status, called.append),  # type: ignore[arg-type]
        lambda: exchange(status, "IDLE", timeout=SHORT),
        lambda: logging.set("CALCULATING"),
    ):
        with pytest.raises(FileNotFoundError, match=GONE):
            write()
    assert (called, logging.log) == ([], [])


@pytest.mark.parametrize("how", ["removed", "moved away"])
def test_a_value_of_multiprocessing_is_told_by_its_lock(path: str, how: str) -> None:
    job = value_at(path, "q", 7)
    WAYS[how](path)

    def increment() -> None:
        with job.get_lock():
            job.value += 1

    for use in (lambda: job.value, lambda: setattr(job, "value", 1), job.get_lock().acquire, increment):
        with pytest.raises(FileNotFoundError, match=GONE):
            use()
    assert job.get_obj().value == 7
    again = value_at(path, "q", 1)
    with again.get_lock():
        again.value += 1
    assert (again.value, job.get_obj().value) == (2, 7)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_value_with_the_lock_of_another_one_is_told_of_both_files(path: str, how: str, write: Any) -> None:
    one = WorkerStatus(IDLE, at=path)
    two = WorkerStatus(IDLE, at=f"{path}.two", lock=one.get_lock())
    write(two, CALCULATING)
    WAYS[how](f"{path}.two")
    for new in (IDLE, UNAVAILABLE):
        with pytest.raises(FileNotFoundError, match=GONE) as caught:
            write(two, new)
        assert caught.value.filename == f"{path}.two"
    assert is_free(one.get_lock())
    write(one, CALCULATING)
    three = WorkerStatus(IDLE, at=f"{path}.three", lock=one.get_lock())
    WAYS[how](path)
    with pytest.raises(FileNotFoundError, match=GONE) as caught:
        write(three, CALCULATING)
    assert caught.value.filename == path
    assert (two, one, three) == (CALCULATING, CALCULATING, IDLE)


def test_the_value_made_anew_is_that_of_the_path(path: str) -> None:
    with strangers(1) as (other,):
        status = lost(path, "removed")
        assert other.ask(f"status = WorkerStatus('UNAVAILABLE', at={path!r})") == "None"
        with pytest.raises(FileNotFoundError):
            status.set(CALCULATING)
        status = WorkerStatus(IDLE, at=path)  # as the text says
        status.set(CALCULATING)
        assert other.ask("status.name") == "'CALCULATING'"


def test_a_forked_child_is_told_as_well(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)

    def use() -> None:
        with pytest.raises(FileNotFoundError, match=GONE):
            status.set(CALCULATING)
        with pytest.raises(FileNotFoundError, match=GONE):
            wait_for(status, CALCULATING, timeout=0)
        assert status == IDLE

    removed(path)
    assert Child(use).succeeds()


def test_a_name_that_comes_back_is_good_again(path: str) -> None:
    status = lost(path, "moved away")
    with pytest.raises(FileNotFoundError):
        status.set(CALCULATING)
    os.rename(f"{path}.away", path)
    status.set(CALCULATING)
    assert wait_for(status, CALCULATING, timeout=0) is CALCULATING
    assert snapshot(reader_of(path)) is CALCULATING


# What is no loss


def test_another_mode_owner_or_time_is_no_loss(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    for change in (
        lambda: os.chmod(path, 0o640),
        lambda: os.utime(path, (0, 0)),
        lambda: os.chown(path, os.geteuid(), os.getegid()),
        lambda: os.link(path, f"{path}.link"),
        lambda: os.unlink(f"{path}.link"),
    ):
        change()
        assert exchange(status, CALCULATING) is IDLE
        assert exchange(status, IDLE) is CALCULATING
        assert wait_for(status, IDLE, timeout=0) is IDLE
        assert list(changes(status, timeout=0)) == []


def test_a_hard_link_does_not_hide_that_the_name_is_gone(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    os.link(path, f"{path}.link")
    status.set(CALCULATING)
    removed(path)
    with pytest.raises(FileNotFoundError, match=GONE):
        status.set(IDLE)
    with pytest.raises(FileNotFoundError, match=GONE):
        wait_for(status, CALCULATING, timeout=0)
    os.link(f"{path}.link", path)
    status.set(IDLE)
    assert status == IDLE


def test_a_value_that_is_opened_by_its_other_name_has_that_name(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    os.rename(path, f"{path}.other")
    other = WorkerStatus(IDLE, at=f"{path}.other")
    other.set(CALCULATING)
    assert wait_for(other, CALCULATING, timeout=0) is CALCULATING
    assert snapshot(status) is CALCULATING
    assert WorkerStatus(at=f"{path}.other").get_lock() is other.get_lock()
    with pytest.raises(FileNotFoundError, match=GONE):
        status.set(IDLE)
    again = WorkerStatus(UNAVAILABLE, at=path)  # another file
    again.set(IDLE)
    assert (status, other, again) == (CALCULATING, CALCULATING, IDLE)
    assert snapshot(reader_of(f"{path}.other")) is CALCULATING
    reader = reader_of(path)
    os.rename(path, f"{path}.other")
    moved = reader_of(f"{path}.other")
    assert last_change(moved).after is IDLE
    assert is_like(reader, IDLE)


# Processes that know the name no more


if os.geteuid() == 0:  # only root can give up rights of root, and take another root

    def in_another_process(path: str, change: str, *, options: str = "") -> Any:
        """Start a process that opens the value and then changes what it may see; leave the value in use."""
        context = strangers(1)
        (process,) = context.__enter__()
        process.ask("import asyncio; from multiprocessing_intenum import aio")
        assert process.ask(f"status = WorkerStatus('IDLE', at=SharedFile({path!r}{options}))") == "None"
        assert process.ask(f"reader = WorkerStatus(at=SharedFile({path!r}, readonly=True{options}))") == "None"
        assert process.ask("feed = changes(status, timeout=0); seen = changes(reader, timeout=0)") == "None"
        assert process.ask(change) == "None"
        return context, process

    NOBODY = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"

    USES = {
        "status.set('CALCULATING'); status.set('IDLE')": "None",
        "[change.after.name for change in feed]": "['CALCULATING', 'IDLE']",
        "[change.after.name for change in seen]": "['CALCULATING', 'IDLE']",
        "exchange(status, 'CALCULATING', timeout=60).name": "'IDLE'",
        "wait_for(status, 'CALCULATING', timeout=0).name": "'CALCULATING'",
        "wait_for(reader, 'CALCULATING', timeout=0).name": "'CALCULATING'",
        "asyncio.run(aio.wait_for(status, 'CALCULATING', 0)).name": "'CALCULATING'",
        "last_change(reader).number": "3",
        "[change.after.name for change in changes(status, timeout=0)]": "[]",
        "len(history(status))": "4",
    }

    def test_a_process_that_dropped_its_rights_in_a_directory_of_root_is_told_nothing_wrong(tmp_path: Path) -> None:
        directory = tmp_path / "run"
        directory.mkdir(mode=0o700)
        path = str(directory / "status")
        context, process = in_another_process(path, NOBODY)
        try:
            assert process.ask(f"os.stat({path!r})").startswith("PermissionError: ")
            assert {use: process.ask(use) for use in USES} == USES
            removed(path)
            for use in ("status.set('IDLE')", "wait_for(status, 'CALCULATING', timeout=0)", "next(feed), next(feed)"):
                assert process.ask(use).startswith(f"FileNotFoundError: [Errno 2] {GONE}"), use
            assert process.ask("status.name") == "'CALCULATING'"
            # The reader can not open what has the name now.
            WorkerStatus(UNAVAILABLE, at=path)
            assert process.ask("reader.name") == "'CALCULATING'"
        finally:
            context.__exit__(None, None, None)

    def test_a_process_that_has_another_root_is_told_nothing_wrong(path: str, tmp_path: Path) -> None:
        """The name means something else there."""
        root = tmp_path / "root"
        inside = Path(f"{root}{tmp_path}")
        inside.mkdir(parents=True)
        for is_there in (False, True):
            if is_there:
                WorkerStatus(UNAVAILABLE, at=inside / "status")
            context, process = in_another_process(path, f"os.chroot({str(root)!r})")
            try:
                assert process.ask(f"os.path.exists({path!r})") == str(is_there)
                assert {use: process.ask(use) for use in USES} == USES
                removed(path)
                for use in ("status.set('IDLE')", "wait_for(status, 'CALCULATING', timeout=0)"):
                    assert process.ask(use).startswith(f"FileNotFoundError: [Errno 2] {GONE}"), use
                assert process.ask("status.name") == "'CALCULATING'"
            finally:
                context.__exit__(None, None, None)


def test_a_process_that_has_closed_its_descriptors_is_told(path: str) -> None:
    with strangers(1) as (daemon,):
        daemon.ask(f"status = WorkerStatus('IDLE', at={path!r})")
        daemon.ask("os.closerange(3, 1000)")
        assert daemon.ask("wait_for(status, 'IDLE', timeout=0).name") == "'IDLE'"
        assert daemon.ask("status.set('CALCULATING')") == "None"
        daemon.ask("os.closerange(3, 1000)")
        removed(path)
        assert daemon.ask("wait_for(status, 'IDLE', timeout=0)").startswith(f"FileNotFoundError: [Errno 2] {GONE}")
        assert daemon.ask("status.set('IDLE')").startswith("FileNotFoundError: [Errno 2] ")
        assert daemon.ask("status.name") == "'CALCULATING'"


# The follower of a deploy


def test_the_csv_of_a_deploy_has_every_change(path: str, service: Service, tmp_path: Path) -> None:
    csv_path = tmp_path / "changes.csv"

    def is_written() -> None:
        """Wait until the follower has written all: it may be no more than 16 changes behind."""
        deadline = time.monotonic() + DEADLINE
        while not csv_path.exists() or csv_path.read_text().count("\n") < len(service.made) - begin:
            assert time.monotonic() < deadline
            time.sleep(0)

    with strangers(1) as (follower,):
        service.starts("IDLE", "OldValue")
        begin = len(service.made)
        for line in (
            "from versions import *; from growing_targets import *",
            f"reader = NewValue(at=SharedFile({path!r}, readonly=True))",
            f"feed = changes(reader, timeout={DEADLINE})",
        ):
            assert follower.ask(line) == "None"
        follower.tell(f"write_csv(feed, {str(csv_path)!r}, 'UNAVAILABLE')")
        for turn in range(3):
            busy = "BUSY" if turn == 0 else "CALCULATING"
            service.sets(*[busy, "IDLE"] * 7)
            service.stops()  # the old file: it is begun anew
            service.starts("IDLE", "NewValue")
            is_written()
            service.sets(*["CALCULATING", "IDLE"] * 7)
            (removed if turn == 0 else moved_away)(path)  # a new file
            service.stops()
            service.starts("IDLE", "NewValue")
            is_written()
            service.sets("PAUSED", "IDLE")
            service.stops()  # a restart
            service.starts("IDLE", "NewValue")
        service.sets("UNAVAILABLE")
        assert follower.answer() == str(len(service.made) - begin)
    with csv_path.open(newline="") as file:
        rows = list(csv.reader(file))
    names = {None: "", **{name: member.name for name, member in New.__members__.items()}}
    assert rows == [[str(number), names[before], names[after]] for number, before, after in service.made[begin:]]
