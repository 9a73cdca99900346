"""Owners: SIGKILL a process that owns a state, claims one, or lets that of a dead process go on, at random moments.

Meanwhile another process looks all the time whether the owner is dead. So a state that is taken from a living owner
would be seen: after a death no change of the same process may follow.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import DEADLINE, FORBIDDEN, FORK, LATE, METHODS, Report, State

from multiprocessing_intenum import (
    IntEnumValue,
    adopt,
    compare_and_set,
    exchange,
    history,
    reap,
    snapshot,
    wait_for,
)
from multiprocessing_intenum.memory import ownership

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE, CALCULATING, UNAVAILABLE = State

HERE = Path(__file__)
OTHER_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")


class Status(IntEnumValue[State]):
    pass


# The victims


def claim(status: Any, is_ready: Callable[[], object]) -> None:
    """Claim, adopt, and end the ownership, again and again."""
    status._self_cell.words.owners.choose()  # the first claim loads modules, which takes longer than the victim lives
    is_ready()
    while True:
        if compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE):
            adopt(status, on_death=UNAVAILABLE)
        compare_and_set(status, CALCULATING, IDLE)


def hold(status: Any, is_ready: Callable[[], object]) -> None:
    """Own the state until the kill."""
    exchange(status, CALCULATING, on_death=UNAVAILABLE)
    is_ready()
    time.sleep(DEADLINE)


def let_go_on(status: Any, is_ready: Callable[[], object]) -> None:
    """Let the state of a dead process go on, again and again. Its byte is one that no process has locked."""
    cell = status._self_cell
    words = cell.words
    dead = 2**61 + random.randrange(2**60)

    def be_left() -> None:
        # Cell.claim(), by which this process would own the state.
        ownership.attend(words)
        claimed = ownership.Owner(words.count[()] + 1, int(CALCULATING), int(UNAVAILABLE), 1, dead)
        ownership.claim(words, claimed)
        words.replay(int(CALCULATING), time.time(), 1)

    is_ready()
    while True:
        cell.locked(be_left, None)
        reap(status)
        status.set(IDLE)


ROLES: dict[str, Callable[[Any, Callable[[], object]], None]] = {
    each.__name__: each for each in (claim, hold, let_go_on)
}


def be_a_victim(role: str, status: Any, ready: Any) -> None:
    ROLES[role](status, lambda: ready.send_bytes(b"."))


def look(status: Any) -> None:
    """Look whether the owner is dead, all the time."""
    while True:
        reap(status)


def start_in_memory(ctx: Any, role: str, status: Any) -> Callable[[], None]:
    """Start a victim. Return the function that kills it."""
    ours, theirs = ctx.Pipe(duplex=False)
    process = ctx.Process(target=be_a_victim, args=(role, status, theirs), daemon=True)
    process.start()
    theirs.close()
    ours.recv_bytes()
    ours.close()

    def kill() -> None:
        process.kill()
        process.join()
        process.close()

    return kill


def start_stranger(role: str, path: Path, *prefix: str) -> Callable[[], None]:
    command = [*prefix, sys.executable, str(HERE), "--role", role, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()

    def kill() -> None:
        process.kill()
        process.communicate()

    return kill


# What the others find


def is_wrong(status: Any) -> tuple[bool, bool]:
    """Return whether a state was taken from a process that went on, and whether a death is not one change."""
    found = history(status)
    taken = torn = False
    for index, (one, two) in enumerate(pairwise(found)):
        torn |= two.number != one.number + 1 or two.before is not one.after
        if two.after is UNAVAILABLE:
            torn |= one.after is not CALCULATING or one.pid != two.pid
            taken |= two.pid != 1 and any(later.pid == two.pid for later in found[index + 2 :])
    return taken, torn


def notice(status: Any, noticed: list[float]) -> None:
    """Wait until the state is not the one of an owner, and tell when that was."""
    with suppress(TimeoutError):
        wait_for(status, {IDLE, UNAVAILABLE}, timeout=2 * LATE)
        noticed.append(time.monotonic())


OWNING = "that owns the state"


def kills(report: Report, check: str, status: Any, start: Callable[[], Callable[[], None]], times: int) -> None:
    left = taken = torn = deaths = 0
    delays: list[float] = []
    looker = FORK.Process(target=look, args=(status,), daemon=True) if "by another" in check else None
    if looker is not None:
        looker.start()
    is_waited_for = OWNING in check
    for _ in range(times):
        kill = start()
        noticed: list[float] = []
        # This thread sleeps when the owner is killed. The victims of the other checks change the state all the time.
        waiter = threading.Thread(target=notice, args=(status, noticed))
        if is_waited_for:
            waiter.start()
        time.sleep(random.uniform(0, 0.003))
        killed = time.monotonic()
        kill()
        if is_waited_for:
            waiter.join()
        else:
            notice(status, noticed)
        deaths += snapshot(status) is UNAVAILABLE
        left += not noticed
        delays += [moment - killed for moment in noticed]
        wrong = is_wrong(status)
        taken, torn = taken + wrong[0], torn + wrong[1]
        assert snapshot(status) is not CALCULATING or left
        status.set(IDLE)
    if looker is not None:
        looker.kill()
        looker.join()
    report.seen(check, "the state is left behind", left, times, FORBIDDEN)
    report.seen(check, "the state is taken from a process that lives", taken, times, FORBIDDEN)
    report.seen(check, "a death is lost, told twice, or not one change", torn, times, FORBIDDEN)
    report.measured(check, "the process owned the state", f"{deaths:,} of {times:,}")
    what = (
        "a waiter that sleeps notices after at most" if is_waited_for else "a waiter that comes notices after at most"
    )
    report.slowest(check, what, delays, LATE)


NAMES = {"claim": "that claims", "hold": OWNING, "let_go_on": "that lets the state of a dead one go on"}


def main() -> None:
    if sys.argv[1:2] == ["--role"]:
        status = Status(State.IDLE, at=sys.argv[3])
        ROLES[sys.argv[2]](status, lambda: print(flush=True))
        return
    report = Report("Owners")
    for role, name in NAMES.items():
        for method in METHODS:
            ctx = multiprocessing.get_context(method)
            times = report.count(200, 20 if method == "fork" else 5)
            status = Status(IDLE, ctx=ctx)
            kills(
                report,
                f"SIGKILL of a process {name}, {method}",
                status,
                lambda ctx=ctx, role=role, status=status: start_in_memory(ctx, role, status),
                times,
            )
        status = Status(IDLE)
        kills(
            report,
            f"SIGKILL of a process {name}, looked at by another one",
            status,
            lambda role=role, status=status: start_in_memory(FORK, role, status),
            report.count(200, 20),
        )
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "status"
            by_path = Status(IDLE, at=path)
            prefixes: dict[str, tuple[str, ...]] = {"by path": ()}
            if os.geteuid() == 0:
                prefixes["by path, each in a PID namespace of its own"] = OTHER_NAMESPACE
            for where, prefix in prefixes.items():
                kills(
                    report,
                    f"SIGKILL of a process {name}, {where}",
                    by_path,
                    lambda role=role, path=path, prefix=prefix: start_stranger(role, path, *prefix),
                    report.count(200, 8),
                )
            del by_path
    report.finish()


if __name__ == "__main__":
    main()
