"""A WSGI application with shared values, for the real servers of tests/servers. web_server.py asks it.

COUNTING_DIRECTORY says where the file of the value by path is, COUNTING_AT_IMPORT what to do once the values are made:
Python lines, as a service may use its values while it is imported.
"""

import asyncio
import enum
import os
from contextlib import closing, suppress  # noqa: F401 # for the lines

from multiprocessing_intenum import IntEnumValue, SharedFile, aio, last_change, update, wait_for

DEADLINE = 60.0

# An even number of them, for the turns; they are counted round and round. (CPython 3.10 takes 9 s to make 20,000.)
Count = enum.IntEnum("Count", {f"N{number}": number for number in range(4_000)})

by_path = IntEnumValue(
    Count.N0,
    at=SharedFile(
        os.path.join(os.environ["COUNTING_DIRECTORY"], "count"), mode=int(os.environ.get("COUNTING_MODE", "0o600"), 8)
    ),
)
in_memory = IntEnumValue(Count.N0)
VALUES = {"by path": by_path, "in memory": in_memory}
of_worker = IntEnumValue(Count.N0)


def add(name: str, times: int) -> set[int]:
    """Add one so often, and return the processes that made these changes, as the value says."""
    value, pids = VALUES[name], set()
    for _ in range(times):
        with value.get_lock():
            update(value, lambda count: Count((count + 1) % len(Count)))
            pids.add(last_change(value).pid)
    return pids


def count(name: str) -> int:
    return int(VALUES[name])


def counted(name: str, before: int) -> int:
    """Return how many were added since the count was `before`."""
    return (count(name) - before) % len(Count)


def take_turns(name: str, turn: int, times: int) -> None:
    """Add one so often, each time after another process has added one."""
    for _ in range(times):
        wait_for(VALUES[name], lambda count: count % 2 == turn, DEADLINE)
        add(name, 1)


def take_turns_in_a_coroutine(name: str, turn: int, times: int) -> None:
    async def take() -> None:
        for _ in range(times):
            await aio.wait_for(VALUES[name], lambda count: count % 2 == turn, DEADLINE)
            add(name, 1)

    # Not asyncio.run(): it replaces the handler of SIGINT, with which uWSGI ends its workers.
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(take())


def a_value_of_its_own() -> int:
    """Let the process make a value in place of one that it has inherited, and return the number in it: its own pid."""
    global of_worker
    if not of_worker:
        of_worker = IntEnumValue(Count.N1)  # the old one is free by now, and its memory, too
        of_worker.set(Count(os.getpid() % len(Count)))
    return int(of_worker)


def app(environ, start_response):
    """Evaluate the expression in the body, and answer with the repr of the process id and of what it gives."""
    expression = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
    try:
        answer = eval(expression)
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    body = repr((os.getpid(), answer)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


exec(os.environ.get("COUNTING_AT_IMPORT", ""))
