"""`SharedFile`: what is refused and left as it is, and what is left of a process that is killed while it makes one."""

from __future__ import annotations

import enum
import errno
import fcntl
import json
import mmap
import os
import random
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from enums import FrutEnum, WorkerStatus, WorkerStatusEnum
from forged import BEGINNING_AT, BODY_AT, LINE, PLACE_AT, SIZE_AT, changed, forged, number, place, text_in, with_text
from helpers import DEADLINE, in_a_thread
from path_targets import strangers

from multiprocessing_intenum import EnumValue, IntEnumValue, SharedFile, history, last_change, snapshot
from multiprocessing_intenum.by_path import contents, life
from multiprocessing_intenum.enums.members import members_of
from multiprocessing_intenum.enums.schema import description_of_enum
from multiprocessing_intenum.locks import open_file
from multiprocessing_intenum.locks.open_file import MAKING, USE, OpenFile

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status"


def made(path: Path) -> bytes:
    """Make a file, use it no more, and return its content."""
    WorkerStatus(IDLE, at=path)
    return path.read_bytes()


# The object


def test_its_arguments_are_checked() -> None:
    for path, error in (
        ("a/", ValueError),
        (5, TypeError),
        (b"x", TypeError),
        (None, TypeError),
        ("", ValueError),
        ("a\0b", ValueError),
    ):
        with pytest.raises(error):
            SharedFile(path)  # type: ignore[arg-type]
    for mode, wrong in (
        ("0o600", TypeError),
        (True, TypeError),
        (0o777, ValueError),
        (0o060, ValueError),
        (-1, ValueError),
    ):
        with pytest.raises(wrong, match="mode must be"):
            SharedFile("x", mode=mode)  # type: ignore[arg-type]


def test_its_path_is_absolute_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status = WorkerStatus(IDLE, at="status")
    assert status.get_lock().path == str(tmp_path / "status")  # type: ignore[attr-defined]
    monkeypatch.chdir("/")
    assert WorkerStatus(at=tmp_path / "status").get_lock() is status.get_lock()


def test_its_repr_is_what_made_it() -> None:
    assert repr(SharedFile("/x")) == "SharedFile('/x')"
    assert repr(SharedFile("/x", keep=True, mode=0o660, readonly=True)) == (
        "SharedFile('/x', keep=True, readonly=True, mode=0o660)"
    )


# The file


def test_it_is_one_page_with_the_mode_that_was_asked_for(path: Path) -> None:
    before = os.umask(0o077)
    try:
        status = WorkerStatus(IDLE, at=SharedFile(path, mode=0o664))
    finally:
        os.umask(before)
    info = path.stat()
    assert (stat.S_IMODE(info.st_mode), info.st_size, info.st_blocks * 512) == (0o664, mmap.PAGESIZE, mmap.PAGESIZE)
    assert path.read_bytes().startswith(LINE)
    assert status == IDLE


OTHER_ORDER = {b"little": b"big", b"big": b"little"}[sys.byteorder.encode()]


FOREIGN: dict[str, Any] = {
    "empty": lambda content: b"",
    "text": lambda content: b"Dear diary\n" * 400,
    "a part of our magic": lambda content: content[:20],
    "a part of the header": lambda content: content[:100],
    "no body": lambda content: content[:512],
    "another layout": lambda content: content.replace(b"layout 2", b"layout 1", 1),
    "another byte order": lambda content: content.replace(sys.byteorder.encode(), OTHER_ORDER, 1),
    "no end of the line": lambda content: changed(content, 50, b"x" * 20),
    "a description that is too long": lambda content: changed(content, PLACE_AT, b"\xff" * 8),
    "a description elsewhere": lambda content: changed(content, PLACE_AT, place(2**30, len(text_in(content)))),
    "a description in the header": lambda content: changed(content, PLACE_AT, place(0, 64)),
    "a description in the body": lambda content: changed(content, PLACE_AT, place(BODY_AT, 64)),
    "no description": lambda content: changed(content, PLACE_AT, bytes(8)),
    "a body that is too long": lambda content: changed(content, SIZE_AT, number(2**63)),
    "JSON that is too deep": lambda content: forged(b"[" * 100_000),
    "no JSON": lambda content: with_text(content, b"\xff"),
    "JSON of something else": lambda content: with_text(content, b"[1, 2]"),
}


