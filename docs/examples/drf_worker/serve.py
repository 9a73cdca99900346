"""Start the whole service, and end the whole service: `python serve.py [--port 8000]`.

Four web workers and the calculation. Each child that dies is started again. Ctrl-C or SIGTERM drains: no new jobs, the
running job ends, then all processes end. A second one does not wait for the job.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobs.state import state

HERE = Path(__file__).parent
RESTART = (
    1.0  # seconds between two starts of a child, in case that each one dies at once
)
PATIENCE = 15.0  # seconds for a child to end, once there is no job


class Child:
    """A program that is started again whenever it ends."""

    def __init__(self, *command: str) -> None:
        self.command = [sys.executable, *command, "--parent", str(os.getpid())]
        self.start()

    def start(self) -> None:
        self.started = time.monotonic()
        # In a session of its own, so that Ctrl-C in a terminal reaches this process only, which then ends the others.
        self.process = subprocess.Popen(
            self.command, cwd=HERE, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def keep_alive(self) -> None:
        if (
            self.process.poll() is not None
            and time.monotonic() > self.started + RESTART
        ):
            print(
                f"{self.command[1]} has ended ({self.process.returncode}), starting another",
                file=sys.stderr,
            )
            self.start()

    def end(self) -> None:
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Service:
    """The processes of the service. Signals only count; the loop looks at the count."""

    signals = 0

    def run(self, host: str, port: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.count)
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=HERE, check=True, start_new_session=True)
        state.resume()  # a process of an earlier, killed service may still hold the state, and its drain with it
        children = [
            Child("manage.py", "calculate"),
            Child("web.py", "--host", host, "--port", str(port)),
        ]
        drained = False
        # After the drain, too, a calculation that dies is started again: it writes that its job is FAILED.
        while self.signals < 2 and not (drained and state.job_id.value == 0):
            if self.signals and not drained:
                print(
                    "draining: no new jobs, waiting for the running one",
                    file=sys.stderr,
                )
                state.drain()
                drained = True
            for child in children:
                child.keep_alive()
            time.sleep(0.1)
        state.drain()
        if self.signals > 1:
            children[0].process.kill()  # the next calculation will find its job FAILED
        for child in children:
            child.process.terminate()
        for child in children:
            child.end()

    def count(self, *_: object) -> None:
        self.signals += 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    Service().run(options.host, options.port)
