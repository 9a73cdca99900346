"""The calculation process, and the process that watches over it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

from multiprocessing_intenum import wait_for
from worker_state import JobStatusEnum, WorkerStatusEnum

if TYPE_CHECKING:
    from worker_state import WorkerState

# All processes inherit the state by fork, as gunicorn's workers do. From Python 3.14 on, fork is not the default.
FORK = multiprocessing.get_context("fork")


def calculate(seconds: float) -> None:
    """Put your calculation here."""
    time.sleep(seconds)


def work(state: WorkerState) -> None:
    """Run each accepted job until the service is drained. The calculation process runs this function."""
    log("ready")
    while True:
        with contextlib.suppress(TimeoutError):
            # wait_for needs no lock, queue or event, so no process that dies can block it.
            wait_for(state.shared_status, {"CALCULATING", "UNAVAILABLE"}, timeout=1)
        if job := state.running_job():
            job_id, seconds = job
            log(f"job {job_id} begins")
            try:
                calculate(seconds)
                result = JobStatusEnum.DONE
            except Exception:
                traceback.print_exc()
                result = JobStatusEnum.FAILED
            log(f"job {job_id} is {result.name}")
            state.finish(result)
        elif state.status is WorkerStatusEnum.UNAVAILABLE:
            return
        elif not multiprocessing.parent_process().is_alive():
            state.drain()  # nobody would start the next calculation process, so accept no more jobs


def watch(state: WorkerState, master: int) -> None:
    """Start a calculation process, and a new one whenever it dies. The watching process runs this function."""
    # Ctrl-C in a terminal and a stop by systemd send a signal to all processes. The watching process and the
    # calculation process ignore it, because the state tells them when to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        process = FORK.Process(target=work, args=(state,))
        process.start()
        while process.exitcode is None:
            process.join(timeout=1)
            if os.getppid() != master:  # the master was killed; the web workers then end by themselves
                state.drain()
        if process.exitcode == 0:  # drained
            return
        failed = state.finish(JobStatusEnum.FAILED)
        outcome = "it had no job" if failed is None else f"job {failed} is FAILED"
        log(f"process {process.pid} died ({process.exitcode}), {outcome}")
        time.sleep(0.1)  # in case every new process dies immediately


def start(state: WorkerState) -> int:
    """Start the watching process and return its process id."""
    # Not a multiprocessing.Process: each web worker would inherit it as its own child and try to join it at its exit.
    master = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        watch(state, master)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)  # skips the exit handlers, which belong to the master


def stop(state: WorkerState, pid: int) -> None:
    """Drain, and wait until the running job and both processes have ended."""
    state.drain()
    with contextlib.suppress(ChildProcessError):  # it has ended before, and gunicorn has reaped it
        os.waitpid(pid, 0)


def log(message: str) -> None:
    # Each line is a single write, so that the lines of several processes do not mix.
    sys.stderr.write(f"[calculation {os.getpid()}] {message}\n")
    sys.stderr.flush()
