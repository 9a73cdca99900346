"""Wait until any of several values is in a state: in asyncio, and without it."""

import asyncio
import enum
import threading
import time

from multiprocessing_intenum import IntEnumValue, aio, changes, snapshot


class Arm(enum.IntEnum):
    READY = 1
    MOVES = 2
    STOPPED = 3


async def first(values, wanted, timeout=None):
    """Return the place of a value that has the member, and that member."""
    waits = [asyncio.ensure_future(aio.wait_for(value, wanted)) for value in values]
    try:
        done, _ = await asyncio.wait(
            waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            raise TimeoutError(f"none is {wanted!r} after {timeout} s")
        found = next(wait for wait in waits if wait in done)
        return waits.index(found), found.result()
    finally:
        for wait in waits:
            wait.cancel()


def first_by_looking(values, wanted, timeout=None, pause=0.01):
    """Do the same without asyncio.

    It looks each 10 ms, and sees what was in between.
    """
    feeds = [changes(value, timeout=0) for value in values]  # before the first look
    for number, value in enumerate(values):
        if (member := snapshot(value)) is wanted:
            return number, member
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        for number, feed in enumerate(feeds):
            for change in feed:  # goes on where it was
                if change.after is wanted:
                    return number, change.after
        if end is not None and time.monotonic() >= end:
            raise TimeoutError(f"none is {wanted!r} after {timeout} s")
        time.sleep(pause)


def stop_for_a_moment(value):
    value.set(Arm.STOPPED)
    value.set(Arm.READY)  # at once


arms = [IntEnumValue(Arm.MOVES) for _ in range(5)]
for wait in (
    lambda: asyncio.run(first(arms, Arm.STOPPED)),
    lambda: first_by_looking(arms, Arm.STOPPED),
):
    timer = threading.Timer(0.2, stop_for_a_moment, [arms[3]])
    timer.start()
    number, member = wait()
    timer.join()
    print(f"arm {number}: {member.name}, now {arms[number].name}")
for wait in (
    lambda: asyncio.run(first(arms, Arm.STOPPED, timeout=0.1)),
    lambda: first_by_looking(arms, Arm.STOPPED, timeout=0.1),
):
    try:
        wait()
    except TimeoutError as error:  # noqa: PERF203 # each of the two times out
        print(error)
