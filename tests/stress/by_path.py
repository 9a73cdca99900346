"""Values by path: processes without a common parent open, claim, write, fork and are killed, at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common import DEADLINE, FORBIDDEN, LATE, NEXT, Report, State

from multiprocessing_intenum import IntEnumValue, compare_and_set, history, last_change, update

Status: Any = IntEnumValue[State]

HERE = Path(__file__)

OTHER_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")
"""A command that runs another one in a PID namespace of its own, where the user may do that."""


def stranger(role: str, path: Path, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """Start a process that inherits nothing from this one, and run a role of this file in it."""
    command = [*prefix, sys.executable, str(HERE), "--role", role, str(path), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def hears(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def says(process: subprocess.Popen[bytes]) -> None:
    """Let a stranger go on."""
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


# The roles of the strangers


def open_and_drop(path: str) -> None:
    """Make it, use it no more, and make it anew, with the same enum and with another one."""
    import enum

    other: Any = IntEnumValue[enum.IntEnum("Other", "A B C")]  # type: ignore[misc]
    print(flush=True)
    while True:
        for kind in Status, other:
            status = kind(next(iter(kind.EnumType)), at=path)
            del status


def write_for_ever(path: str) -> None:
    status = Status(State.IDLE, at=path)
    print(flush=True)
    while True:
        update(status, NEXT.__getitem__)


def open_and_claim(path: str) -> None:
    print(flush=True)
    for line in sys.stdin:
        status = Status(State.IDLE, at=path)
        won = compare_and_set(status, State.IDLE, State.CALCULATING)
        print(int(won), flush=True)
        sys.stdin.readline()  # all have answered: if the winner left before, the value would begin anew
        del status, line
        print(flush=True)


def take_turns(path: str, forks: str, threads: str, turns: str) -> None:
    """Turn the state in forked children and in threads of each of them."""
    status = Status(State.IDLE, at=path)
    print(flush=True)
    sys.stdin.readline()

    def turn() -> None:
        for _ in range(int(turns)):
            update(status, NEXT.__getitem__)

    children = []
    for _ in range(int(forks)):
        child = os.fork()
        if child == 0:
            running = [threading.Thread(target=turn) for _ in range(int(threads))]
            for each in running:
                each.start()
            for each in running:
                each.join()
            os._exit(0)
        children.append(child)
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    print(failed, flush=True)
    sys.stdin.readline()  # keep it in use


ROLES = {each.__name__: each for each in (open_and_drop, write_for_ever, open_and_claim, take_turns)}


# The checks


def killed_while_making(report: Report, directory: Path) -> None:
    kills = report.count(500, 40)
    harmed = litter = 0
    slowest: list[float] = []
    path = directory / "made"
    for _ in range(kills):
        process = stranger("open_and_drop", path)
        hears(process)
        time.sleep(random.uniform(0, 0.003))
        end(process)
        started = time.monotonic()
        try:
            status = Status(State.UNAVAILABLE, at=path)
            harmed += [change.after for change in history(status)] != [State.UNAVAILABLE]
            status.set(State.IDLE)
            del status
        except (OSError, ValueError):
            harmed += 1
        slowest.append(time.monotonic() - started)
        litter += len(list(directory.iterdir())) > 2  # the file, and one that a maker was filling
    check = "SIGKILL while it is made or begun anew"
    report.seen(check, "the next one cannot open it, or finds something else", harmed, kills, FORBIDDEN)
    report.seen(check, "more than one file is left beside it", litter, kills, FORBIDDEN)
    report.slowest(check, "the next opening takes at most", slowest, LATE)


def killed_holders(report: Report, directory: Path) -> None:
    kills = report.count(200, 20)
    blocked = wrong = 0
    slowest: list[float] = []
    path = directory / "held"
    status = Status(State.IDLE, at=path)
    for _ in range(kills):
        process = stranger("write_for_ever", path)
        hears(process)
        time.sleep(random.uniform(0, 0.003))
        process.kill()
        started = time.monotonic()
        try:
            update(status, NEXT.__getitem__, timeout=DEADLINE)
        except TimeoutError:
            blocked += 1
        slowest.append(time.monotonic() - started)
        process.communicate()
        pairs = [(change.before, change.after) for change in history(status)]
        wrong += not all(before is None or NEXT[before] is after for before, after in pairs)
    check = "SIGKILL of a writer"
    report.seen(check, "the lock stays held", blocked, kills, FORBIDDEN)
    report.seen(check, "the history has a change that nobody made", wrong, kills, FORBIDDEN)
    report.slowest(check, "the next write takes at most", slowest, LATE)


def claims(report: Report, directory: Path) -> None:
    rounds, count = report.count(100, 20), 6
    wins: list[int] = []
    path = directory / "claimed"
    processes = [stranger("open_and_claim", path) for _ in range(count)]
    for process in processes:
        hears(process)
    for _ in range(rounds):
        for process in processes:
            says(process)
        wins.append(sum(int(hears(process)) for process in processes))
        for process in processes:
            says(process)
        for process in processes:
            hears(process)
    for process in processes:
        end(process)
    check = f"{count} strangers open it and claim at once"
    report.seen(check, "nobody wins", wins.count(0), rounds, FORBIDDEN)
    report.seen(check, "more than one wins", rounds - wins.count(0) - wins.count(1), rounds, FORBIDDEN)


def turns(report: Report, directory: Path, check: str, prefix: tuple[str, ...] = ()) -> None:
    count, forks, threads, each = 2, 2, 2, report.count(5_000, 500)
    path = directory / "turned"
    status = Status(State.IDLE, at=path)
    processes = [stranger("take_turns", path, forks, threads, each, prefix=prefix) for _ in range(count)]
    for process in processes:
        hears(process)
    for process in processes:
        says(process)
    failed = sum(int(hears(process)) for process in processes)
    for process in processes:
        end(process)
    assert not failed, f"{failed} children failed"
    expected = count * forks * threads * each
    report.seen(check, "updates lost", expected - last_change(status).number, expected, FORBIDDEN)
    del status


def can_unshare() -> bool:
    try:
        return subprocess.run([*OTHER_NAMESPACE, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False


def a_forked_child_keeps_it_in_use(report: Report, directory: Path) -> None:
    """Fork while another thread writes, kill the parent, and see that the lock is free and the value in use."""
    rounds = report.count(200, 20)
    blocked = begun_anew = 0
    path = directory / "forked"
    for _ in range(rounds):
        process = stranger("fork_while_writing", path)
        child = int(hears(process))
        process.kill()
        status = Status(State.UNAVAILABLE, at=path)
        begun_anew += last_change(status).number == 0
        try:
            update(status, NEXT.__getitem__, timeout=DEADLINE)
        except TimeoutError:
            blocked += 1
        os.kill(child, signal.SIGKILL)
        process.communicate()
        del status
        path.unlink()
    check = "SIGKILL of a process that has forked while its thread writes"
    report.seen(check, "the child keeps the lock", blocked, rounds, FORBIDDEN)
    report.seen(check, "the child does not count as a user", begun_anew, rounds, FORBIDDEN)


def fork_while_writing(path: str) -> None:
    status = Status(State.IDLE, at=path)
    update(status, NEXT.__getitem__)

    def turn() -> None:
        while True:
            update(status, NEXT.__getitem__)

    threading.Thread(target=turn, daemon=True).start()
    time.sleep(random.uniform(0.001, 0.003))
    child = os.fork()
    if child == 0:
        signal.pause()
    print(child, flush=True)
    signal.pause()


ROLES[fork_while_writing.__name__] = fork_while_writing


def main() -> None:
    if sys.argv[1:2] == ["--role"]:
        ROLES[sys.argv[2]](*sys.argv[3:])
        return
    report = Report("By path")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        killed_while_making(report, directory)
        killed_holders(report, directory)
        a_forked_child_keeps_it_in_use(report, directory)
        claims(report, directory)
        turns(report, directory, "2 strangers x 2 forks x 2 threads write")
        if can_unshare():
            turns(
                report,
                directory,
                "the same, each stranger in a PID namespace of its own",
                ("unshare", "--pid", "--fork", "--kill-child"),
            )
    report.finish()


if __name__ == "__main__":
    main()
