"""A web server on a Unix socket in a directory of its own, which runs tests/support/counting_app.py or an example."""

from __future__ import annotations

import ast
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import DEADLINE
from typing_extensions import Self

import multiprocessing_intenum

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 4
HERE = Path(__file__).parent


def until(condition: Callable[[], Any]) -> Any:
    """Call the function until its result is true, and return the result."""
    deadline = time.monotonic() + DEADLINE
    while not (met := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return met


class WebServer:
    """Runs a command, in which `{socket}` becomes the path of the Unix socket, with the modules that lie in `at`."""

    def __init__(
        self, directory: Path, command: list[str], settings: dict[str, str] | None = None, at: Path = HERE
    ) -> None:
        self.is_counting = "counting_app:app" in command
        self.socket = directory / "socket"
        self.log_file = directory / "log"
        paths = [str(at), str(Path(multiprocessing_intenum.__file__).parents[1])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COUNTING_DIRECTORY": str(directory)}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [part.format(socket=self.socket) for part in command],
                env=environment | (settings or {}),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            until(self._answers)
            if self.is_counting:
                self.of_every_worker("True")  # each of them has imported the application
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.terminate()
            self.process.wait(DEADLINE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # what it has not ended
            self.process.wait(DEADLINE)
            print(self.log_file.read_text())  # pytest shows it if the test fails

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log_file.read_text()
        with suppress(OSError, http.client.HTTPException):
            return self.request("GET", "True")[0] == 200
        return False

    def request(self, method: str, body: str = "") -> tuple[int, str]:
        """Return the code and the text of the answer."""
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE)
        connection.sock = socket.socket(socket.AF_UNIX)
        with closing(connection):
            connection.sock.settimeout(DEADLINE)
            connection.sock.connect(str(self.socket))
            connection.request(method, "/", body)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def ask(self, expression: str) -> tuple[int, Any]:
        """Return the process id of a worker, and the value that it has given the expression, or its error as a text."""
        code, body = self.request("POST", expression)
        assert code == 200, body
        pid, answer = ast.literal_eval(body)
        return pid, answer

    def ask_all(self, *expressions: str) -> list[tuple[int, Any]]:
        """Ask all of these at once."""
        with ThreadPoolExecutor(len(expressions)) as pool:
            return list(pool.map(self.ask, expressions))

    def of_every_worker(self, expression: str) -> list[tuple[int, Any]]:
        """Ask until each worker has answered, and return all answers."""
        answers: list[tuple[int, Any]] = []

        def all_have_answered() -> bool:
            answers.extend(self.ask_all(*[expression] * 2 * WORKERS))
            return len({pid for pid, _ in answers}) == WORKERS

        until(all_have_answered)
        return answers


def script(name: str) -> str:
    """Return the path of a program that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))
