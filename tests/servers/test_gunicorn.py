"""gunicorn that root starts with `--user`: the master has opened the value, its workers have lost the right to."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from web_server import HERE, WORKERS, WebServer

NOBODY = 65534
TIMES = 100
WHAT_WORKERS_IMPORT = "asyncio, hashlib, multiprocessing_intenum.aio, multiprocessing_intenum.by_path.cell"
"""They may not be able to read the files of Python or of the package, such as those in a home directory of root."""

GUNICORN = [
    *(sys.executable, "-c", f"import {WHAT_WORKERS_IMPORT}; from gunicorn.app.wsgiapp import run; run()"),
    *("counting_app:app", "--bind", "unix:{socket}", "--workers", str(WORKERS)),
    *("--user", str(NOBODY), "--group", str(NOBODY), "--preload", "--no-control-socket"),
]
WORKER_CLASSES = {"sync": [], "gthread": ["--worker-class", "gthread", "--threads", "4"]}
ADD = f"add('by path', {TIMES})"


@pytest.fixture(params=WORKER_CLASSES)
def worker_class(request):
    return WORKER_CLASSES[request.param]


@pytest.fixture
def directory():
    """A directory of root that others may enter, as those in /run. They may not enter pytest's own ones."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def assert_nothing_is_lost(server):
    before = server.ask("count('by path')")[1]
    answers = server.of_every_worker(ADD)
    assert server.ask(f"counted('by path', {before})")[1] == TIMES * len(answers) % 4_000  # it goes round
    assert all(pids == {pid} for pid, pids in answers)
    assert {user for _, user in server.of_every_worker("os.geteuid()")} == {NOBODY}


def test_workers_write_to_a_file_of_the_master_by_what_was_opened_before(directory, worker_class):
    with WebServer(directory, [*GUNICORN, *worker_class]) as server:
        assert (directory / "count").stat().st_uid == 0
        assert (directory / "count").stat().st_mode & 0o777 == 0o600
        assert_nothing_is_lost(server)
        for function in "take_turns", "take_turns_in_a_coroutine":
            (_, nothing), (_, nothing_either) = server.ask_all(*(f"{function}('by path', {n}, 50)" for n in range(2)))
            assert nothing is nothing_either is None


def test_workers_write_to_it_if_the_master_has_written_before(directory, worker_class):
    settings = {"COUNTING_AT_IMPORT": 'by_path.set("N1")'}
    with WebServer(directory, [*GUNICORN, *worker_class], settings) as server:
        assert_nothing_is_lost(server)


def test_workers_write_though_they_may_not_enter_the_directory(directory, worker_class):
    directory.chmod(0o700)
    with WebServer(directory, [*GUNICORN, *worker_class]) as server:
        assert_nothing_is_lost(server)


def test_workers_write_to_a_file_that_mode_gives_to_their_group(directory, worker_class):
    os.chown(directory, 0, NOBODY)
    directory.chmod(0o2770)  # the file gets the group of the directory
    with WebServer(directory, [*GUNICORN, *worker_class], {"COUNTING_MODE": "0o660"}) as server:
        assert (directory / "count").stat().st_gid == NOBODY
        assert (directory / "count").stat().st_mode & 0o777 == 0o660
        assert_nothing_is_lost(server)


def test_workers_that_open_the_file_themselves_make_it_their_own(directory, worker_class):
    os.chown(directory, NOBODY, NOBODY)
    directory.chmod(0o700)
    shutil.copy(HERE / "counting_app.py", directory)
    command = [part for part in [*GUNICORN, *worker_class] if part != "--preload"]
    with WebServer(directory, command, at=directory) as server:
        assert (directory / "count").stat().st_uid == NOBODY
        assert_nothing_is_lost(server)
