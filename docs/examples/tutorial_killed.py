"""Step 6: the calculation is killed, and the worker is idle again."""

import os
import signal
import tempfile
from multiprocessing import Process

from tutorial_state import WorkerStatus

from multiprocessing_intenum import compare_and_set, last_change, wait_for


def calculate(status):
    compare_and_set(status, "IDLE", "CALCULATING", on_death="IDLE")
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when there is no memory left


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        status = WorkerStatus("IDLE", at=f"{directory}/status")
        calculation = Process(target=calculate, args=(status,))
        calculation.start()
        print("the worker is", wait_for(status, "CALCULATING").name)
        print("the worker is", wait_for(status, "IDLE").name)
        change = last_change(status)
        calculation.join()
        print(f"{change.before.name} -> {change.after.name}, by the killed process: {change.pid == calculation.pid}")
