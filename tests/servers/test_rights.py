"""What a process can do that may only read the file of a value, and one that has given up the rights of root."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, TIMED_WRITERS
from path_targets import strangers

from multiprocessing_intenum import SharedFile, exchange, snapshot
from multiprocessing_intenum.locks.open_file import MAKING, WRITING

NOBODY = 65534
BECOME_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"
IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


@pytest.fixture
def path():
    """A path in a directory of root that others may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory / "status"


def lock_as_a_reader(stranger, path, byte):
    """Let another process lock a byte as one may who may only read: shared, which keeps out those who write."""
    lines = [
        "import fcntl, struct",
        BECOME_NOBODY,
        f"fd = os.open({str(path)!r}, os.O_RDONLY)",
        f"_ = fcntl.fcntl(fd, 37, struct.pack('@hhqqi4x', fcntl.F_RDLCK, 0, {byte}, 1, 0))  # F_OFD_SETLK",
    ]
    for line in lines:
        assert stranger.ask(line) == "None"
    assert stranger.ask(f"os.open({str(path)!r}, os.O_RDWR)").startswith("PermissionError: ")


def command_line(*arguments):
    command = [sys.executable, "-m", "multiprocessing_intenum", *map(str, arguments)]
    return subprocess.run(command, timeout=DEADLINE, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("byte", [WRITING, MAKING], ids=["the lock of the writers", "the lock of the makers"])
def test_set_ends_in_time_though_a_reader_holds_a_lock(path, byte):
    status = WorkerStatus(IDLE, at=SharedFile(path, mode=0o644))
    with strangers(1) as [reader]:
        lock_as_a_reader(reader, path, byte)
        done = command_line("set", path, "CALCULATING", "--timeout", "0.5")
        assert done.returncode in (1, 2)
        assert done.stderr.count("\n") == 1
        assert snapshot(status) is IDLE
        assert command_line("show", path).stdout.startswith("IDLE ")
        assert command_line("wait", path, "IDLE", "--used").returncode == 0
        reader.kill()
        assert command_line("set", path, "CALCULATING", "--timeout", str(DEADLINE)).returncode == 0
    assert snapshot(status) is CALCULATING


@pytest.mark.parametrize("writer", TIMED_WRITERS.values(), ids=TIMED_WRITERS)
def test_a_write_with_a_timeout_ends_in_time_though_a_reader_holds_the_lock(path, writer):
    status = WorkerStatus(IDLE, at=SharedFile(path, mode=0o644))
    with strangers(1) as [reader]:
        lock_as_a_reader(reader, path, WRITING)
        with pytest.raises(TimeoutError, match=r"0\.1"):
            writer(status, CALCULATING, 0.1)
        assert snapshot(status) is IDLE
        reader.kill()
        writer(status, CALCULATING, DEADLINE)
    assert snapshot(status) is CALCULATING


@pytest.mark.parametrize("hide", [False, True], ids=["in a directory that others may enter", "in one of root alone"])
def test_with_its_own_mode_others_can_lock_nothing(path, hide):
    status = WorkerStatus(IDLE, at=SharedFile(path, mode=0o600 if not hide else 0o644))
    path.parent.chmod(0o700 if hide else 0o755)
    with strangers(1) as [other]:
        assert other.ask(BECOME_NOBODY) == "None"
        assert other.ask(f"os.open({str(path)!r}, os.O_RDONLY)").startswith("PermissionError: ")
    assert exchange(status, CALCULATING, timeout=DEADLINE) is IDLE


def in_nobody(path, *lines):
    """Run lines in a process that opens the value as root, and return the last answer."""
    with strangers(1) as [stranger]:
        for line in (f"status = WorkerStatus('IDLE', at={str(path)!r})", *lines[:-1]):
            assert stranger.ask(line) == "None"
        return stranger.ask(lines[-1])


FORKED = """
reading, writing = os.pipe()
if os.fork() == 0:
    try:
        answer = update(status, lambda _: WorkerStatusEnum.CALCULATING).name
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}"
    os.write(writing, answer.encode())
    os._exit(0)
os.close(writing)
"""


def test_threads_write_by_what_was_opened_before_the_rights_were_given_up(path):
    lines = [
        BECOME_NOBODY,
        "numbers = []",
        "write = lambda: numbers.extend(status.get_lock().__enter__() and [status.set('CALCULATING'), "
        "status.set('IDLE'), status.get_lock().release()] for _ in range(100))",
        "threads = [threading.Thread(target=write) for _ in range(8)]",
        "_ = [thread.start() for thread in threads]",
        f"_ = [thread.join({DEADLINE}) for thread in threads]",
        "len(numbers), last_change(status).number, os.geteuid()",
    ]
    assert in_nobody(path, *lines) == str((800, 1600, NOBODY))


def test_a_child_that_was_forked_after_that_is_told_what_to_do(path):
    error = in_nobody(path, BECOME_NOBODY, f"exec({FORKED!r})", "os.read(reading, 10000).decode()")
    assert "PermissionError: " in error
    assert str(path) in error
    assert "/proc" not in error
    assert "mode=" in error
    assert path.stat().st_uid == os.geteuid()
