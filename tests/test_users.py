"""users: which processes use a file, and which one has its lock, for the texts of errors."""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from path_targets import strangers

from multiprocessing_intenum import IntEnumValue, SharedFile
from multiprocessing_intenum.by_path import users

if TYPE_CHECKING:
    from pathlib import Path

IDLE = WorkerStatusEnum.IDLE


class Other(enum.IntEnum):
    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 4


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "status")


def opens(path: str, options: str = "") -> str:
    return f"status = WorkerStatus('IDLE', at=SharedFile({path!r}{options}))"


def test_users_are_those_that_use_the_value_and_no_readers(path: str) -> None:
    assert users.users_of(path) == []
    with strangers(4) as (user, forks, reader, _):
        for each, options in ((user, ""), (forks, ""), (reader, ", readonly=True")):
            assert each.ask(opens(path, options)) == "None"
        child = int(forks.ask("os.fork() or time.sleep(600)"))
        try:
            assert users.users_of(path) == sorted([user.process.pid, forks.process.pid, child])
            status = WorkerStatus(at=path)
            assert os.getpid() in users.users_of(path)
            del status
            assert os.getpid() not in users.users_of(path)
        finally:
            os.kill(child, 9)


def test_a_daemon_that_has_closed_all_descriptors_is_one_too(path: str) -> None:
    with strangers(1) as (daemon,):
        daemon.ask(opens(path))
        daemon.ask("os.closerange(3, 1000)")
        assert users.users_of(path) == [daemon.process.pid]


def test_a_file_of_another_name_or_a_long_one_is_found_too(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 250)
    status = WorkerStatus(IDLE, at=long)
    assert users.users_of(str(long)) == [os.getpid()]
    other = WorkerStatus(IDLE, at=tmp_path / ("x" * 249))
    assert users.users_of(str(long)) == [os.getpid()]
    del status
    assert users.users_of(str(long)) == []
    assert other == IDLE


def test_the_holder_of_the_lock_is_told(path: str) -> None:
    with strangers(2) as (holder, user):
        for each in (holder, user):
            each.ask(opens(path))
        assert users.holders_of(path) == []
        assert holder.ask("status.get_lock().acquire()") == "True"
        assert users.holders_of(path) == [holder.process.pid]
        holder.ask("status.get_lock().release()")
        assert users.holders_of(path) == []


@pytest.mark.parametrize(
    ("function", "error"),
    [("scandir", PermissionError(13, "no")), ("readlink", FileNotFoundError(2, "gone")), ("stat", OSError(5, "io"))],
)
def test_what_the_kernel_does_not_tell_is_no_error(
    path: str, monkeypatch: pytest.MonkeyPatch, function: str, error: OSError
) -> None:
    status = WorkerStatus(IDLE, at=path)
    real = getattr(os, function)

    def refuse(name: Any, **options: Any) -> Any:
        if str(name).startswith("/proc"):
            raise error
        return real(name, **options)

    monkeypatch.setattr(os, function, refuse)
    assert users.users_of(path) in ([], [os.getpid()])
    assert users.users_of(f"{path}-that-is-not-there") == []
    assert status == IDLE


def test_processes_that_end_or_belong_to_another_user_are_left_out(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status = WorkerStatus(IDLE, at=path)
    monkeypatch.setattr(users, "_PROC", str(status.get_lock().path))  # type: ignore[attr-defined]
    assert users.users_of(path) == []  # a /proc that is none


def test_they_are_named_for_a_text() -> None:
    me = os.getpid()
    assert [users.named(pids) for pids in ([], [7], [7, 8], [7, 8, 9], [me], [7, me], [me, 7, 8])] == [
        "",
        "process 7",
        "processes 7 and 8",
        "processes 7, 8 and 9",
        f"this process, {me}",
        f"process 7 and this one, {me}",
        f"processes 7 and 8 and this one, {me}",
    ]


# In errors


@pytest.mark.parametrize("keep", [False, True])
def test_an_enum_that_does_not_go_together_names_those_that_use_the_other_one(path: str, keep: bool) -> None:
    what = "remove it, because it is kept" if keep else "then start with the new version"
    with strangers(2) as each:
        for stranger in each:
            stranger.ask(opens(path))
        one, other = sorted(stranger.process.pid for stranger in each)
        with pytest.raises(
            ValueError, match=rf"use this one \(processes {one} and {other}\), and {what}\. It was left"
        ):
            IntEnumValue[Other]("IDLE", at=SharedFile(path, keep=keep))


def test_this_process_may_be_the_one(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    with pytest.raises(ValueError, match=rf"use this one \(this process, {os.getpid()}\), and then"):
        IntEnumValue[Other]("IDLE", at=path)
    assert status == IDLE


def test_if_nobody_is_known_the_text_is_as_before(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status = WorkerStatus(IDLE, at=path)
    monkeypatch.setattr(users, "_PROC", f"{path}-not-there")
    with pytest.raises(ValueError, match="stop all processes that use this one, and then start with the new version"):
        IntEnumValue[Other]("IDLE", at=path)
    assert status == IDLE


def test_words_that_are_damaged_and_another_layout_name_them_too(path: str) -> None:
    with strangers(1) as (user,):
        user.ask(opens(path))
        users_now = rf"stop the processes that use it \(process {user.process.pid}\), and remove it"
        user.ask("status._self_cell.words.count[()] = 7")
        with pytest.raises(ValueError, match=rf"is damaged: {users_now}"):
            WorkerStatus(at=path)
        with open(path, "r+b") as file:
            content = file.read()
            file.seek(0)
            file.write(content[:64].replace(b"layout 2", b"layout \x1b"))
        with pytest.raises(ValueError, match=rf"it has layout \\x1b, \w+-endian, expected .*; {users_now}"):
            WorkerStatus(at=path)