@pytest.mark.parametrize("options", [{}, {"keep": True}, {"readonly": True}], ids=str)
@pytest.mark.parametrize("spoil", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_ours_is_refused_and_left_as_it_is(path: Path, spoil: Any, options: Any) -> None:
    content = spoil(made(path))
    path.write_bytes(content)
    before = path.stat()
    with pytest.raises(ValueError, match="It was left as it is") as caught:
        WorkerStatus(IDLE, at=SharedFile(path, **options))
    assert str(path) in str(caught.value)
    after = path.stat()
    assert path.read_bytes() == content
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert os.listdir(path.parent) == ["status"]


def with_more(content: bytes, **more: Any) -> bytes:
    """Return the content of a file with more in its description."""
    return with_text(content, json.dumps({**json.loads(text_in(content)), **more}).encode())


UNKNOWN: dict[str, Any] = {
    "a body that is too short": lambda content: changed(content, SIZE_AT, number(8)),
    "an object of something else": lambda content: with_text(content, b"{}"),
    "members that are a list": lambda content: with_text(content, b'{"enum":"X","kind":"ints","members":[1]}'),
    "numbers that are text": lambda content: with_text(content, b'{"enum":"X","kind":"ints","members":{"IDLE":"1"}}'),
    "no kind": lambda content: with_text(content, b'{"enum":"X","members":{"IDLE":1}}'),
    "a name that is a number": lambda content: with_text(content, b'{"enum":5,"kind":"ints","members":{"IDLE":1}}'),
    "aliases that are a text": lambda content: with_more(content, aliases="IDLE"),
    "transitions that are a list": lambda content: with_more(content, transitions=[1, 2]),
    "transitions from a name": lambda content: with_more(content, transitions={"IDLE": [1]}),
    "transitions to a number": lambda content: with_more(content, transitions={"1": 2}),
    "transitions to a name": lambda content: with_more(content, transitions={"-1": ["IDLE"]}),
}


@pytest.mark.parametrize("spoil", UNKNOWN.values(), ids=UNKNOWN)
def test_a_description_that_nobody_knows_is_another_value(path: Path, spoil: Any) -> None:
    content = spoil(made(path))
    path.write_bytes(content)
    for options in ({"keep": True}, {"readonly": True}):
        with pytest.raises(ValueError, match="holds another value"):
            WorkerStatus(IDLE, at=SharedFile(path, **options))  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        WorkerStatus(at=path)
    assert path.read_bytes() == content
    assert WorkerStatus(CALCULATING, at=path) == CALCULATING  # nobody uses it


def a_symbolic_link(path: Path) -> None:
    made(path.parent / "target")
    path.symlink_to("target")


def a_broken_link(path: Path) -> None:
    path.symlink_to("nothing")


def a_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


NO_FILES: dict[str, tuple[Any, int, str]] = {
    "a symbolic link": (a_symbolic_link, errno.ELOOP, "is a symbolic link, which is not followed"),
    "a broken link": (a_broken_link, errno.ELOOP, "is a symbolic link, which is not followed"),
    "a directory": (Path.mkdir, errno.EISDIR, "is a directory"),
    "a fifo": (os.mkfifo, errno.EINVAL, "is no regular file"),
    "a socket": (a_socket, errno.EINVAL, "is no regular file"),
}


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize(("make", "number", "text"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_regular_file_is_refused(path: Path, make: Any, number: int, text: str, readonly: bool) -> None:
    make(path)
    before = sorted(os.listdir(path.parent))
    with pytest.raises(OSError, match=text) as caught:
        WorkerStatus(IDLE, at=SharedFile(path, readonly=readonly))
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert sorted(os.listdir(path.parent)) == before


def test_a_missing_directory_is_named(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such directory: make it first") as caught:
        WorkerStatus(IDLE, at=path / "status")
    assert caught.value.filename == str(path)


@pytest.mark.parametrize(("mode", "allowed"), [(0o620, 0o620), (0o602, 0o602), (0o666, 0o666), (0o660, 0o660)], ids=oct)
def test_a_file_that_others_can_write_is_refused_unless_mode_says_so(path: Path, mode: int, allowed: int) -> None:
    made(path)
    path.chmod(mode)
    with pytest.raises(PermissionError, match="can be written by others") as caught:
        WorkerStatus(IDLE, at=path)
    assert f"mode={allowed & 0o622 | 0o600:#o}" in str(caught.value)
    assert WorkerStatus(IDLE, at=SharedFile(path, mode=allowed)) == IDLE


def test_another_users_file_is_refused_unless_mode_says_that_others_take_part(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    for readonly in (False, True):
        with pytest.raises(PermissionError, match="belongs to another user"):
            WorkerStatus(IDLE, at=SharedFile(path, readonly=readonly))
    assert WorkerStatus(IDLE, at=SharedFile(path, mode=0o660)) == IDLE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_a_full_file_system_is_an_error_when_the_value_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match=f"no room for the {mmap.PAGESIZE:,} bytes of a shared value") as caught:
        WorkerStatus(IDLE, at=path)
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert not os.listdir(path.parent)


def test_another_error_of_the_file_system_is_told_as_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match=f"^{re.escape(str(OSError(errno.EIO, os.strerror(errno.EIO), str(path))))}$"):
        WorkerStatus(IDLE, at=path)
    assert not os.listdir(path.parent)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL], ids=errno.errorcode.get)
def test_a_file_system_without_fallocate_is_written_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)  # musl tells what the kernel says, glibc writes zeros
    made(path)
    assert path.stat().st_blocks * 512 == mmap.PAGESIZE


