"""Start the FastAPI service, and use it as clients do: claims, and event streams."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi_app import WorkerStatus

with socket.create_server(("127.0.0.1", 0)) as free:
    PORT = free.getsockname()[1]


def ask(method, path):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Client:
    """A browser's EventSource: it knows the last id, and sends it when it returns."""

    last_id = None

    def __enter__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        self.connection.request("GET", "/events", headers=headers)
        self.response = self.connection.getresponse()
        return self

    def __exit__(self, *_):
        self.response.close()
        self.connection.close()

    def next(self):
        """Return the next event or comment."""
        found = ""
        while (line := self.response.readline().decode().strip()) or not found:
            name, _, text = line.partition(": ")
            if name == "id":
                self.last_id = text
            elif name == "data":
                found = json.loads(text)["status"]
            elif name == "" and text:
                found = f"({text})"
        return found

    def next_changes(self, number):
        found = []
        while len(found) < number:
            if not (text := self.next()).startswith("("):
                found.append(text)
        return found


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_open():
    assert server.poll() is None, "the server has ended"
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", PORT)) == 0


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "status")
    settings = {
        "WORKER_STATUS": path,
        "HEARTBEAT": "0.5",
        "SECONDS": "600",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "UVICORN_PORT": str(PORT),
        "UVICORN_LOG_LEVEL": "critical",
        "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "1",
    }
    command = [sys.executable, "-m", "uvicorn", *sys.argv[1:], "fastapi_app:app"]
    server = subprocess.Popen(command, env=os.environ | settings)
    try:
        until(is_open)
        print("GET  /brief ", *ask("GET", "/brief"))
        with ThreadPoolExecutor(8) as pool:
            codes = [
                code for code, _ in pool.map(lambda _: ask("POST", "/jobs"), range(8))
            ]
        print(
            "POST /jobs  ", codes.count(202), "accepted,", codes.count(409), "refused"
        )
        status = WorkerStatus(at=path)  # another program of the machine
        status.set("IDLE")  # ends the calculation
        print("GET  /status", ask("GET", "/status")[1]["status"])
        client = Client()
        with client:
            while client.next() != "(no change)":
                pass
            print("GET  /events: a heartbeat after the history")
            status.set("UNAVAILABLE")
            print("  as it happens:      ", *client.next_changes(1))
        for name in ("IDLE", "CALCULATING", "IDLE"):  # nobody is connected
            status.set(name)
        with client:
            print("  after Last-Event-ID:", *client.next_changes(3))
            status.set("UNAVAILABLE")
            print("  and goes on with:   ", *client.next_changes(1))
        streams = {}  # how many each of the two processes sends
        until(lambda: streams.update([ask("GET", "/streams")[1]]) or len(streams) == 2)
        until(
            lambda: (
                streams.update([ask("GET", "/streams")[1]]) or not any(streams.values())
            )
        )
        print("  streams left:        0")
        with client:
            client.next()
            server.terminate()
            server.wait(60)
        print("the server has stopped, though a client was there")
    finally:
        server.kill()
        server.wait()
