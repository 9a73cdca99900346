"""A pooler in transaction mode, as small as it can be: all its clients share one session of the server.

It speaks as much of PostgreSQL's protocol as it needs to tell where an answer ends.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_SSL, _SSL, _GSS = b"N", 80877103, 80877104


class Pooler:
    """It listens on `port`. If it is not shared, each client has a session of its own."""

    def __init__(self, server: tuple[str, int], *, shared: bool) -> None:
        self._server = server
        self._shared = self._session() if shared else None
        self._turn = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _session(self) -> socket.socket:
        """Return a session of the server that is ready for a query."""
        session = socket.create_connection(self._server)
        text = b"user\0postgres\0database\0postgres\0\0"
        session.sendall(struct.pack("!II", 8 + len(text), 196608) + text)
        _answer(session)
        return session

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), ExitStack() as stack:
            while True:
                (length,) = struct.unpack("!I", _exactly(client, 4))
                body = _exactly(client, length - 4)
                if struct.unpack("!I", body[:4])[0] not in (_SSL, _GSS):
                    break
                client.sendall(_NO_SSL)
            # Welcome; the key for cancelling is the pooler's own, as PgBouncer's is; ready.
            status = b"".join(_message(b"S", name + b"\0" + value + b"\0") for name, value in _PARAMETERS)
            client.sendall(_message(b"R", struct.pack("!I", 0)) + status)
            client.sendall(_message(b"K", struct.pack("!II", 4_000_000, 1)) + _message(b"Z", b"I"))
            session = self._shared or stack.enter_context(self._session())
            while True:
                request = b""
                while True:
                    kind = _exactly(client, 1)
                    (length,) = struct.unpack("!I", _exactly(client, 4))
                    request += kind + struct.pack("!I", length) + _exactly(client, length - 4)
                    if kind in (b"S", b"Q", b"X"):  # sync, a simple query, good-bye
                        break
                if kind == b"X":
                    return
                with self._turn:
                    session.sendall(request)
                    answer = _answer(session)
                client.sendall(answer)

    def close(self) -> None:
        self._listener.close()
        if self._shared:
            self._shared.close()


_PARAMETERS = (
    (b"server_version", b"18.0"),
    (b"client_encoding", b"UTF8"),
    (b"standard_conforming_strings", b"on"),
    (b"default_transaction_read_only", b"off"),
    (b"in_hot_standby", b"off"),
)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", 4 + len(body)) + body


def _exactly(sock: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = sock.recv(count - len(found))
        if not more:
            raise ConnectionResetError
        found += more
    return found


def _answer(session: socket.socket) -> bytes:
    """Return what the server says until it is ready for the next query."""
    found = b""
    while True:
        kind = _exactly(session, 1)
        (length,) = struct.unpack("!I", _exactly(session, 4))
        found += kind + struct.pack("!I", length) + _exactly(session, length - 4)
        if kind == b"Z":
            return found


@contextmanager
def pooler(server: tuple[str, int], *, shared: bool) -> Iterator[Pooler]:
    found = Pooler(server, shared=shared)
    try:
        yield found
    finally:
        found.close()
