"""python-daemon, and os.closerange() by hand, close the descriptors of a value by path behind the library's back."""

import ast
import os
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
from helpers import DEADLINE
from path_targets import strangers

DAEMON = "import sys, daemon; streams = dict(stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)"
CLOSING = {
    "python-daemon": "daemon.DaemonContext(**streams).open()",
    "closerange": "os.closerange(3, 256)",
}
LOCK_IT = "for f in files: fcntl.fcntl(f, 37, struct.pack('@hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK"
LOST = "the program has closed the descriptors of this shared value"


class Daemon:
    """A process whose descriptors are closed, with files of its own by the numbers that the value had."""

    def __init__(self, stranger, path):
        self.stranger, self.path = stranger, path
        self.run(f"path = {str(path)!r}", DAEMON, "import fcntl, gc, struct")
        self.run("status = WorkerStatus('IDLE', at=path)", "status.set('CALCULATING')", "status.set('IDLE')")

    def run(self, *statements):
        for statement in statements:
            assert self.stranger.ask(statement) == "None", statement

    def of(self, expression):
        return ast.literal_eval(self.stranger.ask(expression))

    def numbers_of_the_value(self):
        # Not by their names: the file got its name after it was opened.
        is_of_it = "os.path.exists(link := f'/proc/self/fd/{n}') and os.path.samefile(link, path)"
        return set(self.of(f"[n for n in range(256) if {is_of_it}]"))

    def lose_its_descriptors(self, closing):
        numbers = self.numbers_of_the_value()
        self.run(closing)
        self.run("files = [open(f'{path}.{n}', 'w+b', 0) for n in range(16)]", LOCK_IT)
        assert numbers
        assert numbers <= set(self.of("[f.fileno() for f in files]"))
        self.locks = self.locks_of_its_files()

    def locks_of_its_files(self):
        """Return what the kernel says of them: one lock of all of each file, but for ours."""
        inodes = {str(file.stat().st_ino) for file in self.path.parent.glob(f"{self.path.name}.*")}
        with open("/proc/locks") as file:
            found = [line.split()[1:] for line in file if line.split()[-3].rpartition(":")[2] in inodes]
        assert len(found) == len(inodes) == 16
        return sorted(found)

    def assert_its_files_are_untouched(self):
        assert self.locks_of_its_files() == self.locks
        for n in range(16):
            content = (self.path.parent / f"{self.path.name}.{n}").read_bytes()
            self.run(f"_ = files[{n}].write(b'a')")
            assert (self.path.parent / f"{self.path.name}.{n}").read_bytes() == content + b"a"


@contextmanager
def daemon_and_other(path):
    """Yield a daemon in the making, and another process."""
    with strangers(2) as (first, other):
        try:
            yield Daemon(first, path), other
        finally:
            with suppress(BrokenPipeError):
                first.process.stdin.close()
            first.process.stdout.read()  # to the end, which comes when the daemon has ended


