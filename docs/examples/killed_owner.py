"""A daemon is killed while it calculates.

No supervisor notices, and the next request is accepted all the same.
"""

import enum
import subprocess
import sys
import tempfile
import time

from multiprocessing_intenum import IntEnumValue, adopt, compare_and_set, reap, wait_for


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    """The state of the worker."""


def daemon(path: str) -> None:
    status = WorkerStatus("IDLE", at=path)
    while True:
        wait_for(status, "CALCULATING")
        # It is this process's from now on, whatever it is.
        found = adopt(status, on_death="IDLE")
        if found is WorkerStatusEnum.CALCULATING:
            print("daemon: calculates", flush=True)
            time.sleep(60)  # stands for the calculation
            compare_and_set(status, "CALCULATING", "IDLE")
        else:
            adopt(status, on_death=found)  # an operator's UNAVAILABLE has to stay


def post(status: WorkerStatus) -> str:
    return (
        "202 Accepted"
        if compare_and_set(status, "IDLE", "CALCULATING", on_death="IDLE")
        else "409 Conflict"
    )


def get(status: WorkerStatus) -> str:
    return reap(status).name


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        status = WorkerStatus("IDLE", at=f"{directory}/status")
        with subprocess.Popen(
            [sys.executable, __file__, f"{directory}/status"], stdout=subprocess.PIPE
        ) as process:
            print("POST", post(status))
            assert process.stdout is not None
            print(process.stdout.readline().decode(), end="")
            print("POST", post(status))
            process.kill()
        print("a plain read:", status.name)
        print("GET ", get(status))
        print("POST", post(status))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        daemon(sys.argv[1])
    else:
        main()
