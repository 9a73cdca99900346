"""file_lock: the lock of a value by path, where rights, descriptors and processes come and go."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, Child, held_elsewhere, in_a_thread, is_free
from path_targets import strangers

from multiprocessing_intenum import SharedFile, exchange, last_change, snapshot, update, value_at, wait_for
from multiprocessing_intenum.by_path import contents, file_lock, life
from multiprocessing_intenum.locks.open_file import MAKING, USE, WRITING, GoneError, OpenFile

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


@pytest.fixture
def path(tmp_path: Path) -> str:
    tmp_path.parent.chmod(0o755)
    tmp_path.parent.parent.chmod(0o755)
    tmp_path.chmod(0o755)
    return str(tmp_path / "status")


def descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")


# A program that closes all descriptors, as os.closerange() and python-daemon do


def close_all(logs: Path) -> list[Any]:
    """Close what is open in a forked child, and open files that get the numbers."""
    os.closerange(3, 1_000)
    return [open(logs / f"log{number}", "w") for number in range(8)]


def test_after_all_descriptors_were_closed_the_lock_still_excludes(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    status.set(CALCULATING)

    def daemon() -> None:
        logs = close_all(Path(path).parent)
        with strangers(1) as (stranger,):
            stranger.ask(f"status = WorkerStatus(at={path!r})")
            with status.get_lock():
                assert stranger.ask("exchange(status, 'UNAVAILABLE', timeout=0.05)").startswith("TimeoutError")
                status.set(IDLE)
            assert stranger.ask("exchange(status, 'UNAVAILABLE').name") == "'IDLE'"
        status.set(CALCULATING)
        assert last_change(status).pid == os.getpid()
        for log in logs:
            log.write("still mine")
            log.close()

    assert Child(daemon).succeeds()
    assert status == CALCULATING


def test_after_all_descriptors_were_closed_the_value_is_still_in_use(path: str) -> None:
    """The memory keeps the opening of the file, and its lock, as long as it is mapped."""

    def daemon() -> None:
        status = WorkerStatus(IDLE, at=path)
        reader = WorkerStatus(at=SharedFile(path, readonly=True))
        logs = close_all(Path(path).parent)
        assert reader._self_cell.open_file.is_used() is True
        status.set(CALCULATING)
        assert reader._self_cell.open_file.is_used() is True
        with strangers(1) as (stranger,):
            assert stranger.ask(f"WorkerStatus('IDLE', at={path!r}).name") == "'CALCULATING'"
        del status
        assert reader == CALCULATING
        # Before Python 3.13 the memory is kept for ever: with it Python would close a descriptor of the program.
        assert reader._self_cell.open_file.is_used() is (sys.version_info < (3, 13))
        assert logs

    assert Child(daemon).succeeds()


def test_a_lock_that_is_lost_while_it_is_held_is_an_error(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)

    def daemon() -> None:
        lock: Any = status.get_lock()
        lock.acquire()
        close_all(Path(path).parent)
        with strangers(1) as (stranger,):
            assert stranger.ask(f"exchange(WorkerStatus('IDLE', at={path!r}), 'UNAVAILABLE').name") == "'IDLE'"
        for write in (lambda: status.set(CALCULATING), lambda: exchange(status, CALCULATING)):
            with pytest.raises(GoneError, match="another process may have written"):
                write()
        assert status == UNAVAILABLE
        assert "held by this thread" in repr(lock)
        with pytest.raises(GoneError):
            lock.release()
        status.set(CALCULATING)

    assert Child(daemon).succeeds()


@pytest.mark.parametrize("is_there", [True, False], ids=["another file", "no file"])
def test_after_all_descriptors_were_closed_a_file_that_has_lost_its_name_is_an_error(
    path: str, *, is_there: bool
) -> None:
    def daemon() -> None:
        status = WorkerStatus(IDLE, at=path)
        os.rename(path, path + ".old")
        if is_there:
            WorkerStatus(CALCULATING, at=path)
        close_all(Path(path).parent)
        with pytest.raises(FileNotFoundError, match=r"has closed the descriptors .* Make the value after that"):
            status.set(CALCULATING)
        assert snapshot(status) is IDLE

    assert Child(daemon).succeeds()


def test_a_program_may_close_them_again_and_again(path: str) -> None:
    def daemon() -> None:
        status = WorkerStatus(IDLE, at=path)
        for number in range(6):
            close_all(Path(path).parent)
            status.set(CALCULATING if number % 2 == 0 else IDLE)
            assert exchange(status, UNAVAILABLE) is not UNAVAILABLE
            assert last_change(status).number == 2 * number + 2
        assert is_free(status.get_lock())

    assert Child(daemon).succeeds()


def test_whether_the_file_has_its_name_is_known_without_descriptors_too(path: str) -> None:
    def daemon() -> None:
        status = WorkerStatus(IDLE, at=path)
        close_all(Path(path).parent)
        assert wait_for(status, IDLE, timeout=0) is IDLE
        os.unlink(path)
        with pytest.raises(FileNotFoundError, match="the file was removed or replaced"):
            wait_for(status, IDLE, timeout=0)
        assert status == IDLE

    assert Child(daemon).succeeds()


def test_the_memory_of_closed_descriptors_closes_no_file_of_the_program(path: str) -> None:
    """Before Python 3.13 mmap keeps a duplicate of the descriptor, and closes that number with the memory."""

    def daemon() -> None:
        status = WorkerStatus(IDLE, at=path)
        other = WorkerStatus(IDLE, at=path + ".other")
        logs = close_all(Path(path).parent)
        other.set(CALCULATING)  # opened again
        del status, other
        gc.collect()
        for log in logs:
            log.write("still open")
            log.close()

    assert Child(daemon).succeeds()


def test_two_threads_that_notice_it_at_once_open_the_file_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def daemon() -> None:
        lock: Any = WorkerStatus(IDLE, at=path).get_lock()
        close_all(Path(path).parent)
        monkeypatch.setattr(file_lock, "_reopening", Slow(lock._reopen))
        lock._reopen()
        assert is_free(lock)

    class Slow:
        """A lock whose other side is faster the first time."""

        def __init__(self, reopen: Any) -> None:
            self.reopen, self.is_first = reopen, True

        def __enter__(self) -> None:
            if self.is_first:
                self.is_first = False
                self.reopen()

        def __exit__(self, *_: object) -> None:
            pass

    assert Child(daemon).succeeds()


def test_opening_it_again_waits_for_a_maker_but_not_for_ever(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def daemon() -> None:
        status = WorkerStatus(IDLE, at=path)
        close_all(Path(path).parent)
        stuck = OpenFile(path, os.O_RDWR)
        assert stuck.lock(MAKING)
        monkeypatch.setattr(file_lock, "PATIENCE", SHORT)
        with pytest.raises(TimeoutError, match="another process has been opening the file for"):
            status.set(CALCULATING)
        stuck.close()
        status.set(CALCULATING)

    assert Child(daemon).succeeds()


# A process that drops the rights of root, as gunicorn does with --user


if os.geteuid() == 0:

    def nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    @pytest.mark.parametrize("when", ["in the process that has made it", "in a forked child"])
    def test_rights_that_are_dropped_after_the_value_was_made_are_not_missed(path: str, when: str) -> None:
        def drop_and_write() -> None:
            status = WorkerStatus(IDLE, at=path)
            work = (lambda: drop(status)) if when == "in the process that has made it" else None
            if work is None:
                assert Child(lambda: drop(status)).succeeds()
            else:
                work()

        def drop(status: WorkerStatus) -> None:
            nobody()
            status.set(CALCULATING)
            with held_elsewhere(status.get_lock()) as done:  # several threads have one opening between them
                with pytest.raises(TimeoutError):
                    exchange(status, IDLE, timeout=SHORT)
                done.set()
                exchange(status, IDLE, timeout=DEADLINE)
            assert in_a_thread(lambda: exchange(status, UNAVAILABLE)) is IDLE
            assert status.get_lock().acquire(False) is not None

        assert Child(drop_and_write).succeeds()

    def test_a_fork_after_the_rights_were_dropped_is_told_what_to_do(path: str) -> None:
        def drop_and_fork() -> None:
            status = WorkerStatus(IDLE, at=path)
            nobody()
            assert Child(lambda: refused(status)).succeeds()

        def refused(status: WorkerStatus) -> None:
            with pytest.raises(PermissionError, match=r"it has dropped its rights .* SharedFile") as caught:
                status.set(CALCULATING)
            assert caught.value.filename == path
            assert status == IDLE

        assert Child(drop_and_fork).succeeds()

    def test_a_file_of_another_user_is_not_written_to_because_others_may_read_it(path: str) -> None:
        WorkerStatus(IDLE, at=SharedFile(path, mode=0o644))
        os.chown(path, 65534, 65534)
        with pytest.raises(PermissionError, match=r"belongs to another user .* mode=0o660"):
            WorkerStatus(IDLE, at=SharedFile(path, mode=0o644))
        assert WorkerStatus(at=SharedFile(path, mode=0o644, readonly=True)) == IDLE
        with pytest.raises(PermissionError, match=r"belongs to another user .* mode=0o640"):
            WorkerStatus(at=SharedFile(path, readonly=True))
        assert WorkerStatus(IDLE, at=SharedFile(path, mode=0o664)) == IDLE


# What holds up others


def test_a_process_that_may_only_read_cannot_hold_up_an_opener_for_ever(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=path)
    reader = OpenFile(path, os.O_RDONLY)
    assert reader.lock(MAKING, exclusive=False)
    monkeypatch.setattr(life, "PATIENCE", SHORT)
    with pytest.raises(TimeoutError, match="could not be opened in time") as caught:
        in_a_thread(lambda: opened_anew(path))
    assert caught.value.filename == path
    reader.unlock(MAKING)
    assert reader.lock(WRITING, exclusive=False)
    with pytest.raises(TimeoutError, match="could not lock"):
        exchange(status, CALCULATING, timeout=SHORT)
    reader.close()
    exchange(status, CALCULATING, timeout=DEADLINE)


def opened_anew(path: str) -> Any:
    """Open a file as another process would, which does not know it yet."""
    known = life._opened.copy()
    life._opened.clear()
    try:
        return WorkerStatus(at=path)
    finally:
        life._opened.update(known)


def test_what_ends_with_the_interpreter_is_left_to_the_kernel(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The globals of the module are gone by then."""
    lock: Any = WorkerStatus(IDLE, at=path).get_lock()
    with monkeypatch.context() as patch:
        patch.setattr("sys.is_finalizing", lambda: True)
        lock.acquire()
    (turn,) = lock._turns.values()
    turn.end.__callback__(None)
    assert lock._is_mine()
    lock.release()