def command_line(*arguments):
    command = [sys.executable, "-m", "multiprocessing_intenum", *map(str, arguments)]
    return subprocess.run(command, timeout=DEADLINE, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("closing", CLOSING.values(), ids=CLOSING)
def test_the_lock_still_excludes_another_process_and_writes_go_on(tmp_path, closing):
    path = tmp_path / "status"
    with daemon_and_other(path) as (daemon, other):
        daemon.lose_its_descriptors(closing)
        assert command_line("wait", path, "IDLE", "--used").returncode == 0  # its memory is still that of the file
        assert daemon.of("status.get_lock().acquire(timeout=10)") is True
        daemon.assert_its_files_are_untouched()
        assert command_line("set", path, "CALCULATING", "--timeout", "0.2").returncode == 1
        assert other.ask(f"status = WorkerStatus(at={str(path)!r})") == "None"
        assert other.ask("exchange(status, 'CALCULATING', timeout=0.1)").startswith("TimeoutError: ")
        daemon.run("status.set('CALCULATING')", "status.set('UNAVAILABLE')")
        assert other.ask("status.name") == "'UNAVAILABLE'"
        daemon.run("status.get_lock().release()")
        assert other.ask("compare_and_set(status, 'UNAVAILABLE', 'IDLE', timeout=10)") == "True"
        assert daemon.of("wait_for(status, 'IDLE', 10).name") == "IDLE"
        daemon.assert_its_files_are_untouched()
        other.end()
        assert command_line("wait", path, "IDLE", "--used").returncode == 0  # by the daemon


@pytest.mark.parametrize("closing", CLOSING.values(), ids=CLOSING)
def test_the_end_of_such_a_value_closes_no_file_of_the_program(tmp_path, closing):
    with daemon_and_other(tmp_path / "status") as (daemon, _):
        daemon.lose_its_descriptors(closing)
        daemon.run("del status", "_ = gc.collect()")
        daemon.assert_its_files_are_untouched()


@pytest.mark.parametrize("closing", CLOSING.values(), ids=CLOSING)
def test_nor_does_it_after_the_value_was_opened_again(tmp_path, closing):
    with daemon_and_other(tmp_path / "status") as (daemon, _):
        daemon.lose_its_descriptors(closing)
        daemon.run("status.set('CALCULATING')")
        daemon.run("thread = threading.Thread(target=status.set, args=('IDLE',))", "thread.start()", "thread.join()")
        assert daemon.of("status.name") == "IDLE"
        daemon.run("del status, thread", "_ = gc.collect()")
        daemon.assert_its_files_are_untouched()
        # Before Python 3.13 the memory map would close a descriptor, its duplicate, by number: so it lives on.
        is_over = sys.version_info >= (3, 13)
        assert command_line("wait", tmp_path / "status", "IDLE", "--used", "--timeout", "0").returncode == is_over


def test_a_lock_that_is_lost_while_it_is_held_is_an_error(tmp_path):
    with daemon_and_other(tmp_path / "status") as (daemon, other):
        daemon.run("lock = status.get_lock()")
        assert daemon.of("lock.acquire()") is True
        daemon.lose_its_descriptors(CLOSING["closerange"])
        error = daemon.stranger.ask("status.set('CALCULATING')")
        assert LOST in error
        assert str(tmp_path / "status") in error
        assert daemon.of("status.name") == "IDLE"
        daemon.assert_its_files_are_untouched()
        assert LOST in daemon.stranger.ask("lock.release()")
        daemon.run("status.set('CALCULATING')")  # and from now on it is as before
        assert other.ask(f"WorkerStatus(at={str(tmp_path / 'status')!r}).name") == "'CALCULATING'"
        daemon.assert_its_files_are_untouched()


def test_it_writes_to_no_other_file_that_has_the_name_meanwhile(tmp_path):
    path = tmp_path / "status"
    with daemon_and_other(path) as (daemon, other):
        daemon.lose_its_descriptors(CLOSING["python-daemon"])
        path.unlink()
        assert other.ask(f"IntEnumValue(FrutEnum.APPLE, at={str(path)!r}).name") == "'APPLE'"
        error = daemon.stranger.ask("status.set('CALCULATING')")
        assert LOST in error
        assert str(path) in error
        assert daemon.of("status.name") == "IDLE"
        assert command_line("show", path).stdout.startswith("APPLE ")
        daemon.assert_its_files_are_untouched()


PRESERVING = "daemon.DaemonContext(files_preserve=list(map(int, os.listdir('/proc/self/fd'))), **streams).open()"


def test_files_that_are_preserved_need_not_be_opened_again(tmp_path):
    path = tmp_path / "status"
    with daemon_and_other(path) as (daemon, other):
        before = daemon.of("os.getpid()")
        numbers = daemon.numbers_of_the_value()
        daemon.run(PRESERVING)
        assert numbers & daemon.numbers_of_the_value()
        assert daemon.of("os.getpid()") != before
        assert other.ask(f"status = WorkerStatus(at={str(path)!r})") == "None"
        daemon.run("status.set('CALCULATING')")
        assert other.ask("status.name") == "'CALCULATING'"
        assert other.ask("last_change(status).pid") == str(daemon.of("os.getpid()"))


def test_a_value_that_is_made_after_that_is_like_any_other(tmp_path):
    path = tmp_path / "status"
    with daemon_and_other(path) as (daemon, other):
        daemon.run("del status", CLOSING["python-daemon"], "status = WorkerStatus('IDLE', at=path)")
        assert other.ask(f"status = WorkerStatus(at={str(path)!r})") == "None"
        assert os.path.exists(path)
        daemon.run("status.set('CALCULATING')")
        assert other.ask("status.name") == "'CALCULATING'"
