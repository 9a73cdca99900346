"""Tasks of Celery: celery -A celery_tasks worker --pool prefork --concurrency 4"""

import os
import time

from celery import Celery
from worker_status import WorkerStatusEnum, status

from multiprocessing_intenum import compare_and_exchange

# Files in this folder stand for the broker.
folder = os.environ.get("CELERY_FOLDER", ".")
app = Celery("celery_tasks", broker="filesystem://", backend=f"file://{folder}")
app.conf.broker_transport_options = dict.fromkeys(
    ("data_folder_in", "data_folder_out", "control_folder"), folder
)
app.conf.broker_transport_options["polling_interval"] = 0.05


@app.task(name="calculate")
def calculate() -> tuple[int, str]:
    found = compare_and_exchange(
        status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING, timeout=10
    )
    time.sleep(0.2)  # stands for a calculation
    # The state stays CALCULATING, so only one task finds IDLE.
    return os.getpid(), found.name
