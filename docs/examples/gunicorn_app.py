"""A WSGI application: gunicorn --workers 4 gunicorn_app:app

POST claims the worker. The answer is 202, or 409 if it is not idle. GET tells its
status.
"""

import os

from worker_status import WorkerStatusEnum, status

from multiprocessing_intenum import compare_and_exchange


def app(environ, start_response):
    code = "200 OK"
    if environ["REQUEST_METHOD"] == "POST":
        found = compare_and_exchange(
            status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING, timeout=10
        )
        code = "202 Accepted" if found is WorkerStatusEnum.IDLE else "409 Conflict"
    body = f"{status.name}, says process {os.getpid()}".encode()
    start_response(
        code, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    )
    return [body]
