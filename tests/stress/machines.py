"""Machines for the stress run of a record: each has a mirror of its own, and a way to the server that can be cut.

Two machines are two network namespaces, where this user may make them: a router stands between each and the server, and
when it forwards nothing, packets vanish without a word. Everywhere two machines are also two paths, each with a TCP
proxy that can stop to forward in both directions without closing anything. The server does not notice that by itself:
the proxy's kernel goes on to answer for the client.
"""

from __future__ import annotations

import json
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMESPACES, PROXIES, PATHS = "two network namespaces", "two paths, each by a proxy", "two paths"
"""The columns of the table: what two machines are."""

NETWORKS = "198.18"
"""The first half of the addresses: they are set apart for measurements between networks (RFC 2544)."""


class Stranger:
    """A process that inherits nothing from this one. It is told a line, and answers with lines."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=os.environ | environment
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def hear(self, timeout: float = DEADLINE) -> Any:
        """Return the next line, which is JSON."""
        try:
            return json.loads(self._lines.get(timeout=timeout))
        except queue.Empty:
            message = f"{self._process.args!r} did not answer in time, exit code {self._process.poll()}"
            raise AssertionError(message) from None

    def tell(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")

    def ask(self, *words: object) -> Any:
        self.tell(*words)
        return self.hear()

    def heard(self) -> list[Any]:
        """Return all lines that have come by now."""
        return [json.loads(self._lines.get()) for _ in range(self._lines.qsize())]

    def kill(self) -> float:
        """Kill it with SIGKILL, and return the moment."""
        self._process.kill()
        moment = time.monotonic()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        return moment


class Machine:
    """A machine.

    Args:
        directory: where its mirrors are.
        conninfo: its way to the server.
        prefix: a command that runs another one on this machine.
        forward: lets packets through, or lets them vanish.
        ahead: how many seconds its clock is ahead.
    """

    def __init__(
        self,
        directory: Path,
        conninfo: str,
        prefix: tuple[str, ...] = (),
        forward: Callable[[bool], object] = bool,
        ahead: float = 0,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.directory, self.conninfo, self.prefix, self._forward, self.ahead = (
            directory, conninfo, prefix, forward, ahead,
        )  # fmt: skip
        self.strangers: list[Stranger] = []

    def cut(self) -> float:
        """Let all packets vanish, and return the moment."""
        self._forward(False)
        return time.monotonic()

    def mend(self) -> float:
        self._forward(True)
        return time.monotonic()

    def start(self, role: str, name: str, *arguments: object) -> Stranger:
        """Start a process that runs a role of record.py, and wait until it has opened the record of this name."""
        script = Path(__file__).with_name("record.py")
        command = [*self.prefix, sys.executable, str(script), "--role", role, self.conninfo, name]
        command += [str(self.directory / name), *map(str, arguments)]
        stranger = Stranger(command, {"STRESS_AHEAD": str(self.ahead)})
        self.strangers.append(stranger)
        assert stranger.hear() == "open"
        return stranger

    def end(self) -> None:
        """Kill all its processes."""
        while self.strangers:
            self.strangers.pop().kill()

    def with_clock_ahead(self, seconds: float) -> Machine:
        """Return the same machine with another clock."""
        return Machine(self.directory, self.conninfo, self.prefix, self._forward, seconds)


def paths(server: Any, directory: Path) -> list[Machine]:
    """Return two machines that are only two paths. Their ways to the server can not be cut."""
    return [Machine(directory / f"path{number}", server.conninfo) for number in range(2)]


# Network namespaces


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)


@contextmanager
def _namespace() -> Iterator[tuple[str, ...]]:
    """Make a network namespace that ends with its processes, and return the command that runs another one in it."""
    holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        own = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + DEADLINE
        while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
            if holder.poll() is not None:
                message = "unshare refuses"
                raise PermissionError(message)
            assert time.monotonic() < deadline
            time.sleep(0.001)
        yield ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
    finally:
        holder.kill()
        holder.communicate()


@contextmanager
def namespaces(server: Any, directory: Path) -> Iterator[list[Machine]]:
    """Return two machines that are network namespaces.

    Raises:
        OSError, subprocess.CalledProcessError: this user may not make them, or a program for it is missing.
    """
    network = f"{NETWORKS}.{random.randrange(256)}"
    with ExitStack() as stack:
        machines: list[Machine] = []
        for number in range(2):
            router, machine = stack.enter_context(_namespace()), stack.enter_context(_namespace())
            # The server's end, the router's two ends and the machine's end, in two networks of four addresses.
            ends = [f"{network}.{8 * number + last}" for last in (1, 2, 5, 6)]
            here, there = f"ie{os.getpid()}s{number}", f"ie{os.getpid()}m{number}"
            # A pair of interfaces is gone as soon as one of them is, that is, with its namespace.
            _run("ip", "link", "add", here, "type", "veth", "peer", "name", "up0", "netns", router[1].split("/")[2])
            stack.callback(subprocess.run, ["ip", "link", "delete", here], capture_output=True, check=False)
            _run(*router, "ip", "link", "add", "down0", "type", "veth", "peer", "name", there)
            # `ip` looks for the process in the namespace of processes, which is still this one.
            _run(*router, "ip", "link", "set", there, "netns", machine[1].split("/")[2])
            for prefix, name, address in (
                ((), here, ends[0]),
                (router, "up0", ends[1]),
                (router, "down0", ends[2]),
                (machine, there, ends[3]),
            ):
                _run(*prefix, "ip", "address", "add", f"{address}/30", "dev", name)
                _run(*prefix, "ip", "link", "set", name, "up")
            _run(*machine, "ip", "link", "set", "lo", "up")
            _run("ip", "route", "add", f"{network}.{8 * number + 4}/30", "via", ends[1])
            _run(*machine, "ip", "route", "add", "default", "via", ends[2])

            def forward(yes: bool, router: tuple[str, ...] = router) -> None:
                _run(*router, "sh", "-c", f"echo {int(yes)} >/proc/sys/net/ipv4/ip_forward")

            forward(True)
            conninfo = f"postgresql://postgres@{ends[0]}:{server.port}/postgres"
            _run(*machine, sys.executable, "-c", "import psycopg, sys; psycopg.connect(sys.argv[1])", conninfo)
            machines.append(Machine(directory / f"namespace{number}", conninfo, machine, forward))
        try:
            yield machines
        finally:
            for each in machines:
                each.end()


# Proxies


class _Proxy:
    """A TCP proxy that can stop to forward."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._is_open = threading.Event()
        self._is_open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def forward(self, yes: bool) -> None:
        if yes:
            self._is_open.set()
        else:
            self._is_open.clear()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._is_open.wait()
        try:
            server = socket.create_connection(self._target)
        except OSError:  # the server is stopped, and the client is to see that
            client.close()
            return
        for each in client, server:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threads = [
            threading.Thread(target=self._pass_on, args=ends, daemon=True)
            for ends in ((client, server), (server, client))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
        server.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            self._is_open.wait()
            with suppress(OSError):
                if data:
                    target.sendall(data)
                else:
                    target.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxies(server: Any, directory: Path) -> Iterator[list[Machine]]:
    """Return two machines that are two paths, each with a proxy before the server."""
    machines: list[Machine] = []
    for number in range(2):
        proxy = _Proxy(server.host, server.port)
        conninfo = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        machines.append(Machine(directory / f"proxied{number}", conninfo, forward=proxy.forward))
    try:
        yield machines
    finally:
        for each in machines:
            each.mend()
            each.end()
