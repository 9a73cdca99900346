"""A worker daemon: it runs one calculation at a time, for the threads of several processes.

    calculation       one process; takes the accepted job, burns CPU time, becomes idle again
    API 1, API 2 ...  processes with several threads each; they report the state and accept jobs at random
    scheduler         one process; requests shutdown half-way: no new job is accepted, the running one ends
    log               one process; prints each change of the state, in order, with its time and the process that made it

All of them share one `WorkerState`. The program promises that there are never two calculations at once and that no
accepted job is lost. At the end it checks this, and exits with 1 if the promise was broken.

    python worker.py [--seconds 5] [--handlers 3] [--start-method fork|spawn|forkserver] [--kill]

Ctrl-C requests a shutdown, too. `--kill` kills the calculation process in the middle of a job, as a kernel short of
memory would. The worker is then idle again at once, the job is reported as lost, and a new process takes the next one.
"""

import argparse
import contextlib
import ctypes
import enum
import itertools
import json
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from multiprocessing_intenum import (
    EnumAttribute,
    IntEnumValue,
    RobustRLock,
    changes,
    compare_and_exchange,
    compare_and_set,
    wait_for,
)

THREADS = 4  # of each API handler
NO_JOB = -1


# The state that everybody shares


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


# Nothing leads out of UNAVAILABLE.
TRANSITIONS = {
    WorkerStatusEnum.IDLE: [WorkerStatusEnum.CALCULATING, WorkerStatusEnum.UNAVAILABLE],
    WorkerStatusEnum.CALCULATING: [WorkerStatusEnum.IDLE, WorkerStatusEnum.UNAVAILABLE],
}


class WorkerStatus(IntEnumValue[WorkerStatusEnum], transitions=TRANSITIONS):
    """The state of the worker. A write that skips a state is an error in the process that makes it."""


class WorkerState:
    """The status and the job that belongs to it. They change together, under one lock.

    IDLE has no job, CALCULATING has one; UNAVAILABLE has one until it is finished.
    """

    status = EnumAttribute(WorkerStatus)

    def __init__(self) -> None:
        try:
            # The default lock would not call repair().
            self.lock: Any = RobustRLock(on_holder_death=self.repair)
        except NotImplementedError:  # not on Linux: fine, as long as no process is killed while it holds the lock
            self.lock = multiprocessing.get_context(
                "spawn"
            ).RLock()  # forked processes can use it, too
        self.status = WorkerStatus(WorkerStatusEnum.IDLE, lock=self.lock)
        self.job_id = multiprocessing.Value("q", NO_JOB, lock=self.lock)

    @property
    def live_status(self) -> WorkerStatus:
        """The shared value, as compare_and_set() and the others need it; `status` is only the current member."""
        return WorkerState.status.proxy_of(self)

    def submit(self, job: int) -> WorkerStatusEnum:
        """Submit a job and return the status found. The job is accepted if, and only if, that status is IDLE."""
        with self.lock:
            found = compare_and_exchange(
                self.live_status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING
            )
            if found is WorkerStatusEnum.IDLE:
                self.job_id.value = job
        return found

    def next_job(self) -> int:
        """Wait for a job and return it, or NO_JOB if the worker is shut down."""
        while True:
            wait_for(
                self.live_status,
                {WorkerStatusEnum.CALCULATING, WorkerStatusEnum.UNAVAILABLE},
            )
            with self.lock:
                job: int = self.job_id.value
                if job != NO_JOB or self.status is WorkerStatusEnum.UNAVAILABLE:
                    return job

    def finish(self) -> int:
        """Remove the job and return it. Become idle, unless a shutdown has been requested meanwhile."""
        with self.lock:
            job: int = self.job_id.value
            self.job_id.value = NO_JOB
            compare_and_set(
                self.live_status, WorkerStatusEnum.CALCULATING, WorkerStatusEnum.IDLE
            )
        return job

    def repair(self, lock: RobustRLock) -> None:
        """Undo half a change. After a holder is killed, the next process to take the lock runs this, holding it."""
        if self.job_id.value == NO_JOB:
            compare_and_set(
                self.live_status, WorkerStatusEnum.CALCULATING, WorkerStatusEnum.IDLE
            )