def test_where_posix_fallocate_is_missing_the_file_is_written_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")  # macOS
    made(path)
    assert path.stat().st_blocks * 512 == mmap.PAGESIZE


def test_any_other_error_while_it_is_made_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="no links here"):
        WorkerStatus(IDLE, at=path)
    assert not os.listdir(path.parent)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOLCK], ids=errno.errorcode.get)
def test_a_kernel_without_such_locks_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(open_file, "_call", refuse)
    with pytest.raises(NotImplementedError, match="has no open-file-description locks"):
        WorkerStatus(IDLE, at=path)


def test_on_windows_it_says_that_there_is_no_such_thing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SharedFile(path)
    monkeypatch.setattr(life.os, "name", "nt")
    with pytest.raises(NotImplementedError, match="Windows"):
        WorkerStatus(IDLE, at=file)
    with pytest.raises(NotImplementedError, match="Windows"):
        contents.description_of(file)  # what the command line does


def test_the_package_can_be_loaded_without_the_modules_of_posix() -> None:
    code = """if True:
        import sys
        sys.modules["fcntl"] = None
        from multiprocessing_intenum import IntEnumValue, SharedFile, value_at
        import multiprocessing_intenum.__main__
        print(SharedFile("x").keep)
    """
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == b"False\n"


def test_words_that_nobody_wrote_are_damaged(path: Path) -> None:
    content = made(path)
    path.write_bytes(changed(content, BODY_AT + 8, b"\5"))  # a count whose entry is another one's
    with pytest.raises(ValueError, match="is damaged"):
        WorkerStatus(IDLE, at=SharedFile(path, keep=True))
    path.write_bytes(changed(content, BODY_AT, b"\3"))  # a writer was killed before he counted his change
    assert WorkerStatus(IDLE, at=path) == IDLE
    assert last_change(WorkerStatus(IDLE, at=path)).number == 0


def test_what_is_changed_while_it_is_opened_is_looked_at_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(path)
    lstat = os.lstat

    def change_it(name: Any) -> os.stat_result:
        monkeypatch.setattr(os, "lstat", lstat)
        info = lstat(name)
        path.chmod(0o622)
        return info

    monkeypatch.setattr(os, "lstat", change_it)
    with pytest.raises(PermissionError, match="can be written by others"):
        WorkerStatus(IDLE, at=path)


