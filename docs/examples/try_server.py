"""Start a web server with the arguments given, claim the worker 20 times over HTTP, and stop the server."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

with socket.create_server(("127.0.0.1", 0)) as free:
    PORT = free.getsockname()[1]


def ask(method: str) -> tuple[int, str, str]:
    """Return the code of the answer, the status, and the process that has answered."""
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{PORT}/", method=method)
        )
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.code, *answer.read().decode().split(", says process ")


def is_open() -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", PORT)) == 0


with tempfile.TemporaryDirectory() as directory:
    settings = {
        "WORKER_STATUS": os.path.join(directory, "status"),
        # The server finds the application in this directory.
        "PYTHONPATH": os.pathsep.join(sys.path),
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{PORT} --log-level warning",
        "UVICORN_PORT": str(PORT),
        "UVICORN_LOG_LEVEL": "warning",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", *sys.argv[1:]], env=os.environ | settings
    )
    try:
        while server.poll() is None and not is_open():
            time.sleep(0.05)
        print("GET ", *ask("GET")[:2])
        with ThreadPoolExecutor(8) as pool:
            claims = list(pool.map(ask, ["POST"] * 20))
        codes, processes = (
            [code for code, *_ in claims],
            {process for *_, process in claims},
        )
        print("POST", codes.count(202), "accepted,", codes.count(409), "refused")
        while len(processes) < 2:
            processes.add(ask("GET")[2])
        print("more than one process has answered")
    finally:
        server.terminate()
        server.wait()
