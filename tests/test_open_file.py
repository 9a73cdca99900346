"""open_file: the kernel's locks on an open file, and descriptors that a program closes behind our back."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from multiprocessing_intenum import fork
from multiprocessing_intenum.locks import open_file
from multiprocessing_intenum.locks.open_file import MAKING, USE, GoneError, OpenFile, private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.touch()
    return str(path)


def test_ranges_exclude_openings_not_processes(path: str) -> None:
    one, other = OpenFile(path, os.O_RDWR), OpenFile(path, os.O_RDWR)
    assert not one.is_locked(USE)
    assert one.lock(USE, exclusive=False)
    assert other.lock(USE, exclusive=False)
    assert one.is_locked(USE)
    assert not one.lock(USE)
    assert one.lock(MAKING)
    other.unlock(USE)
    assert one.lock(USE)
    assert not other.lock(USE, exclusive=False)
    assert other.is_locked(USE)


@pytest.mark.parametrize("use", [OpenFile.lock, OpenFile.unlock, OpenFile.is_locked])
def test_another_error_of_the_kernel_is_told_as_it_is(path: str, monkeypatch: pytest.MonkeyPatch, use: Any) -> None:
    file = OpenFile(path, os.O_RDWR)
    with monkeypatch.context() as patch:
        patch.setattr(open_file, "_call", raising(OSError(errno.EIO, "refused")))
        with pytest.raises(OSError, match="refused") as caught:
            use(file, USE)
        assert caught.value.errno == errno.EIO
        assert not isinstance(caught.value, GoneError)
    assert file.is_ours()
    assert file.lock(USE)


def test_who_has_no_right_to_open_it_once_more_is_told_what_to_do(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = OpenFile(path, os.O_RDWR)
    for error, what in (
        (PermissionError(errno.EACCES, "refused"), r"it has dropped its rights .* SharedFile"),
        (OSError(errno.EMFILE, "refused"), f"{os.strerror(errno.EMFILE)}, .* raise the limit"),
        (OSError(errno.EIO, "refused"), os.strerror(errno.EIO)),
    ):
        monkeypatch.setattr(os, "open", raising(error))
        with pytest.raises(type(error), match=what) as caught:
            one.again(os.O_RDWR)
        assert caught.value.filename == path


def raising(error: OSError) -> Any:
    def refuse(*_: object) -> None:
        raise error

    return refuse


def test_without_proc_it_is_opened_again_by_its_name(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_it = os.open

    def without_proc(name: str, *args: Any) -> int:
        if name.startswith("/proc"):
            raise FileNotFoundError
        return open_it(name, *args)

    one = OpenFile(path, os.O_RDWR)
    monkeypatch.setattr(os, "open", without_proc)
    assert one.again(os.O_RDWR).identity == one.identity
    os.rename(path, path + ".old")
    with pytest.raises(FileNotFoundError, match=os.strerror(errno.ENOENT)):
        one.again(os.O_RDWR)
    OpenFile(path, os.O_RDWR | os.O_CREAT, 0o600)
    with pytest.raises(FileNotFoundError, match="another file has this name now"):
        one.again(os.O_RDWR)


def test_a_name_that_is_gone_is_none(path: str) -> None:
    one = OpenFile(path, os.O_RDWR)
    assert one.is_named()
    os.unlink(path)
    assert not one.is_named()


def test_what_has_no_position_is_closed_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=os.strerror(errno.ESPIPE)):
        OpenFile(str(tmp_path / "fifo"), os.O_RDWR)
    assert len(os.listdir("/proc/self/fd")) <= before  # what earlier tests have left may be closed meanwhile


@pytest.fixture(params=["nothing", "a file", "a socket", "the same file"])
def another(request: pytest.FixtureRequest, path: str) -> Iterator[tuple[OpenFile, Any]]:
    """An open file whose descriptor was closed, and what has got its number since."""
    file = OpenFile(path, os.O_RDWR)
    file.lock(USE)
    held: Any = None
    number = file.fd
    os.close(number)
    if request.param == "a file":
        held = open(path + ".log", "w")  # noqa: SIM115
    elif request.param == "a socket":
        held = socket.socket()
    elif request.param == "the same file":
        held = open(path, "r+")  # noqa: SIM115
    assert held is None or held.fileno() == number
    yield file, held
    if held is not None:
        assert held.fileno() == os.dup2(number, number)  # still open
        held.close()


def test_what_has_got_its_number_is_neither_locked_nor_unlocked_nor_closed(
    another: tuple[OpenFile, Any], path: str
) -> None:
    file, held = another
    assert not file.is_ours()
    assert file.was_closed()
    for use in (
        lambda: file.lock(USE),
        lambda: file.unlock(USE),
        lambda: file.is_locked(USE),
        lambda: file.again(os.O_RDWR),
    ):
        with pytest.raises(GoneError, match="has closed the descriptors of this shared value") as caught:
            use()
        assert caught.value.filename == path
    look = OpenFile(path, os.O_RDWR)
    assert not look.is_locked(USE)
    if held is not None and not isinstance(held, socket.socket):
        # A position that is the file's own, as if the number had been given out twice.
        assert os.lseek(held.fileno(), 0, os.SEEK_CUR) == 0
    file.close()


def test_it_can_go_on_with_another_opening(another: tuple[OpenFile, Any], path: str) -> None:
    file, _ = another
    file.replace(OpenFile(path, os.O_RDWR))
    assert file.is_ours()
    assert file.was_closed()
    assert file.lock(USE)
    assert OpenFile(path, os.O_RDWR).is_locked(USE)
    file.close()
    assert not OpenFile(path, os.O_RDWR).is_locked(USE)


def test_what_is_opened_while_another_thread_forks_is_opened_anew(path: str) -> None:
    opened: list[int] = []

    def open_it() -> OpenFile:
        file = OpenFile(path, os.O_RDWR)
        opened.append(file.fd)
        if len(opened) == 1:
            os.set_inheritable(file.fd, True)
            child = os.fork()  # as another thread may: before anybody knows that the child has to close this file
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
        return file

    forks = fork.count()
    file = private(open_it)
    assert len(opened) == 2
    assert fork.count() == forks + 1
    assert file.is_ours()
