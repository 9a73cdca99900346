"""Values by path in a process that may open no more files: each error names the path and says what to do."""

from __future__ import annotations

import enum
import errno
import json
import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from enums import FrutEnum, WorkerStatus, WorkerStatusEnum
from helpers import Child, in_a_thread

from multiprocessing_intenum import IntEnumValue, SharedFile, compare_and_set, value_at, wait_for
from multiprocessing_intenum.by_path import contents, life
from multiprocessing_intenum.by_path.contents import description_of
from multiprocessing_intenum.locks.open_file import OpenFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum
TOO_MANY = [errno.EMFILE, errno.ENFILE]


class Grown(enum.IntEnum):
    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 3
    DRAINING = 4


def make(path: Path) -> Callable[[], object]:
    return lambda: WorkerStatus(IDLE, at=path)


def make_over_a_leftover(path: Path) -> Callable[[], object]:
    leftover = path.with_name(f".{path.name}.{os.geteuid()}.new")
    leftover.touch()
    os.chown(leftover, os.geteuid(), -1)
    return lambda: WorkerStatus(IDLE, at=path)


def make_in_place_of_another_enum(path: Path) -> Callable[[], object]:
    IntEnumValue(FrutEnum.APPLE, at=path)
    return lambda: WorkerStatus(IDLE, at=path)


def go_on(path: Path) -> Callable[[], object]:
    WorkerStatus(IDLE, at=path)
    return lambda: WorkerStatus(IDLE, at=SharedFile(path, keep=True))


def go_on_with_more_members(path: Path) -> Callable[[], object]:
    WorkerStatus(IDLE, at=path)
    return lambda: IntEnumValue(Grown.IDLE, at=SharedFile(path, keep=True))


def describe_what_is_open(path: Path) -> Callable[[], object]:
    status = WorkerStatus(IDLE, at=path)
    return lambda: (status, IntEnumValue(Grown.IDLE, at=path))


def open_to_read(path: Path) -> Callable[[], object]:
    WorkerStatus(IDLE, at=path)
    return lambda: WorkerStatus(at=SharedFile(path, readonly=True))


def follow_to_a_new_file(path: Path) -> Callable[[], object]:
    WorkerStatus(IDLE, at=path)
    status = WorkerStatus(at=SharedFile(path, readonly=True))
    path.unlink()
    WorkerStatus(CALCULATING, at=path)
    return lambda: wait_for(status, CALCULATING, 0)


def make_a_plain_value(path: Path) -> Callable[[], object]:
    return lambda: value_at(path, "q", 0)


def read_what_it_holds(path: Path) -> Callable[[], object]:
    WorkerStatus(IDLE, at=path)
    return lambda: description_of(SharedFile(path))


def write(path: Path) -> Callable[[], object]:
    status = WorkerStatus(IDLE, at=path)
    return lambda: status.set(CALCULATING)


def write_in_a_thread(path: Path) -> Callable[[], object]:
    status = WorkerStatus(IDLE, at=path)
    return lambda: in_a_thread(lambda: status.set(CALCULATING))


def write_with_the_lock_of_another(path: Path) -> Callable[[], object]:
    status = WorkerStatus(IDLE, at=path)
    number: Any = value_at(path.with_name("number"), "q", 0, lock=status.get_lock())

    def add() -> None:
        with number.get_lock():
            number.value += 1

    return add


def claim(path: Path) -> Callable[[], object]:
    status = WorkerStatus(IDLE, at=path)
    status.set(IDLE)
    return lambda: compare_and_set(status, IDLE, CALCULATING, on_death=IDLE)


def write_after_all_is_closed(path: Path) -> Callable[[], object]:
    status = WorkerStatus(IDLE, at=path)
    opened: Any = status.get_lock()
    os.close(opened.descriptor)
    return lambda: status.set(CALCULATING)


ACTS = [
    make,
    make_over_a_leftover,
    make_in_place_of_another_enum,
    go_on,
    go_on_with_more_members,
    describe_what_is_open,
    open_to_read,
    follow_to_a_new_file,
    make_a_plain_value,
    read_what_it_holds,
    write,
    write_in_a_thread,
    write_with_the_lock_of_another,
    claim,
    write_after_all_is_closed,
]


def leave(free: int) -> None:
    """Open files until only so many more can be opened."""
    most = max(map(int, os.listdir("/proc/self/fd"))) + 50
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = []
    with suppress(OSError):
        while True:
            found.append(os.open(os.devnull, os.O_RDONLY))
    for each in found[:free]:
        os.close(each)


def error_with(free: int, prepare: Callable[[Path], Callable[[], object]], path: Path) -> Any:
    """Return the error's number, file and text in a process that may open so many more files; None without one."""
    answer = path.with_name("answer")

    def try_it() -> None:
        act: Any = prepare(path)
        told = answer.open("w", encoding="utf-8")
        leave(free)
        try:
            act()
            json.dump(None, told)
        except OSError as error:
            json.dump([error.errno, error.filename, error.strerror], told)
        told.close()

    path.parent.mkdir()
    assert Child(try_it).succeeds()
    return json.loads(answer.read_text("utf-8"))


@pytest.mark.parametrize("prepare", ACTS)
def test_whichever_file_is_one_too_many_the_error_names_the_path_and_the_limit(
    prepare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Any user but root opens nothing before the first write.
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() or 1)
    monkeypatch.setattr(contents, "_refuse", lambda *_: None)
    prepare(tmp_path / "status")()  # whatever this imports is imported now
    errors = []
    for free in range(20):
        path = tmp_path / str(free) / "status"
        found = error_with(free, prepare, path)
        if found is None:
            break
        errors.append(found)
        number, name, text = found
        assert number == errno.EMFILE
        assert name in (str(path), str(path.with_name("number")))
        assert text.startswith(os.strerror(errno.EMFILE)) or "can not be opened again" in text
        assert "raise the limit (ulimit -n)" in text
    else:
        pytest.fail("it never succeeds")
    assert errors


@pytest.mark.parametrize("number", TOO_MANY)
def test_each_call_that_opens_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = str(tmp_path / "status")

    def refuse(*_: object, **__: object) -> Any:
        raise OSError(number, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(OSError, match=r"ulimit -n") as caught:
            OpenFile(path, os.O_RDWR | os.O_CREAT, 0o600)
        assert (caught.value.errno, caught.value.filename) == (number, path)
        assert str(caught.value.strerror).startswith(os.strerror(number))
        assert ("fs.file-max" in str(caught.value)) == (number == errno.ENFILE)
    # Before Python 3.13 the memory of a file has a descriptor of its own.
    monkeypatch.setattr(life, "_Memory", refuse)
    with pytest.raises(OSError, match=r"ulimit -n") as caught:
        WorkerStatus(IDLE, at=path)
    assert (caught.value.errno, caught.value.filename) == (number, path)


def test_what_else_the_memory_of_a_file_is_refused_for_names_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOMEM, "refused")

    monkeypatch.setattr(life, "_Memory", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)) as caught:
        WorkerStatus(IDLE, at=tmp_path / "status")
    assert caught.value.filename == str(tmp_path / "status")
    assert "ulimit" not in str(caught.value)
