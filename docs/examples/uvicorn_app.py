"""An ASGI application: uvicorn --workers 4 uvicorn_app:app

POST claims the worker. The answer is 202, or 409 if it is not idle. GET tells its
status.
"""

import os

from worker_status import WorkerStatusEnum, status

from multiprocessing_intenum import compare_and_exchange


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    code = 200
    if scope["method"] == "POST":
        found = compare_and_exchange(
            status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING, timeout=1
        )
        code = 202 if found is WorkerStatusEnum.IDLE else 409
    body = f"{status.name}, says process {os.getpid()}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
