"""uWSGI, whose master imports the application and forks its workers in C, mostly without Python's hooks."""

import sys

import pytest
from web_server import WORKERS, WebServer, script

UWSGI = [
    script("uwsgi"),
    *("--http-socket", "{socket}", "--virtualenv", sys.prefix, "--module", "counting_app:app"),
    *("--master", "--die-on-term", "--need-app", "--processes", str(WORKERS), "--disable-logging"),
]
TIMES, TURNS = 100, 50
FORKING = {
    "plain": [],
    "enable-threads": ["--enable-threads"],
    "two threads": ["--threads", "2"],
    "fork hooks": ["--enable-threads", "--py-call-uwsgi-fork-hooks"],
}
"""Settings with which the master imports the application."""

USED_AT_IMPORT = """
for value in by_path, in_memory:
    value.set("N1")
    value.set("N0")
    with suppress(TimeoutError):
        wait_for(value, "N1", 0.01)
    with suppress(TimeoutError, asyncio.TimeoutError):
        asyncio.run(aio.wait_for(value, "N1", 0.01))
"""
"""Whatever the master has of its own for a value, it has by then."""


@pytest.fixture(scope="module", params=[*FORKING, "lazy-apps"])
def by_path(request, tmp_path_factory):
    options = FORKING.get(request.param, ["--enable-threads", "--lazy-apps"])
    settings = {"COUNTING_AT_IMPORT": USED_AT_IMPORT}
    with WebServer(tmp_path_factory.mktemp("uwsgi"), [*UWSGI, *options], settings) as server:
        yield server


@pytest.fixture(scope="module", params=FORKING)
def in_memory(request, tmp_path_factory):
    settings = {"COUNTING_AT_IMPORT": USED_AT_IMPORT}
    with WebServer(tmp_path_factory.mktemp("uwsgi"), [*UWSGI, *FORKING[request.param]], settings) as server:
        yield server


def assert_nothing_is_lost(server, name):
    before = server.ask(f"count({name!r})")[1]
    answers = server.of_every_worker(f"add({name!r}, {TIMES})")
    assert server.ask(f"counted({name!r}, {before})")[1] == TIMES * len(answers) % 4_000  # it goes round
    assert all(pids == {pid} for pid, pids in answers)  # each change is its worker's, the master's none


def test_no_update_of_the_workers_is_lost_by_path(by_path):
    assert_nothing_is_lost(by_path, "by path")


def test_no_update_of_the_workers_is_lost_in_memory(in_memory):
    assert_nothing_is_lost(in_memory, "in memory")


def assert_they_take_turns(server, name, function):
    before = server.ask(f"count({name!r})")[1]
    (one, nothing), (other, nothing_either) = server.ask_all(*(f"{function}({name!r}, {n}, {TURNS})" for n in range(2)))
    assert nothing is nothing_either is None
    assert server.ask(f"counted({name!r}, {before})")[1] == 2 * TURNS
    assert one != other or "--threads" in server.process.args


@pytest.mark.parametrize("function", ["take_turns", "take_turns_in_a_coroutine"])
def test_the_workers_wait_for_each_other_by_path(by_path, function):
    assert_they_take_turns(by_path, "by path", function)


@pytest.mark.parametrize("function", ["take_turns", "take_turns_in_a_coroutine"])
def test_the_workers_wait_for_each_other_in_memory(in_memory, function):
    assert_they_take_turns(in_memory, "in memory", function)


def test_a_value_that_a_worker_makes_in_place_of_an_inherited_one_is_its_own(in_memory):
    answers = in_memory.of_every_worker("(a_value_of_its_own(), os.getpid() % len(Count))")
    answers += in_memory.of_every_worker("(a_value_of_its_own(), os.getpid() % len(Count))")
    assert all(found == expected for _, (found, expected) in answers)
