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
from worker_state import FORK, JobStatusEnum, WorkerStatusEnum

if TYPE_CHECKING:
    from worker_state import WorkerState


def calculate(seconds: float) -> None:
    """Your calculation."""
    time.sleep(seconds)


def work(state: WorkerState) -> None:
    """Do each job that is accepted, until the service is drained. The main function of the calculation process."""
    log("ready")
    while True:
        with contextlib.suppress(TimeoutError):
            # No lock, no queue, no event: whatever dies, and however it does, this goes on.
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
            state.drain()  # nobody would start the next calculation process, so rather no jobs at all


def watch(state: WorkerState, master: int) -> None:
    """Start a calculation process, and another one whenever it dies. The main function of the watching process."""
    # Ctrl-C in a terminal and systemd's stop signal all processes. When these two end is decided by the state.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        process = FORK.Process(target=work, args=(state,))
        process.start()
        while process.exitcode is None:
            process.join(timeout=1)
            if os.getppid() != master:  # it was killed, the web workers end by themselves
                state.drain()
        if process.exitcode == 0:  # drained
            return
        failed = state.finish(JobStatusEnum.FAILED)
        outcome = "it had no job" if failed is None else f"job {failed} is FAILED"
        log(f"process {process.pid} died ({process.exitcode}), {outcome}")
        time.sleep(0.1)  # in case each of them dies at once


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
        os._exit(0)  # without the exit handlers, which are the master's


def stop(state: WorkerState, pid: int) -> None:
    """Drain, and wait until the running job and both processes have ended."""
    state.drain()
    with contextlib.suppress(ChildProcessError):  # it had ended before, and gunicorn has seen to it
        os.waitpid(pid, 0)


def log(message: str) -> None:
    # One write a line, so that the lines of several processes do not mix.
    sys.stderr.write(f"[calculation {os.getpid()}] {message}\n")
    sys.stderr.flush()
