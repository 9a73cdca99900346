"""Two programs share a value by path.

Neither starts the other, and nothing is passed from one to the other.

python by_path_two_programs.py worker     in one terminal
python by_path_two_programs.py client     in another one
python by_path_two_programs.py            starts both, in a temporary directory
"""

import enum
import os
import subprocess
import sys
import tempfile

from multiprocessing_intenum import IntEnumValue, compare_and_set, wait_for


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    """The state of the worker."""


def open_status() -> WorkerStatus:
    # Whoever is the first makes the value, with IDLE. The other one finds it.
    return WorkerStatus(
        "IDLE", at=os.environ.get("WORKER_STATUS", "/run/worker/status")
    )


def worker() -> None:
    status = open_status()
    wait_for(status, "CALCULATING")
    result = sum(range(1_000_000))
    print("worker: the result is", result, flush=True)
    status.set("UNAVAILABLE")


def client() -> None:
    status = open_status()
    print("client: the worker is", status.name, flush=True)
    claimed = compare_and_set(status, "IDLE", "CALCULATING")
    wait_for(status, "UNAVAILABLE")
    print("client: claimed it:", claimed, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"worker": worker, "client": client}[sys.argv[1]]()
    else:
        with tempfile.TemporaryDirectory() as directory:
            os.environ["WORKER_STATUS"] = os.path.join(directory, "status")
            for program in [
                subprocess.Popen([sys.executable, __file__, name])
                for name in ("worker", "client")
            ]:
                program.wait()