# What happened, for the check at the end


class Journal:
    """A log that is independent of the state: files need no lock, and outlive the process that wrote them."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def write(self, event: str, **details: int) -> None:
        entry = {"time": time.monotonic(), "event": event, **details}
        with open(
            self.directory / f"{os.getpid()}-{threading.get_ident()}", "a"
        ) as file:
            file.write(json.dumps(entry) + "\n")

    def read(self) -> list[dict[str, Any]]:
        lines = itertools.chain.from_iterable(
            file.read_text().splitlines() for file in self.directory.iterdir()
        )
        return sorted(map(json.loads, lines), key=lambda entry: entry["time"])


# The processes


def calculate_jobs(state: WorkerState, journal: Journal) -> None:
    while (job := state.next_job()) != NO_JOB:
        journal.write("begun", job=job)
        count_primes(random.randint(20_000, 60_000))
        journal.write("calculated", job=job)
        state.finish()
    say("no more jobs")


def count_primes(limit: int) -> int:
    return sum(
        all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
        for number in range(2, limit)
    )


def handle_requests(
    state: WorkerState,
    journal: Journal,
    closed: ctypes.c_bool,
    first_job: int,
    step: int,
) -> None:
    """Run an API handler. Each of its threads has its own job numbers."""

    def serve(thread: int) -> Counter[str]:
        return serve_clients(
            state, journal, closed, itertools.count(first_job + thread, step)
        )

    with ThreadPoolExecutor(THREADS) as threads:
        counts = sum(threads.map(serve, range(THREADS)), Counter[str]())
    journal.write("counts", **counts)


def serve_clients(
    state: WorkerState, journal: Journal, closed: ctypes.c_bool, jobs: Iterator[int]
) -> Counter[str]:
    """Answer requests that come in at random, most of them queries, and count the answers."""
    counts = Counter[str]()
    job = next(jobs)
    while not closed.value:
        time.sleep(random.uniform(0, 0.02))
        if random.random() < 0.8:
            advise(state)
            counts["queries answered"] += 1
            continue
        match state.submit(job):
            case WorkerStatusEnum.IDLE:
                journal.write("accepted", job=job)
                job = next(jobs)
            case WorkerStatusEnum.CALCULATING:
                counts["refused as busy"] += 1
            case WorkerStatusEnum.UNAVAILABLE:
                counts["refused as unavailable"] += 1
    return counts


def advise(state: WorkerState) -> str:
    match state.status:  # read once for all cases
        case WorkerStatusEnum.IDLE:
            return "send me a job"
        case WorkerStatusEnum.CALCULATING:
            return "come back later"
        case WorkerStatusEnum.UNAVAILABLE:
            return "ask another worker"


def schedule(
    state: WorkerState, closed: ctypes.c_bool, seconds: float, victim: int | None
) -> None:
    """Request shutdown half-way and close the API at the end, or both at once after Ctrl-C, which has set `closed`.

    Before that, kill the process with the id `victim`, if there is one.
    """

    def pause(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not closed.value:
            time.sleep(0.01)

    def wait_for_a_job() -> None:
        while not closed.value:
            with contextlib.suppress(TimeoutError):
                wait_for(state.live_status, WorkerStatusEnum.CALCULATING, timeout=0.1)
                return

    wait_for_a_job()  # by then all processes are running
    pause(seconds / 4)
    if victim is not None:
        wait_for_a_job()
        say("kills the calculation process")
        os.kill(victim, signal.SIGKILL)
    pause(seconds / 4)
    state.status = WorkerStatusEnum.UNAVAILABLE
    pause(seconds / 2)
    closed.value = True


def log_changes(state: WorkerState, ready: Any) -> None:
    """Print the changes until the worker is shut down. Nobody waits for this process, and it takes no lock."""
    feed = changes(state.live_status)  # begins here, not at the first change
    ready.set()
    for change in feed:
        say(
            f"{change.before.name:>11} -> {change.after.name}",
            f"by process {change.pid}",
            change.at.astimezone(),
        )
        if change.after is WorkerStatusEnum.UNAVAILABLE:
            return


def start(process: BaseProcess) -> BaseProcess:
    """Start a process that ignores Ctrl-C, so that only this one handles it: the child inherits the ignored signal."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.start()
    signal.signal(signal.SIGINT, handler)
    return process