def test_an_interrupt_while_it_is_made_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name in ("link", "fchmod"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                WorkerStatus(IDLE, at=path)
        assert not os.listdir(path.parent)
    with monkeypatch.context() as patch:
        patch.setattr(OpenFile, "lock", interrupt)
        with pytest.raises(KeyboardInterrupt):
            WorkerStatus(IDLE, at=path)
    assert WorkerStatus(IDLE, at=path) == IDLE
    assert os.listdir(path.parent) == ["status"]


# Races and kills while it is made


def test_threads_that_open_at_once_get_one_value(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: WorkerStatus(IDLE, at=path), range(50)))
    assert len({id(status.get_lock()) for status in found}) == 1


@pytest.mark.parametrize("is_used", [True, False], ids=["used elsewhere", "over"])
def test_a_thread_that_is_overtaken_while_it_opens_gets_what_the_other_one_has_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, is_used: bool
) -> None:
    made(path)
    other = OpenFile(str(path), os.O_RDWR)
    assert not is_used or other.lock(USE, exclusive=False)
    lock, faster = life._while_making, []

    def overtaken(*given: Any) -> Any:
        monkeypatch.undo()
        faster.append(in_a_thread(lambda: WorkerStatus(CALCULATING, at=path)))
        return lock(*given)

    monkeypatch.setattr(life, "_while_making", overtaken)
    status = WorkerStatus(UNAVAILABLE, at=path)
    assert status.get_lock() is faster[0].get_lock()
    assert status == (IDLE if is_used else CALCULATING)
    other.close()


def test_strangers_that_open_at_once_get_one_value(path: Path) -> None:
    with strangers(4) as all_of_them:
        for _ in range(25):
            for each in all_of_them:
                each.tell(
                    f"status = WorkerStatus('IDLE', at={str(path)!r}); "
                    "won = compare_and_set(status, 'IDLE', 'CALCULATING')"
                )
            assert [each.answer() for each in all_of_them] == ["None"] * 4
            assert sum(each.ask("won") == "True" for each in all_of_them) == 1
            for each in all_of_them:
                each.ask("del status")
    assert os.listdir(path.parent) == ["status"]


def test_a_file_that_loses_its_name_while_it_is_opened_is_opened_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path)
    lock = OpenFile.lock

    def lose_it(self: OpenFile, byte: int, **how: Any) -> bool:
        if byte == MAKING and path.exists():
            monkeypatch.setattr(OpenFile, "lock", lock)
            path.unlink()
        return lock(self, byte, **how)

    monkeypatch.setattr(OpenFile, "lock", lose_it)
    assert WorkerStatus(CALCULATING, at=path) == CALCULATING
    assert path.exists()


def test_who_was_faster_in_making_it_wins(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with strangers(1) as (stranger,):
        put_in_place = life._put_in_place

        def be_too_late(*args: Any) -> Any:
            path.write_bytes(spare.read_bytes())  # a maker that does not know our lock: a restored backup
            return put_in_place(*args)

        spare = path.parent / "spare"
        stranger.ask(f"status = WorkerStatus('UNAVAILABLE', at={str(spare)!r})")
        monkeypatch.setattr(life, "_put_in_place", be_too_late)
        assert WorkerStatus(IDLE, at=SharedFile(path, mode=0o644)) == IDLE
        assert sorted(os.listdir(path.parent)) == ["spare", "status"]


def test_what_a_killed_maker_has_left_is_used_or_removed(path: Path) -> None:
    for half in (b"", LINE[:40]):  # killed while it was filled
        temporary(path).write_bytes(half)
        status = WorkerStatus(IDLE, at=path)
        assert os.listdir(path.parent) == ["status"]
        path.unlink()
    status = WorkerStatus(IDLE, at=path)
    os.link(path, temporary(path))  # killed after it was linked: it is in use
    path.unlink()
    other = WorkerStatus(CALCULATING, at=path)
    assert (snapshot(status), snapshot(other)) == (IDLE, CALCULATING)
    assert os.listdir(path.parent) == ["status"]


def test_what_a_killed_maker_has_left_may_be_the_very_file_that_is_replaced(path: Path) -> None:
    WorkerStatus(IDLE, at=path)
    os.link(path, temporary(path))
    assert IntEnumValue(FrutEnum.APPLE, at=path) == 1
    assert os.listdir(path.parent) == ["status"]


def test_what_a_killed_maker_with_another_mode_has_left_is_removed(path: Path) -> None:
    temporary(path).write_bytes(made(path))
    path.unlink()
    temporary(path).chmod(0o666)
    assert WorkerStatus(IDLE, at=path) == IDLE
    assert os.listdir(path.parent) == ["status"]


def test_somebody_elses_file_of_the_temporary_name_is_left_as_it_is(path: Path) -> None:
    temporary(path).write_text("my own notes")
    with pytest.raises(FileExistsError, match="is in the way: this name is needed"):
        WorkerStatus(IDLE, at=path)
    assert temporary(path).read_text() == "my own notes"
    assert os.listdir(path.parent) == [temporary(path).name]


def temporary(path: Path) -> Path:
    return path.parent / f".{path.name}.{os.geteuid()}.new"


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "ä" * 127):
        assert WorkerStatus(IDLE, at=tmp_path / name) == IDLE


