"""Start a Celery worker with the arguments given, send it 12 tasks, and stop it."""

import os
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as directory:
    os.environ["WORKER_STATUS"] = os.path.join(directory, "status")
    os.environ["CELERY_FOLDER"] = directory
    # The worker finds the tasks in this directory.
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    worker = subprocess.Popen(
        [sys.executable, "-m", *sys.argv[1:]], stdout=subprocess.DEVNULL
    )
    try:
        from celery_tasks import calculate, status  # the client opens the value, too

        results = [
            result.get(timeout=60) for result in [calculate.delay() for _ in range(12)]
        ]
        found = [name for _, name in results]
        print(
            "tasks: IDLE was found",
            found.count("IDLE"),
            "time, CALCULATING",
            found.count("CALCULATING"),
            "times",
        )
        print(
            "tasks: run by more than one process:",
            len({process for process, _ in results}) > 1,
        )
        print("client: the status is", status.name)
    finally:
        worker.terminate()
        worker.wait()
