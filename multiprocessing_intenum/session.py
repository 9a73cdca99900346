"""One session with a PostgreSQL server, in which every step has a deadline, by psycopg's wrapper of libpq.

`psycopg.Connection` has no deadline for a query before psycopg 3.3, takes up to five seconds to cancel one on Ctrl-C,
and its lock would hold a signal handler for ever that interrupts a query of its own thread.
"""

from __future__ import annotations

import math
import os
import re
import selectors
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from multiprocessing_intenum import fork

try:
    import psycopg
    from psycopg import conninfo, pq
except ImportError as _error:  # psycopg's own text says which library it looked for
    _message = f'this needs psycopg 3: pip install "multiprocessing-intenum[postgres]" "psycopg[binary]" ({_error})'
    raise ImportError(_message) from None

__all__ = ["PATIENCE", "PROMPT", "ServerError", "Session", "parameters_of"]

PATIENCE = 30.0
"""Seconds after which the server counts as lost, where the caller has given no timeout: for what needs no lock."""

PROMPT = 2.0
"""The same for who does not want to wait for a lock, but has to ask for it."""

_CONNECT = 10.0
"""Seconds for one host to answer, unless the connection string has another `connect_timeout`."""

_DEFAULTS = {
    # A host that has lost its power does not say so. These notice it within half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
    "target_session_attrs": "read-write",  # not a standby
    "application_name": "multiprocessing_intenum",
}

# What the server does by itself in such a session. A setting that it does not know is left out.
_SETTINGS = {
    # It gives back the lock of a client that has gone without a word after some 17 seconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    # In a stricter isolation a row is read as it was before its lock was waited for.
    "default_transaction_isolation": "read committed",
}

_NAMES = ("host", "hostaddr", "user", "password", "dbname", "service", "passfile", "sslcert", "sslkey", "sslrootcert")
"""The parameters that are not to be seen in an error."""

_R, _W = selectors.EVENT_READ, selectors.EVENT_WRITE

Rows = list[list["bytes | None"]]


class ServerError(Exception):
    """The server has refused a statement. Nothing of it was done.

    Args:
        state: the five characters by which SQL names the error.
        text: the server's message, without names.
    """

    def __init__(self, state: str, text: str) -> None:
        super().__init__(f"{text} (SQLSTATE {state})")
        self.state = state


def parameters_of(text: str) -> dict[str, str]:
    """Return what a connection string says.

    Raises:
        ValueError: it is none. The text is not repeated, because it may have a password.
    """
    try:
        found = conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        found = None
    if found is None:
        message = "this is no connection string of PostgreSQL, such as postgresql://user@host/database"
        raise ValueError(message)
    return {name: str(value) for name, value in found.items()}