def say(text: str, who: str | None = None, at: datetime | None = None) -> None:
    who = who or multiprocessing.current_process().name
    sys.stdout.write(f"{at or datetime.now():%H:%M:%S.%f}  {who:<18} {text}\n")
    sys.stdout.flush()


# The supervisor


def report(journal: Journal, may_be_lost: int) -> bool:
    """Print the table, and return whether the promise was kept."""
    entries = journal.read()
    counts = Counter[str]()
    running = set[int]()
    at_once = 0
    for entry in entries:
        match entry:
            case {"event": "counts", "time": _, **more}:
                counts.update(more)
            case {"event": "begun", "job": job}:
                running.add(job)
                at_once = max(at_once, len(running))
            case {"event": "calculated" | "lost", "job": job}:
                running.discard(job)

    accepted, calculated, lost = (
        sorted(entry["job"] for entry in entries if entry["event"] == event)
        for event in ("accepted", "calculated", "lost")
    )
    # The others were killed just before finish().
    lost = [job for job in lost if job not in calculated]

    print()
    for name, count in (
        ("jobs accepted", len(accepted)),
        ("  calculated", len(calculated)),
        ("  lost in a kill", len(lost)),
        ("  at once, at most", at_once),
        ("refused as busy", counts["refused as busy"]),
        ("refused as unavailable", counts["refused as unavailable"]),
        ("queries answered", counts["queries answered"]),
    ):
        print(f"{name:<24}{count:>8,}")
    print()

    kept = (
        at_once <= 1
        and accepted == sorted(calculated + lost)
        and len(lost) <= may_be_lost
    )
    promise = f"never two calculations at once, no accepted job lost{' but in the kill' if lost else ''}."
    print("Kept:" if kept else "BROKEN:", promise)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(
        description="A worker daemon that does one calculation at a time."
    )
    parser.add_argument(
        "--start-method",
        choices=multiprocessing.get_all_start_methods(),
        help="of the processes",
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long clients come (%(default)s)"
    )
    parser.add_argument(
        "--handlers",
        type=int,
        default=3,
        help="how many API handler processes (%(default)s)",
    )
    parser.add_argument(
        "--kill",
        action="store_true",
        help="kill the calculation process in the middle of a job",
    )
    options = parser.parse_args()

    multiprocessing.current_process().name = "supervisor"
    ctx: Any = multiprocessing.get_context(options.start_method)
    state = WorkerState()
    closed = ctx.RawValue(ctypes.c_bool, False)

    def close(*_: object) -> None:
        closed.value = True

    signal.signal(signal.SIGINT, close)

    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(directory)

        def process(name: str, target: Any, *args: Any) -> BaseProcess:
            child = start(ctx.Process(name=name, target=target, args=args, daemon=True))
            say(f"process {child.pid} is {name}")
            return child

        ready = ctx.Event()
        others = [process("log", log_changes, state, ready)]
        ready.wait()
        calculation = process("calculation", calculate_jobs, state, journal)
        victim = calculation.pid if options.kill else None
        others.append(
            process("scheduler", schedule, state, closed, options.seconds, victim)
        )
        for number in range(options.handlers):
            jobs = (1 + number * THREADS, options.handlers * THREADS)
            others.append(
                process(
                    f"API {number + 1}", handle_requests, state, journal, closed, *jobs
                )
            )
        say("all started; Ctrl-C shuts down")

        calculation.join()
        while calculation.exitcode:  # it was killed, or it failed
            say(f"calculation process ended with {calculation.exitcode}")
            if (job := state.finish()) != NO_JOB:
                journal.write("lost", job=job)
            calculation = process("calculation", calculate_jobs, state, journal)
            calculation.join()
        for other in others:
            other.join()

        kept = report(journal, may_be_lost=1 if options.kill else 0)
    return 0 if kept and not any(other.exitcode for other in others) else 1


if __name__ == "__main__":
    sys.exit(main())