@pytest.mark.parametrize("when", ["before", "after"])
def test_another_maker_has_taken_the_temporary_name(path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    lock = OpenFile.lock

    def lose_it(self: OpenFile, byte: int, **how: Any) -> bool:
        if byte == MAKING and temporary(path).exists():
            monkeypatch.setattr(OpenFile, "lock", lock)
            temporary(path).unlink()
        return lock(self, byte, **how)

    monkeypatch.setattr(OpenFile, "lock", lose_it)
    if when == "before":
        temporary(path).touch()
    assert WorkerStatus(IDLE, at=path) == IDLE
    assert os.listdir(path.parent) == ["status"]


def test_a_leftover_that_another_maker_removes_is_no_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = life.found_file

    def find_nothing(file: SharedFile) -> Any:
        if file.path == str(temporary(path)):
            monkeypatch.setattr(life, "found_file", find)
            temporary(path).unlink()
        return find(file)

    monkeypatch.setattr(life, "found_file", find_nothing)
    temporary(path).touch()
    assert WorkerStatus(IDLE, at=path) == IDLE


def test_an_error_that_is_kept_keeps_nobody_waiting(path: Path) -> None:
    made(path)
    errors: list[BaseException] = []
    for attempt in (
        lambda: WorkerStatus(at=path),
        lambda: IntEnumValue(FrutEnum.APPLE, at=SharedFile(path, keep=True)),
    ):
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            attempt()
        errors.append(caught.value)
    with strangers(1) as (stranger,):
        assert stranger.ask(f"WorkerStatus('IDLE', at={str(path)!r}).name") == "'IDLE'"
    assert WorkerStatus(IDLE, at=path) == IDLE
    assert all(error.__traceback__ for error in errors)


def test_a_signal_handler_that_opens_while_its_thread_opens_gets_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach = life._attach

    def be_interrupted(*args: Any, **how: Any) -> Any:
        with pytest.raises(RuntimeError, match="a signal handler can not open a value by path"):
            WorkerStatus(IDLE, at=path)
        return attach(*args, **how)

    made(path)
    monkeypatch.setattr(life, "_attach", be_interrupted)
    assert WorkerStatus(IDLE, at=path) == IDLE


def test_a_process_killed_at_a_random_moment_of_opening_harms_nobody(path: Path) -> None:
    code = f"""if True:
        import sys; sys.path.insert(0, {str(Path(__file__).parent / "support")!r})
        from enums import *
        print(flush=True)
        while True:
            status = WorkerStatus("IDLE", at={str(path)!r})
            del status
            status = IntEnumValue(FrutEnum.APPLE, at={str(path)!r})
            del status
    """
    for _ in range(15):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.002))  # the random moment itself
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE)
        status = WorkerStatus(CALCULATING, at=path)
        assert [change.after for change in history(status)] == [CALCULATING]
        del status
        assert len(os.listdir(path.parent)) <= 2


