"""How a process shows that it lives: a session of its own with the server; and what it owns of one record.

The session holds an advisory lock whose key, the token, is chosen at random and stored in each claim. The server gives
the lock back when the session ends: with the process, in whatever way that ends, or with the connection. So nothing can
be taken for the owner: no process with the same id, on whatever machine, and no forked child, because it closes its
copy of the connection. A stopped process lives.

A process has one such session for each connection string. It opens the session when it first claims a state, and keeps
it until it ends.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from multiprocessing_intenum.by_path.mirror import RowChange
from multiprocessing_intenum.locks.holding import ThreadsLock
from multiprocessing_intenum.postgres.columns import TOKENS
from multiprocessing_intenum.postgres.table import Table

__all__ = ["Claims", "Life", "life_of"]


class Life:
    """The session by which a process lives, and the token that it has locked.

    Args:
        table: any record of the database.
        deadline: when the server must have answered.

    Raises:
        OSError, ValueError: see `Table.session`.
    """

    __slots__ = ("_session", "token")

    token: int

    def __init__(self, table: Table, deadline: float) -> None:
        self.token = secrets.choice(TOKENS)
        self._session = table.session(deadline)
        table.lock_token(self._session, self.token, deadline)

    @property
    def is_ours(self) -> bool:
        """Whether this process has opened the session: a forked child has closed it."""
        return bool(self._session.pid)

    def end(self) -> None:
        """Close the session."""
        self._session.close()


# Of this process, by connection string. Each is kept, because this process may own a state also when it has dropped
# the value.
_lives: dict[frozenset[tuple[str, str]], Life] = {}
_making = ThreadsLock()


def life_of(table: Table, is_alive: Callable[[Life], bool], deadline: float) -> Life:
    """Return the life of this process. Begin one if there is none, or if the server has ended its session.

    Args:
        table: the record.
        is_alive: asks the server.
        deadline: when the server must have answered.

    Raises:
        OSError, ValueError: see `Table.session`.
        RuntimeError: a signal handler asks while its thread begins one.
    """
    key = frozenset(table.parameters.items())
    life = _lives.get(key)
    if life is not None and life.is_ours and is_alive(life):
        return life
    if _making.is_mine():
        message = "a signal handler can not own a state while its thread connects to own one: try again later"
        raise RuntimeError(message)
    try:
        if not _making.acquire(timeout=max(0.0, deadline - time.monotonic())):
            message = "another thread is still connecting to PostgreSQL, to own a state: nothing was written"
            raise TimeoutError(message)
        found = _lives.get(key)
        if found is not None and found is not life:  # another thread was faster
            return found
        begun = Life(table, deadline)
        if not is_alive(begun):
            begun.end()
            message = (
                "the server does not know the connection by which it should see that this process lives: nothing was "
                "written. Does the connection string lead to several servers?"
            )
            raise ConnectionError(message)
        _lives[key] = begun
        if life is not None:
            life.end()
        return begun
    finally:
        if _making.is_mine():
            _making.release()


class Claims:
    """The claims of this process on one record that it has not seen ended yet."""

    __slots__ = ("_lives",)

    def __init__(self) -> None:
        self._lives: dict[int, Life] = {}  # by the version of the claimed state

    def note(self, version: int, life: Life) -> None:
        """Note a claim that is about to be written, because it may be written without an answer."""
        self._lives[version] = life

    def keep(self, version: int) -> None:
        """Forget all but this one: this process has changed the state itself."""
        for each in list(self._lives):  # a signal handler may note one meanwhile
            if each != version:
                self._lives.pop(each, None)

    def are_lost(self, history: Sequence[RowChange], is_alive: Callable[[Life], bool]) -> bool:
        """Whether this process has owned the state, and was taken for dead, or may have been. It is told once.

        Args:
            history: that of the row. The last change is the present one. If the server still says that this process
                owns that one, it lives.
            is_alive: asks the server.
        """
        for version, life in list(self._lives.items()):
            found = [each.claim for each in history if each.version == version][-1:]
            # A claim that is not in the history is too old for it, or the server has lost it.
            is_owned = life.is_ours and all(claim is not None and claim.token == life.token for claim in found)
            if is_owned and version == history[-1].version:
                continue
            if is_owned and not is_alive(life):
                self._lives.clear()
                return True
            self._lives.pop(version, None)  # somebody has changed the state
        return False
