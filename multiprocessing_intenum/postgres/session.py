"""One session with a PostgreSQL server, by psycopg's wrapper of libpq. Every step has a deadline.

`psycopg.Connection` has no deadline for a query before psycopg 3.3, takes up to five seconds to cancel one on Ctrl-C,
and its lock would block a signal handler for ever if the handler interrupts a query of its own thread. What is left
to psycopg is to look up the names of hosts (`conninfo_attempts`, in `hosts`), and to exchange a query and its results
(`generators.execute`). Done here are:

- the waiting, because psycopg's own has no deadline before psycopg 3.3;
- connecting, because `generators.connect` keeps the connection to itself until it is made, and a child that is forked
  meanwhile has to close the socket.
"""

from __future__ import annotations

import math
import os
import selectors
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from multiprocessing_intenum import fork
from multiprocessing_intenum.postgres import hosts
from multiprocessing_intenum.postgres.driver import Ready, conninfo, generators, pq, psycopg

__all__ = ["PATIENCE", "PROMPT", "ServerError", "Session"]

PATIENCE = 30.0
"""Seconds for an answer if the caller has given no timeout. After that the server counts as lost."""

PROMPT = 2.0
"""The same for a caller that does not want to wait for a lock, but has to ask for it."""

_CONNECT = 10.0
"""Seconds for one host to answer, unless the connection string has another `connect_timeout`."""

# Settings of the server for such a session. A setting that the server does not know is left out.
_SETTINGS = {
    # After some 17 seconds the server frees the lock of a client that has vanished.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
    # It ends the session of a killed client, even while the session waits for a lock. PostgreSQL 14; not on Windows.
    "client_connection_check_interval": "1000",
    # Only the deadline of a step may end it. The administrator may have set one of these.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",  # PostgreSQL 17
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # In a stricter isolation a row is read as it was before the wait for its lock.
    "default_transaction_isolation": "read committed",
}

_R, _W = selectors.EVENT_READ, selectors.EVENT_WRITE

Rows = list[list["bytes | None"]]


class ServerError(Exception):
    """The server has refused a statement. Nothing of it was done.

    Args:
        state: the five characters by which SQL names the error.
        text: the server's message, without names.
        done: how many statements before it were done. Their changes to rows were undone; the locks that they took are
            still held.
    """

    state: str
    done: int

    def __init__(self, state: str, text: str, done: int) -> None:
        super().__init__(f"{text} (SQLSTATE {state})")
        self.state, self.done = state, done