@pytest.mark.parametrize("byte", [MAKING, WRITING], ids=["makers", "writers"])
def test_set_ends_in_time_whatever_is_locked(path: str, byte: int) -> None:
    status = WorkerStatus(IDLE, at=path)
    reader = OpenFile(path, os.O_RDONLY)
    assert reader.lock(byte, exclusive=False)
    done = command_line("set", path, "CALCULATING", "--timeout", "0.2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not set" in done.stderr
    assert status == IDLE
    reader.close()
    assert command_line("set", path, "CALCULATING", "--timeout", "20").stdout == "IDLE -> CALCULATING\n"


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "multiprocessing_intenum", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)


# Who uses the file


def test_an_opener_that_is_refused_is_never_taken_for_a_user(path: str) -> None:
    WorkerStatus(IDLE, at=path)  # over
    code = f"""if True:
        import sys; sys.path.insert(0, {str(Path(__file__).parent / "support")!r})
        from enums import *
        print(flush=True)
        while True:
            try: WorkerStatus(at={path!r})
            except FileNotFoundError: pass
    """
    looker = OpenFile(path, os.O_RDONLY)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 1
        used = 0
        while time.monotonic() < deadline:
            used += looker.is_locked(USE)
        process.kill()
    assert used == 0


def test_a_value_is_in_use_only_once_its_first_state_is_stored(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WorkerStatus(CALCULATING, at=path)  # over
    looker = OpenFile(path, os.O_RDONLY)
    seen: list[tuple[bool, int]] = []
    pwrite = os.pwrite

    def look(*args: Any) -> int:
        seen.append((looker.is_locked(USE), os.pread(looker.fd, 8, contents._BEGINNING_AT)[0]))
        return pwrite(*args)

    monkeypatch.setattr(os, "pwrite", look)
    status = WorkerStatus(IDLE, at=path)
    assert seen == [(False, 0), (False, 1)]
    assert looker.is_locked(USE)
    assert status == IDLE


def test_a_look_in_a_process_that_uses_the_value_itself_counts_that_process(path: str) -> None:
    """The look is by the lock that the process has. The kernel would tell it of the locks of others only."""
    status = WorkerStatus(IDLE, at=path)
    look = life.open_file(SharedFile(path), None, is_user=False)
    assert look is status.get_lock()
    reader = life.open_file(SharedFile(path, readonly=True), None)
    assert look.is_used()
    assert reader.is_used()
    del status, look
    assert not reader.is_used()
    assert not life.open_file(SharedFile(path), None, is_user=False).is_used()


def test_set_writes_without_being_a_user(path: str) -> None:
    WorkerStatus(CALCULATING, at=path)  # its service is dead
    holder = OpenFile(path, os.O_RDWR)
    assert holder.lock(WRITING)  # so that the command waits in the middle of its work
    command = [sys.executable, "-m", "multiprocessing_intenum", "set", path, "UNAVAILABLE"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, closing(holder):
        deadline = time.monotonic() + DEADLINE
        while path not in files_of(process.pid):
            assert time.monotonic() < deadline
        assert not holder.is_locked(USE)
        assert WorkerStatus(IDLE, at=path) == IDLE  # the next service begins anew
        status = WorkerStatus(IDLE, at=path)
        holder.unlock(WRITING)
        assert process.communicate(timeout=DEADLINE)[0] == "IDLE -> UNAVAILABLE\n"
    assert status == UNAVAILABLE


def files_of(pid: int) -> set[str]:
    """The files that a process has open."""
    found: set[str] = set()
    with suppress(FileNotFoundError):  # it has ended
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):  # it was closed meanwhile
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def test_set_writes_to_no_file_that_was_replaced_meanwhile(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    opened = life.open_file(SharedFile(path), None, is_user=False)
    os.rename(path, path + ".old")
    with pytest.raises(FileNotFoundError, match="was replaced or removed meanwhile"):
        life.while_nobody_begins(opened, lambda: status.set(CALCULATING), time.monotonic() + DEADLINE)
    assert status == IDLE


def test_a_lock_on_the_use_that_is_not_ours_is_an_error(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    del status
    other = OpenFile(path, os.O_RDWR)
    assert other.lock(USE)
    with pytest.raises(OSError, match="another program has locked this file") as caught:
        WorkerStatus(IDLE, at=path)
    assert caught.value.errno == errno.EAGAIN
    other.close()
    assert WorkerStatus(IDLE, at=path) == IDLE


# Descriptors


def test_without_the_garbage_collector_nothing_stays_open(path: str) -> None:
    before = len(descriptors())
    gc.disable()
    try:
        for number in range(50):
            status = WorkerStatus(IDLE, at=f"{path}{number}")
            status.set(CALCULATING)
            in_a_thread(lambda status=status: status.set(IDLE))  # type: ignore[misc]
            job = value_at(f"{path}{number}.job", "q", 0)
            with job.get_lock():
                job.value += 1
            del status, job
        assert len(descriptors()) <= before + 1
    finally:
        gc.enable()


def test_threads_that_write_in_turn_have_one_opening_between_them(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    status.set(CALCULATING)
    before = openings(path)
    for _ in range(10):
        in_a_thread(lambda: status.set(IDLE))
        status.set(CALCULATING)
    assert openings(path) == before


def test_a_thread_that_cannot_open_the_file_waits_for_another_one_that_has_it_open(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=path)
    status.set(CALCULATING)

    def refuse(*_: object) -> Any:
        raise OSError(errno.EMFILE, "too many", path)

    monkeypatch.setattr(OpenFile, "again", refuse)
    with held_elsewhere(status.get_lock()) as done:
        with pytest.raises(TimeoutError):
            exchange(status, IDLE, timeout=SHORT)
        threading.Timer(SHORT, done.set).start()
        assert exchange(status, IDLE) is CALCULATING
    monkeypatch.undo()


def test_the_only_opening_of_a_thread_that_ends_goes_to_the_next_one(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    in_a_thread(lock.acquire)  # it ends with the lock
    monkeypatch.setattr(OpenFile, "again", None)
    assert exchange(status, CALCULATING, timeout=DEADLINE) is IDLE


def test_if_the_file_cannot_be_opened_once_more_nothing_is_written(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() or 1)  # one that opens nothing at once
    monkeypatch.setattr(contents, "_refuse", lambda *_: None)
    status = WorkerStatus(IDLE, at=path)

    def refuse(*_: object) -> Any:
        raise PermissionError(errno.EACCES, "refused", path)

    with monkeypatch.context() as patch:
        patch.setattr(OpenFile, "again", refuse)
        with pytest.raises(PermissionError, match="refused"):
            status.set(CALCULATING)
        assert status == IDLE
    status.set(CALCULATING)
    assert is_free(status.get_lock())


# Signal handlers


def test_a_handler_while_the_lock_is_given_back_leaves_the_rest_to_the_frame_below(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    unlock = OpenFile.unlock
    depths: list[int] = []

    def interrupted(self: OpenFile, byte: int) -> None:
        monkeypatch.undo()
        exchange(status, CALCULATING, timeout=DEADLINE)  # the handler
        (turn,) = lock._turns.values()
        depths.append(turn.depth)
        assert not turn.is_locked
        unlock(self, byte)

    lock.acquire()
    before = openings(path)
    monkeypatch.setattr(OpenFile, "unlock", interrupted)
    lock.release()
    assert depths == [1]
    assert status == CALCULATING
    assert is_free(lock)
    assert openings(path) == before
    with pytest.raises(RuntimeError, match="cannot release"):
        lock.release()


def test_a_handler_at_any_step_of_the_lock_leaves_it_as_it_was(path: str) -> None:
    """A trace function calls the handler's write before each line of the lock's own code, one line a time."""
    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    codes = {
        function.__code__
        for function in vars(file_lock.FileLock).values()
        if hasattr(function, "__code__") and function.__name__ not in ("__repr__", "__init__")
    }
    steps = 0
    while True:
        lines = iter(range(steps + 1))
        was_called = False

        def trace(frame: Any, event: str, _: object, lines: Any = lines, limit: int = steps) -> Any:
            nonlocal was_called
            if frame.f_code not in codes:
                return None
            if event == "line" and not was_called and next(lines, None) == limit:
                was_called = True
                sys.settrace(None)
                exchange(status, UNAVAILABLE, timeout=DEADLINE)  # the handler
                with lock:
                    lock.acquire()
                    lock.release()
                sys.settrace(trace)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        lock.acquire()
        is_mine = lock._is_mine()
        lock.release()
        sys.settrace(before)
        assert is_mine
        assert is_free(lock), f"after a handler at step {steps}"
        assert exchange(status, IDLE, timeout=0) in WorkerStatusEnum
        if not was_called:
            break
        steps += 1
    assert steps > 20


def test_an_interrupt_while_it_is_given_back_leaves_it_free(path: str) -> None:
    """The same with a KeyboardInterrupt at each line in turn."""
    lock: Any = WorkerStatus(IDLE, at=path).get_lock()
    codes = {file_lock.FileLock.release.__code__, file_lock.FileLock._leave.__code__}
    for step in range(100):
        lines = iter(range(100))
        was_raised = False

        def trace(frame: Any, event: str, _: object, lines: Any = lines, step: int = step) -> Any:
            nonlocal was_raised
            if frame.f_code not in codes:
                return None
            if event == "line" and not was_raised and next(lines) == step:
                was_raised = True
                raise KeyboardInterrupt
            return trace

        lock.acquire()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            lock.release()
        except KeyboardInterrupt:
            sys.settrace(before)
            if lock._is_mine():  # it came before the first line that does anything
                lock.release()
        finally:
            sys.settrace(before)
        assert is_free(lock), f"after an interrupt at step {step}"
        if not was_raised:
            break
    assert 5 < step < 100


def test_killed_at_any_moment_a_writer_leaves_the_lock_free_and_no_opening_too_many(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    for _ in range(20):
        child = os.fork()
        if not child:
            while True:
                update(status, lambda member: IDLE if member is CALCULATING else CALCULATING)
        time.sleep(0.005)  # the random moment itself
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        exchange(status, IDLE, timeout=DEADLINE)


# How many descriptors it needs


def openings(path: str) -> int:
    """How many descriptors of this process belong to the file. Their names would not do: it is filled under another."""
    wanted, found = os.stat(path), 0
    for descriptor in map(int, descriptors()):
        with suppress(OSError):  # that of the directory itself
            found += os.path.samestat(os.fstat(descriptor), wanted)
    return found


def wait_all_at_once(path: str, status: WorkerStatus, count: int) -> None:
    """Let so many threads wait for the lock at the same time, then write."""
    threads = [threading.Thread(target=exchange, args=(status, CALCULATING), daemon=True) for _ in range(count)]
    with status.get_lock():
        before = openings(path)
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + DEADLINE
        while openings(path) < before + count:
            assert time.monotonic() < deadline, "a thread that waits has no opening"
            time.sleep(0.001)
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_only_threads_that_wait_or_hold_it_have_an_opening_and_a_few_are_kept(path: str) -> None:
    values = [WorkerStatus(IDLE, at=f"{path}{number}") for number in range(4)]
    for number, status in enumerate(values):
        before = openings(f"{path}{number}")
        wait_all_at_once(f"{path}{number}", status, 16)
        assert status == CALCULATING
        assert openings(f"{path}{number}") <= before + file_lock._SPARE


def test_the_openings_of_threads_that_end_with_the_lock_held_are_closed_but_a_few(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    before = openings(path)
    for _ in range(3 * file_lock._SPARE):
        in_a_thread(status.get_lock().acquire)
    wait_all_at_once(path, status, 2 * file_lock._SPARE)
    assert openings(path) <= before + file_lock._SPARE


# Signal handlers that interrupt one another


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("is_before", [True, False], ids=["before the unlock", "after the unlock"])
def test_handlers_that_interrupt_each_other_in_release_leave_it_free(
    path: str, levels: int, is_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    unlock, level = OpenFile.unlock, 0

    def handler() -> None:
        """What a signal handler does that comes at this moment, and that another one interrupts there."""
        nonlocal level
        if level < levels:
            level += 1
            with lock:
                pass
            status.set(IDLE if level % 2 else CALCULATING)

    def interrupted(file: OpenFile, byte: int) -> None:
        if is_before:
            handler()
        unlock(file, byte)
        if not is_before:
            handler()

    with strangers(1) as [stranger]:
        assert stranger.ask(f"status = WorkerStatus(at={path!r})") == "None"
        with monkeypatch.context() as patch:
            patch.setattr(OpenFile, "unlock", interrupted)
            with lock:
                pass
        assert level == levels
        assert not lock._is_mine()
        assert stranger.ask("status.get_lock().acquire(False)") == "True"
        assert stranger.ask("status.get_lock().release()") == "None"
        status.set(UNAVAILABLE)
        assert stranger.ask("status.get_lock().acquire(False)") == "True"


# The short way of a write


def test_a_write_wakes_those_that_sleep(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    for member in (CALCULATING, IDLE):
        flags = status._self_cell.words.sleepers.flags
        flags[member] = 1
        status.set(member)
        assert not any(flags)  # nobody was there


def test_a_write_whose_opening_another_thread_takes_uses_another_one(path: str) -> None:
    class Taken(list[Any]):
        """Another thread is faster, and takes the last one."""

        def pop(self, *_: Any) -> Any:
            self.clear()
            raise IndexError

    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    status.set(IDLE)
    lock._idle = Taken(lock._idle)
    status.set(CALCULATING)
    assert status == CALCULATING
    assert len(lock._idle) == 1
    lock._idle = list(lock._idle)
    assert is_free(lock)


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_path_that_this_process_may_not_look_at_is_no_reason_to_complain(path: str, is_closed: bool) -> None:
    """It has dropped its rights since it made the value."""

    def use() -> None:
        status, lstat = WorkerStatus(IDLE, at=path), os.lstat

        def refuse(name: Any) -> os.stat_result:
            if name == path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
            return lstat(name)

        status.set(CALCULATING)
        os.lstat = refuse
        if is_closed:
            close_all(Path(path).parent)
        else:
            os.utime(path)
            status.set(IDLE)
        assert wait_for(status, IDLE if not is_closed else CALCULATING, timeout=0)
        os.unlink(path)
        if is_closed:  # it can not know
            assert wait_for(status, CALCULATING, timeout=0)
            return
        for look in (lambda: status.set(IDLE), lambda: wait_for(status, IDLE, timeout=0)):
            with pytest.raises(FileNotFoundError, match="the file was removed or replaced"):
                look()

    assert Child(use).succeeds()
