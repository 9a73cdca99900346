"""A value shared by the processes of one Celery worker: the module makes it when imported, before Celery forks them."""

import enum
import os
import subprocess
import sys
import tempfile
import time

from celery import Celery

from multiprocessing_intenum import IntEnumValue, compare_and_exchange


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


folder = os.environ.get("CELERY_EXAMPLE_FOLDER", ".")
app = Celery("celery_tasks", broker="filesystem://", backend=f"file://{folder}")
app.conf.broker_transport_options = dict.fromkeys(("data_folder_in", "data_folder_out"), folder)
app.conf.broker_transport_options |= {"control_folder": folder, "polling_interval": 0.05}

status = IntEnumValue(WorkerStatusEnum.IDLE)


@app.task(name="calculate")
def calculate() -> tuple[int, str]:
    found = compare_and_exchange(status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING)
    time.sleep(0.2)  # stands for a calculation; the state stays CALCULATING, so only one task finds IDLE
    return os.getpid(), found.name


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CELERY_EXAMPLE_FOLDER"] = folder
        os.environ["PYTHONPATH"] = os.pathsep.join([os.path.dirname(__file__), *sys.path[1:]])
        from celery_tasks import calculate  # now that the folder is set, and under the same name as in the worker

        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-P", "prefork", "-c", "3", "-l", "error"],
            stdout=subprocess.DEVNULL,
        )
        try:
            results = [result.get(timeout=60) for result in [calculate.delay() for _ in range(12)]]
        finally:
            worker.terminate()
            worker.wait()
        processes = {pid for pid, _ in results}
        found = [name for _, name in results]
        print("IDLE was found", found.count("IDLE"), "time, CALCULATING", found.count("CALCULATING"), "times")
        print("by more than one process:", len(processes) > 1)


if __name__ == "__main__":
    main()
