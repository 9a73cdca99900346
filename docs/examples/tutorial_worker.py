"""The worker daemon: one calculation at a time, until the state is UNAVAILABLE."""

import os
import time

from tutorial_status import WorkerStatusEnum, status

from multiprocessing_intenum import adopt, compare_and_set, exchange, wait_for


def calculate():
    time.sleep(10)  # your work


# If this process ends in whatever way while it owns the state: UNAVAILABLE.
exchange(status, "IDLE", on_death="UNAVAILABLE")
print(f"process {os.getpid()} is ready", flush=True)
next_one = {"CALCULATING", "UNAVAILABLE"}
while wait_for(status, next_one) is WorkerStatusEnum.CALCULATING:
    adopt(status, on_death="UNAVAILABLE")  # an API process has set it; now it is ours
    print("calculating", flush=True)
    calculate()
    print("done", flush=True)
    compare_and_set(status, "CALCULATING", "IDLE", on_death="UNAVAILABLE")
print("no more jobs: bye", flush=True)