# What a file can hold


def test_an_enum_that_no_file_can_describe_is_refused_when_the_value_is_made(path: Path) -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    odd = enum.Enum("odd", {"A": Unprintable()})
    with pytest.raises(ValueError, match=r"Can not describe '<enum 'odd'>' .* value of A fails with ZeroDivisionError"):
        EnumValue(odd.A, at=path)
    long = enum.Enum("long", {"A": "x" * contents._LONGEST_TEXT})
    with pytest.raises(ValueError, match=r"take 16,777,\d+ bytes, more than the 16,777,215 allowed"):
        EnumValue(long.A, at=path)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize(
    "value", ["\ud800", 10**5000, -(10**30), "grün"], ids=["surrogate", "huge", "large", "letters"]
)
def test_any_value_of_a_member_can_be_described(path: Path, value: Any) -> None:
    odd: Any = enum.Enum("odd", {"A": value, "B": "b"})
    if value == 10**5000 and hasattr(sys, "set_int_max_str_digits"):  # Python writes no longer ones, see CVE-2020-10735
        with pytest.raises(ValueError, match=r"Can not describe .* value of A fails"):
            EnumValue(odd.A, at=path)
    else:
        status = EnumValue(odd.B, at=path)
        assert status == EnumValue[odd](at=path) == odd.B


def test_a_thousand_openings_leave_no_descriptor_behind(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1_000):
        WorkerStatus(IDLE, at=path)
    status = WorkerStatus(IDLE, at=path)
    other = contents.Contents({}, 8, lambda found: "another", None)
    for _ in range(1_000):
        with pytest.raises(ValueError, match="holds another value"):
            life.open_file(SharedFile(path), other)
    del status
    assert len(os.listdir("/proc/self/fd")) <= before + 1


class Text(str):
    __slots__ = ()


class Translated:
    """What gettext_lazy returns, as far as an enum's description sees it: its repr is that of the present language."""

    language = "en"

    def __init__(self, english: str, german: str) -> None:
        self.texts = {"en": english, "de": german}

    def __repr__(self) -> str:
        return repr(self.texts[self.language])


class Odd:
    """Its repr is no literal, but has a translated one in it only if it is asked for."""

    def __repr__(self) -> str:
        return "Odd(1)"


GOOD = Translated("good", "gut")
VALUES: dict[str, Any] = {
    "alone": GOOD,
    "in a tuple": ("g", GOOD),
    "in a list": ["g", [GOOD]],
    "in a dict": {"g": GOOD},
    "beside an object": (Odd(), GOOD),
    "none": (),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_the_description_of_a_value_depends_on_no_language(
    path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    mood: Any = enum.Enum("Mood", {"GOOD": value, "BAD": "bad"})
    monkeypatch.setattr(Translated, "language", "de")
    status = EnumValue(mood.GOOD, at=path)
    described = description_of_enum(members_of(mood))
    monkeypatch.setattr(Translated, "language", "en")
    assert EnumValue[mood](at=path) == status == mood.GOOD
    assert description_of_enum(members_of(mood)) == described
    assert b"gut" not in path.read_bytes()


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**70,
        0.5,
        1j,
        "a",
        b"a",
        ...,
        (1, "a"),
        [1],
        {1},
        frozenset({1}),
        {"a": (1,)},
        (),
        Text("x"),
        {(): []},
    ],
    ids=repr,
)
def test_a_plain_value_is_described_by_its_repr(value: Any) -> None:
    mood: Any = enum.Enum("Mood", {"GOOD": value})
    assert description_of_enum(members_of(mood))["values"]["GOOD"] == repr(mood.GOOD.value)