def _attempts(given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the parameters for each host in turn. libpq would try them all under one deadline, the first one's."""
    lists = {name: given[name].split(",") for name in ("host", "hostaddr", "port") if given.get(name)}
    count = max((len(each) for name, each in lists.items() if name != "port"), default=1)
    attempts: list[dict[str, str]] = []
    for index in range(count):
        attempt = {**_DEFAULTS, **given}
        for name, values in lists.items():
            attempt[name] = values[index] if len(values) > 1 else values[0]
        attempts.append(attempt)
    return attempts


class Session:
    """A connection that is open, or raises the reason why it is not.

    Args:
        given: the connection parameters.
        deadline: the moment, by `time.monotonic`, at which the server must have answered.

    Raises:
        ConnectionError: the server was not reached, or has refused.
        TimeoutError: it was not reached in time.
    """

    __slots__ = ("__weakref__", "_names", "_pgconn", "is_busy", "is_closed", "pid")

    is_closed: bool
    is_busy: bool
    """Whether a statement is on its way. A signal handler can be called then, and must not send another one."""
    pid: int
    """The server's process."""

    def __init__(self, given: Mapping[str, str], deadline: float) -> None:
        self.is_closed, self.is_busy = False, True
        self._names = [part for name in _NAMES for part in given.get(name, "").split(",") if part]
        _sessions.add(self)
        try:
            self._connect(given, deadline)
            self.is_busy = False
            values = ", ".join(f"('{name}', '{value}')" for name, value in _SETTINGS.items())
            settings = f"(VALUES {values}) AS own (name, wanted) JOIN pg_settings USING (name)"
            ((pid,),) = self.script(
                f"SELECT set_config(name, wanted, false) FROM {settings}; SELECT pg_backend_pid()", deadline
            )
        except BaseException:
            self.close()
            raise
        self.pid = int(pid or 0)

    @property
    def is_direct(self) -> bool:
        """Whether it is the server itself that has answered, not a pooler in front of it."""
        return bool(self._pgconn.backend_pid == self.pid)

    def _connect(self, given: Mapping[str, str], deadline: float) -> None:
        failures: list[OSError] = []
        for attempt in _attempts(given):
            wanted = attempt.get("connect_timeout", "")
            limit = time.monotonic() + (float(wanted) if wanted.isdecimal() else _CONNECT)
            text = conninfo.make_conninfo("", **{**attempt, "client_encoding": "UTF8"})
            failure = self._connect_to_one(text, min(limit, deadline))
            if failure is None:
                return
            failures.append(failure)
            if time.monotonic() >= deadline:
                break
        reasons = "; ".join(dict.fromkeys(map(str, failures)))
        message = (
            f"could not connect to PostgreSQL, nothing was written: {reasons}. "
            "Check the server and the connection string"
        )
        raise type(failures[-1])(message)

    def _connect_to_one(self, text: str, deadline: float) -> OSError | None:
        """Connect to one host, and return why that has failed, or None."""
        self._pgconn = pgconn = pq.PGconn.connect_start(text.encode())
        while pgconn.status != pq.ConnStatus.BAD:
            state = pgconn.connect_poll()
            if state == pq.PollingStatus.OK:
                pgconn.nonblocking = 1
                return None
            if state == pq.PollingStatus.FAILED:
                break
            if not _wait(pgconn.socket, _R if state == pq.PollingStatus.READING else _W, deadline):
                pgconn.finish()
                return TimeoutError("it did not answer in time")
        reason = self._without_names(_text_of(pgconn))
        pgconn.finish()
        return ConnectionError(reason)

    def close(self) -> None:
        """Close it. The server gives back its locks."""
        self.is_closed = True
        with suppress(AttributeError):  # it was interrupted before it had one
            self._pgconn.finish()

    def query(self, sql: str, arguments: Sequence[object], deadline: float) -> Rows:
        """Send one statement, and return its rows as text.

        Raises:
            ServerError: the server refuses it.
            ConnectionError, TimeoutError: no answer came. The session is closed. The statement may have been done.
        """
        values = [str(each).encode() for each in arguments]
        return self._ask(lambda: self._pgconn.send_query_params(sql.encode(), values), deadline)

    def script(self, sql: str, deadline: float) -> Rows:
        """Send several statements at once, and return the rows of the last one. Errors are as for `query`."""
        return self._ask(lambda: self._pgconn.send_query(sql.encode()), deadline)

    def literal(self, text: str) -> str:
        """Return a text as SQL."""
        return bytes(pq.Escaping(self._pgconn).escape_literal(text.encode())).decode()

    def notified(self, deadline: float) -> bool:
        """Wait for a notification, and take all that have come. Return False at the deadline.

        Raises:
            ConnectionError: the connection was lost.
        """
        try:
            while not self._take_notifications():
                if not _wait(self._pgconn.socket, _R, deadline):
                    return False
            return True
        except psycopg.Error:  # its text has names in it, so it must not be the context of ours
            pass
        raise self._loss()

    def _take_notifications(self) -> bool:
        self._pgconn.consume_input()
        found = False
        while self._pgconn.notifies() is not None:
            found = True
        return found

    def _ask(self, send: Callable[[], object], deadline: float) -> Rows:
        if self.is_busy:
            message = (
                "a signal handler can not write to the record while its thread talks to the server: try again later"
            )
            raise RuntimeError(message)
        self.is_busy = True
        rows: Rows = []
        refused: ServerError | None = None
        is_whole = False
        try:
            send()
            rows, refused = self._answer(deadline)
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
        return rows

    def _answer(self, deadline: float) -> tuple[Rows, ServerError | None]:
        """Send what is not sent yet, and return the rows of the last statement, or why one was refused."""
        self._flush(deadline)
        rows: Rows = []
        refused: ServerError | None = None
        while True:
            while self._pgconn.is_busy():
                self._wait(_R, deadline)
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
            if result is None:
                return rows, refused
            if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                columns = range(result.nfields)
                rows = [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
            else:
                state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"?????").decode()
                text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
                refused = ServerError(state, self._without_names(bytes(text).decode("utf-8", "replace")))

    def _flush(self, deadline: float) -> None:
        while self._pgconn.flush():
            self._wait(_R | _W, deadline)
            self._pgconn.consume_input()

    def _wait(self, events: int, deadline: float) -> None:
        if not _wait(self._pgconn.socket, events, deadline):
            message = "PostgreSQL did not answer in time"
            raise TimeoutError(message)

    def _without_names(self, text: str) -> str:
        """Return a message of libpq or the server without the hosts, users and databases in it."""
        # libpq writes: at "db.example" (192.0.2.1), port 5432
        text = re.sub(r'"[^"]*"( \([^()\s]+\))?', '"..."', " ".join(text.split()))
        for name in self._names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "...", text)
        return text

    def _loss(self) -> ConnectionError:
        """Close the session, and return the error that says why."""
        reason = self._without_names(_text_of(self._pgconn))
        self.close()
        return ConnectionError(f"the connection to PostgreSQL was lost: {reason}")


def _text_of(pgconn: Any) -> str:
    """Return libpq's last message without its guesses at the cause, which it indents."""
    lines = str(pgconn.get_error_message("utf-8")).splitlines()
    return "; ".join(line.rstrip(".") for line in lines if line.strip() and not line.startswith("\t"))


def _wait(fd: int, events: int, deadline: float) -> bool:
    """Wait until a socket is ready. Return False at the deadline."""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, events)
        while True:
            left = deadline - time.monotonic()
            if selector.select(None if left == math.inf else max(0.0, left)):
                return True
            if left <= 0:
                return False


# A forked child has the sockets of its parent. While it has them open, the server does not notice the parent's death.
_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _begin_in_child() -> None:
    for session in list(_sessions):
        session.is_closed = True
        with suppress(AttributeError, psycopg.Error):  # it has no connection yet, or none any more
            os.close(session._pgconn.socket)
        with suppress(AttributeError):
            # So that close() does not close it once more: the number may be that of another file by then. psycopg
            # itself leaves a connection of another process alone.
            del session._pgconn


fork.in_child(fork.Step.SESSIONS, _begin_in_child)
