"""How the server of a record is reached: what a connection string says, names of hosts, and what no error may show."""

from __future__ import annotations

import ipaddress
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from multiprocessing_intenum.postgres.driver import conninfo, pq, psycopg

__all__ = ["addresses_of", "filled_in", "hosts_of", "names_in", "parameters_of", "text_of", "unanswered", "without"]

_DEFAULTS = {
    # A host that loses power says nothing. These settings notice that within half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
    "target_session_attrs": "read-write",  # not a standby
    "application_name": "multiprocessing_intenum",
}

_NAMES = ("host", "hostaddr", "user", "password", "dbname", "service", "passfile", "sslcert", "sslkey", "sslrootcert")
"""The parameters that no error may show."""

_QUOTED = re.compile(r"[\"»«„“”「][^\"»«„“”「」]*[\"«»“”」]( \([^()\s]+\))?")
"""What libpq and the server put in quotation marks, in any of their languages, and the address after a host:
`at "db.example" (192.0.2.1), port 5432`."""


def parameters_of(text: str) -> dict[str, str]:
    """Return what a connection string says.

    Raises:
        ValueError: it is no connection string. The error does not show it, because it may have a password.
    """
    with suppress(psycopg.Error):  # not the context of our error, for the same reason
        return {name: str(value) for name, value in conninfo.conninfo_to_dict(text).items()}
    message = "this is no connection string of PostgreSQL, such as postgresql://user@host/database"
    raise ValueError(message)


_LOOK_ONLY = "look only"


def filled_in(given: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with what the environment and the service files add to them. It does not connect.

    Only libpq knows these, because the place of the service file is compiled in. It tells them even for a connection
    that it refuses, as it does here, because one parameter is nonsense. Before that it checks the numbers of hosts and
    ports.

    Raises:
        ConnectionError: the parameters do not go together. The text is libpq's own.
    """
    text = conninfo.make_conninfo("", **{**given, "sslmode": _LOOK_ONLY})
    pgconn = pq.PGconn.connect_start(text.encode())
    reason = text_of(pgconn)
    found = {each.keyword.decode(): each.val.decode("utf-8", "replace") for each in pgconn.info if each.val}
    pgconn.finish()
    if _LOOK_ONLY not in reason:
        message = f"could not connect to PostgreSQL, nothing was written: {without(names_in(found), reason)}"
        raise ConnectionError(message)
    return found


def names_in(parameters: Mapping[str, str]) -> list[str]:
    """Return the texts that no error may show, the longest first: one may be a part of another."""
    names = {part for name in _NAMES for part in parameters.get(name, "").split(",") if part}
    return sorted(names, key=len, reverse=True)


def without(names: Sequence[str], text: str) -> str:
    """Return a message of libpq or the server without the hosts, users and databases in it."""
    text = _QUOTED.sub('"..."', " ".join(text.split()))
    for name in names:  # a message in Chinese has no space around them
        text = re.sub(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", "...", text)
    return text


def hosts_of(given: Mapping[str, str], found: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the parameters for each host in turn. libpq would try all hosts under the deadline of the first one."""
    lists = {name: found[name].split(",") for name in ("host", "hostaddr", "port") if found.get(name)}
    count = max((len(each) for name, each in lists.items() if name != "port"), default=1)
    chosen = [
        {name: values[index] if len(values) > 1 else values[0] for name, values in lists.items()}
        for index in range(count)
    ]
    return [{**_DEFAULTS, **given, **each} for each in chosen]


class _LookUp:
    """Looks up the addresses of a host, in a thread that can be left behind: getaddrinfo() has no deadline.

    libpq would do so in C, and psycopg's wheel holds the interpreter's lock meanwhile: all threads would stop.
    """

    def __init__(self, key: tuple[str, str], parameters: dict[str, str]) -> None:
        self._key, self._parameters = key, parameters
        self.addresses: list[str] = []
        self.failure = ""
        self._thread = threading.Thread(target=self._run, name="multiprocessing_intenum.postgres.session", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, and starts no more threads
            self._run()

    def _run(self) -> None:
        try:
            found = conninfo.conninfo_attempts(cast("Any", self._parameters))
            self.addresses = list(dict.fromkeys(str(each["hostaddr"]) for each in found))
        except (psycopg.Error, OSError, ValueError) as error:  # ValueError: the host can be no name
            self.failure = str(error)  # it may show names, which the session takes out
        finally:
            unanswered.pop(self._key, None)

    def is_answered(self, deadline: float) -> bool:
        """Wait for the answer. Return False at the deadline."""
        if self._thread.is_alive():
            self._thread.join(min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))
        return not self._thread.is_alive()


# The look-ups without an answer yet. Later tries wait for the same answer: else each try would leave a thread behind.
unanswered: dict[tuple[str, str], _LookUp] = {}


def addresses_of(parameters: dict[str, str], deadline: float) -> list[dict[str, str]]:
    """Return the parameters for each address of their host.

    Raises:
        ConnectionError: the host has no address.
        TimeoutError: there was no answer by the deadline.
    """
    host = parameters.get("host", "")
    if not host or host.startswith(("/", "@")) or parameters.get("hostaddr"):  # a socket of this machine, or known
        return [parameters]
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return [parameters]  # libpq reads an address without a look-up
    key = host, parameters.get("port", "")
    asked = unanswered.get(key)
    if asked is None or asked.is_answered(0):
        asked = unanswered[key] = _LookUp(key, parameters)
    if asked.is_answered(deadline):
        unanswered.pop(key, None)
    else:
        message = "no name server has said in time which address the host has"
        raise TimeoutError(message)
    if asked.failure:
        raise ConnectionError(asked.failure)
    return [{**parameters, "hostaddr": address} for address in asked.addresses]


def text_of(pgconn: Any) -> str:
    """Return libpq's last message without its guesses at the cause, which it indents."""
    lines = str(pgconn.get_error_message("utf-8")).splitlines()
    return "; ".join(line.rstrip(".") for line in lines if line.strip() and not line.startswith("\t"))