def test_another_object_is_described_by_its_repr_or_its_type_and_counts_as_the_same(path: Path) -> None:
    recursive: list[Any] = []
    recursive.append(recursive)
    mood: Any = enum.Enum("Mood", {"ODD": Odd(), "GOOD": GOOD, "PAIR": (Odd(), 1), "LIST": [Odd(), "a"]})
    found = description_of_enum(members_of(mood))["values"]
    assert found == {"ODD": "Odd(1)", "GOOD": "<Translated>", "PAIR": "(Odd(1), 1)", "LIST": "[Odd(1), 'a']"}
    status = EnumValue(mood.ODD, at=path)
    other: Any = enum.Enum("Mood", {"ODD": "x", "GOOD": "gut", "PAIR": (1, 1), "LIST": []})
    assert EnumValue[other](at=path).name == status.name == "ODD"
    with pytest.raises(ValueError, match=r"repr\(\) of the value of A fails with RecursionError"):
        description_of_enum(members_of(enum.Enum("Mood", {"A": recursive})))  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", [False, True])
def test_a_value_that_a_killed_process_was_beginning_anew_can_not_be_gone_on_with(path: Path, keep: bool) -> None:
    content = made(path)
    path.write_bytes(changed(content, BEGINNING_AT, b"\1"))
    with pytest.raises(FileNotFoundError) as caught:
        WorkerStatus(at=SharedFile(path, keep=keep))
    assert ("keep=True" in str(caught.value)) is not keep
    assert "start the process that makes it, with a first value" in str(caught.value)
    assert ("is not whole" in str(caught.value)) is keep
    assert WorkerStatus(IDLE, at=SharedFile(path, keep=keep)) == IDLE


def test_a_count_that_nobody_can_have_reached_is_damage_and_begun_anew(path: Path) -> None:
    content = made(path)
    for settled in (b"\2", b"\3"):
        broken = changed(content, BODY_AT + 8, b"\xff" * 8)
        broken = changed(broken, BODY_AT + 64 + 31 * 32 + 16, b"\xff" * 8)  # its entry
        path.write_bytes(changed(broken, BODY_AT + 24, settled))
        with pytest.raises(ValueError, match="is damaged: stop the processes that use it, and remove it"):
            WorkerStatus(at=SharedFile(path, keep=True))
        status = WorkerStatus(CALCULATING, at=path)
        assert [(change.after, change.number) for change in history(status)] == [(CALCULATING, 0)]
        del status


# File systems


def test_a_new_file_is_on_the_disk_before_it_has_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a power cut may leave the name with a file of zeros, which is then refused."""
    done: list[str] = []
    fsync, link, rename = os.fsync, os.link, os.rename

    def flush(fd: int) -> None:
        done.append(f"{os.pread(fd, 24, 0)!r} {os.fstat(fd).st_size % mmap.PAGESIZE}")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "link", lambda *names: (done.append("link"), link(*names)))
    monkeypatch.setattr(os, "rename", lambda *names: (done.append("rename"), rename(*names)))
    WorkerStatus(IDLE, at=path)
    IntEnumValue(FrutEnum.APPLE, at=path)
    assert done == ["b'multiprocessing-intenum ' 0", "link", "b'multiprocessing-intenum ' 0", "rename"]


def test_btrfs_is_told_to_write_in_place_while_the_file_is_empty(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk a copy on write would be a SIGBUS. btrfs takes the flag for an empty file only."""
    calls: list[tuple[int, int]] = []

    def ioctl(fd: int, request: int, argument: bytes) -> bytes:
        assert os.fstat(fd).st_size == 0
        (flags,) = struct.unpack("@l", argument)
        calls.append((request, flags))
        return struct.pack("@l", 0x10)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    WorkerStatus(IDLE, at=path)
    no_copy_on_write = 0x00800000
    assert calls == [(life._GET_FLAGS, 0), (life._SET_FLAGS, 0x10 | no_copy_on_write)]


def test_no_other_platform_is_told_what_is_for_linux(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the same numbers may mean something else."""
    calls: list[object] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda *given: calls.append(given))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert WorkerStatus(IDLE, at=path) == IDLE
    assert not calls


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS], ids=errno.errorcode.get)
def test_a_file_system_without_hard_links_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match=r"has no hard links \(FAT and exFAT have none\)") as caught:
        WorkerStatus(IDLE, at=path)
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert not os.listdir(path.parent)
