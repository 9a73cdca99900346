"""docs/examples/drf_worker on a free port, started as its README says, and asked over real connections."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "drf_worker"
DEADLINE = 60.0  # seconds, for things that should happen at once
WEB_WORKERS = 4


def until(condition):
    """Call the function until its result is true, and return the result."""
    deadline = time.monotonic() + DEADLINE
    while not (met := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return met


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Service:
    """serve.py with a directory of its own, by which its processes can be found."""

    def __init__(self, directory):
        self.directory = directory
        self.log_file = directory / "log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        given = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "DATABASE"))}
        self.environment = given | {"WORKER_STATE": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
        self.start()

    def start(self):
        with self.log_file.open("ab") as log:
            self.serve = subprocess.Popen(
                [sys.executable, EXAMPLE / "serve.py", "--port", str(self.port)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self):
        try:
            self.until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # serve.py first, which would start the others again.
        for pid in [self.serve.pid, *self.processes()]:
            self.kill(pid)
        self.serve.wait(DEADLINE)
        until(lambda: not [self.kill(pid) for pid in self.processes()])
        print(self.log())  # pytest shows it if the test fails

    def until_ready(self):
        until(lambda: len(self.processes("spawn_main")) == WEB_WORKERS and self.answers() and self.is_calculating())

    @staticmethod
    def kill(pid, number=signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def processes(self, *words):
        """Return the live processes of the service whose command line has these words, the oldest first."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, PermissionError, ProcessLookupError):
                state, *_, started = (process / "stat").read_text().rpartition(")")[2].split()[:20]
                command = (process / "cmdline").read_text()
                is_ours = f"WORKER_STATE={self.directory}\0".encode() in (process / "environ").read_bytes()
                if is_ours and state not in "ZX" and all(word in command for word in words):
                    found[int(process.name)] = int(started)
        return sorted(found, key=found.get)

    def log(self):
        return self.log_file.read_text()

    def found(self, pattern):
        return re.findall(pattern, self.log())

    def answers(self):
        try:
            return self.request("GET", "/status")
        except OSError:
            return None

    def is_calculating(self):
        running = self.processes("manage.py", "calculate")
        return running and f"[calculation {running[-1]}] ready" in self.log()

    def get(self, path, method="GET", data=None):
        """Return the response and its content. Each request uses a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with closing(connection):
            connection.request(method, path, json.dumps(data), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response, response.read().decode()

    def request(self, method, path, **data):
        """Return the status and the content of a JSON response."""
        response, content = self.get(path, method, data)
        return response.status, json.loads(content)

    def post_job(self, seconds):
        return self.request("POST", "/jobs", seconds=seconds)

    def job(self, job_id):
        return self.request("GET", f"/jobs/{job_id}")[1]["status"]

    def status(self):
        return self.request("GET", "/status")[1]["status"]

    def of_every_worker(self, path):
        """Ask until each web worker has answered, and return the last answer of each."""
        answers = {}

        def all_have_answered():
            with ThreadPoolExecutor(2 * WEB_WORKERS) as pool:
                for response, content in pool.map(lambda _: self.get(path), range(4 * WEB_WORKERS)):
                    answers[response.headers["x-process"]] = content
            return len(answers) == WEB_WORKERS

        until(all_have_answered)
        return answers

    def rows(self):
        """Return the jobs as they are in the database."""
        with closing(sqlite3.connect(self.directory / "jobs.sqlite3", timeout=DEADLINE)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM jobs_job ORDER BY id")]

    def run(self, script):
        """Run a script in the environment of the service, as one more process that shares the state."""
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=EXAMPLE,
            env=self.environment | {"PYTHONPATH": f"{EXAMPLE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
            timeout=DEADLINE,
            check=False,
        ).returncode