class Session:
    """An open connection. If it can not be opened, the reason is raised.

    Args:
        given: the connection parameters.
        deadline: the moment, by `time.monotonic`, at which the server must have answered.

    Raises:
        ConnectionError: the server was not reached, or has refused.
        TimeoutError: it was not reached in time.
    """

    __slots__ = ("__weakref__", "_has_heard", "_names", "_pgconn", "is_busy", "is_closed", "is_standby", "pid")

    is_closed: bool
    is_busy: bool
    """Whether a statement is on its way. A signal handler may run then, and must not send another one."""
    pid: int
    """The id of the server's process; 0 if the session is that of a parent."""
    is_standby: bool
    """Whether the server follows another server, so that it can be read, but not written to."""

    def __init__(self, given: Mapping[str, str], deadline: float) -> None:
        self.is_closed, self.is_busy, self._has_heard = False, True, False
        self._names: list[str] = []
        _sessions.add(self)
        try:
            self._connect(given, deadline)
            self.is_busy = False
            try:
                pid, is_standby = self._set_up(_SETTINGS, deadline)
            except ServerError:  # the server's system cannot tell it that a client has gone
                rest = {name: value for name, value in _SETTINGS.items() if name != "client_connection_check_interval"}
                pid, is_standby = self._set_up(rest, deadline)
        except ServerError as error:
            self.close()
            message = f"PostgreSQL refuses, nothing was written: {error}"
            raise ConnectionError(message) from None
        except BaseException:
            self.close()
            raise
        self.pid, self.is_standby = int(pid or 0), is_standby == b"t"

    def _set_up(self, settings: Mapping[str, str], deadline: float) -> list[bytes | None]:
        values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
        (answer,) = self.script(
            "SELECT set_config(name, wanted, false) "
            f"FROM (VALUES {values}) AS own (name, wanted) JOIN pg_settings USING (name); "
            "SELECT pg_backend_pid(), pg_is_in_recovery()",
            deadline,
        )
        return answer

    @property
    def is_direct(self) -> bool:
        """Whether the server itself has answered, not a pooler in front of it."""
        return bool(self._pgconn.backend_pid == self.pid)

    def _connect(self, given: Mapping[str, str], deadline: float) -> None:
        found = hosts.filled_in(given)
        self._names = hosts.names_in(found)
        failures: list[OSError] = []
        for host in hosts.hosts_of(given, found):
            wanted = found.get("connect_timeout", "")  # 0 is no limit to libpq
            limit = float(wanted) if wanted.isdecimal() and int(wanted) else _CONNECT
            try:
                for address in hosts.addresses_of(host, min(time.monotonic() + limit, deadline)):
                    text = conninfo.make_conninfo("", **{**address, "client_encoding": "UTF8"})
                    failure = self._connect_to_one(text, min(time.monotonic() + limit, deadline))
                    if failure is None:
                        return
                    failures.append(failure)
            except OSError as error:
                failures.append(error)
            if time.monotonic() >= deadline:
                break
        reasons = "; ".join(dict.fromkeys(hosts.without(self._names, str(each)) for each in failures))
        message = (
            f"could not connect to PostgreSQL, nothing was written: {reasons}. "
            "Check the server and the connection string"
        )
        raise type(failures[-1])(message) from None

    def _connect_to_one(self, text: str, deadline: float) -> OSError | None:
        """Connect to one address. Return the error if that fails, else None."""
        self._pgconn = pgconn = pq.PGconn.connect_start(text.encode())
        while pgconn.status != pq.ConnStatus.BAD:
            state = pgconn.connect_poll()
            if state == pq.PollingStatus.OK:
                pgconn.nonblocking = 1
                pgconn.notify_handler = self._hear
                return None
            if state == pq.PollingStatus.FAILED:
                break
            if not _ready(pgconn.socket, _R if state == pq.PollingStatus.READING else _W, deadline):
                pgconn.finish()
                return TimeoutError("it did not answer in time")
        reason = hosts.text_of(pgconn)
        pgconn.finish()
        return ConnectionError(reason)

    def close(self) -> None:
        """Close the session. The server frees its locks."""
        self.is_closed = True
        with suppress(AttributeError):  # it was interrupted before it had a connection
            self._pgconn.finish()

    def query(self, sql: str, arguments: Sequence[object], deadline: float) -> Rows:
        """Send one statement, and return its rows as text.

        Raises:
            ServerError: the server refuses it.
            ConnectionError, TimeoutError: no answer came. The session is closed. The statement may have been done.
        """
        values = [str(each).encode() for each in arguments]
        return self._ask(lambda: self._pgconn.send_query_params(sql.encode(), values), deadline)[-1]

    def script(self, sql: str, deadline: float) -> Rows:
        """Send several statements at once, and return the rows of the last one. Errors are as for `query`.

        They are one transaction, but each statement sees the rows as they were when that statement began.
        """
        return self.scripts(sql, deadline)[-1]

    def scripts(self, sql: str, deadline: float) -> list[Rows]:
        """Do as `script` does, and return the rows of each statement."""
        return self._ask(lambda: self._pgconn.send_query(sql.encode()), deadline)

    def literal(self, text: str) -> str:
        """Return a text as SQL."""
        return bytes(pq.Escaping(self._pgconn).escape_literal(text.encode())).decode()

    def notified(self, deadline: float) -> bool:
        """Wait for a notification, and take all that have come. Return False at the deadline.

        Raises:
            ConnectionError: the connection was lost.
        """
        with suppress(psycopg.Error):  # its text may show names, so it must not be the context of our error
            while True:
                self._pgconn.consume_input()
                while self._pgconn.notifies() is not None:
                    self._has_heard = True
                if self._has_heard:
                    self._has_heard = False
                    return True
                if not _ready(self._pgconn.socket, _R, deadline):
                    return False
        raise self._loss()

    def _hear(self, _: object) -> None:
        """Note a notification that has come with the answer to a query."""
        self._has_heard = True

    def _ask(self, send: Callable[[], object], deadline: float) -> list[Rows]:
        if self.is_busy:
            message = (
                "a signal handler can not write to the record while its thread talks to the server: try again later"
            )
            raise RuntimeError(message)
        self.is_busy = True
        answers: list[Rows] = []
        refused: ServerError | None = None
        is_whole = False
        try:
            send()
            for result in self._results(deadline):
                if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                    columns = range(result.nfields)
                    rows = range(result.ntuples)
                    answers.append([[result.get_value(row, column) for column in columns] for row in rows])
                else:
                    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"?????").decode()
                    text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
                    text = hosts.without(self._names, bytes(text).decode("utf-8", "replace"))
                    refused = ServerError(state, text, len(answers))
            is_whole = self._pgconn.status != pq.ConnStatus.BAD
        except psycopg.Error:  # as above
            pass
        except BaseException:  # KeyboardInterrupt too: what comes next on this connection would be the wrong answer
            self.close()
            raise
        if not is_whole:
            raise self._loss()
        self.is_busy = False
        if refused is not None:
            raise refused
        return answers

    def _results(self, deadline: float) -> list[Any]:
        """Let psycopg exchange a query that was sent, and return the result of each of its statements."""
        exchange = generators.execute(self._pgconn)
        ready: Any = None
        while True:
            try:
                wanted = exchange.send(ready)
            except StopIteration as end:
                return cast("list[Any]", end.value)
            ready = Ready(_ready(self._pgconn.socket, wanted, deadline))
            if not ready:
                message = "PostgreSQL did not answer in time"
                raise TimeoutError(message)

    def _loss(self) -> ConnectionError:
        """Close the session, and return the error that says why."""
        reason = hosts.without(self._names, hosts.text_of(self._pgconn))
        self.close()
        return ConnectionError(f"the connection to PostgreSQL was lost: {reason}")


def _ready(fd: int, events: int, deadline: float) -> int:
    """Wait until a socket is ready, and return for which of these events. Return 0 at the deadline."""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, events)
        while True:
            left = deadline - time.monotonic()
            for _, found in selector.select(None if left == math.inf else max(0.0, left)):
                return found
            if left <= 0:
                return 0


# A forked child has the sockets of its parent. While it has them open, the server does not notice the parent's death.
_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _begin_in_child() -> None:
    hosts.unanswered.clear()  # the threads of the parent are not here
    for session in list(_sessions):
        session.is_closed, session.pid = True, 0
        with suppress(AttributeError, psycopg.Error):  # it has no connection yet, or none any more
            os.close(session._pgconn.socket)
        with suppress(AttributeError):
            # close() must not close the socket once more: its number may be that of another file by then. psycopg
            # itself leaves a connection of another process alone.
            del session._pgconn


fork.in_child(fork.Step.SESSIONS, _begin_in_child)
