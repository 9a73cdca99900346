"""Following a record: the thread that keeps this machine's mirror of it up to date."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from multiprocessing_intenum import fork
from multiprocessing_intenum.file_lock import FileLock
from multiprocessing_intenum.mirror import Mirror
from multiprocessing_intenum.open_file import FOLLOWING
from multiprocessing_intenum.record import Table
from multiprocessing_intenum.session import Session

__all__ = ["follow"]

_log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two looks: of the follower at the record, of the others at whether the follower is alive."""

_PATIENCE = 5.0
"""Seconds after which the follower takes its connection for lost."""


def follow(file: FileLock, table: Table, parameters: Mapping[str, str], check: Callable[[Any], None]) -> None:
    """Have a thread of this process follow the record, while the file is open and no other process follows it.

    Args:
        file: the open mirror.
        table: the statements on the record.
        parameters: those of the connection.
        check: raises ValueError for a row with another enum.
    """
    with _starting:
        if file not in _followers:
            _start(file, table, parameters, check)


def _start(file: FileLock, table: Table, parameters: Mapping[str, str], check: Callable[[Any], None]) -> None:
    _followers[file] = _Follower(weakref.ref(file), file.another(FOLLOWING), table, parameters, check)
    threading.Thread(target=_followers[file].run, name="multiprocessing_intenum.postgres", daemon=True).start()


class _Follower:
    def __init__(
        self,
        file: weakref.ref[FileLock],
        right: FileLock,
        table: Table,
        parameters: Mapping[str, str],
        check: Callable[[Any], None],
    ) -> None:
        self._file, self._right, self._table, self._parameters, self._check = file, right, table, parameters, check
        self._end = threading.Event()
        weakref.finalize(file(), self._end.set)
        self._failure = ""

    def run(self) -> None:
        """Follow whenever no other process does, as long as the file is open."""
        pause = TICK
        while not self._end.wait(pause if self._failure else 0):
            try:
                if not self._right.acquire(block=False):  # another process follows: is it alive?
                    self._end.wait(TICK)
                    continue
                try:
                    self._follow()
                finally:
                    self._right.release()
            except Exception as error:
                # Whatever it is, there must be somebody who follows: he tries again.
                self._note(str(error))

    def _follow(self) -> None:
        """Follow the record until the connection is lost."""
        session = Session(self._parameters, time.monotonic() + _PATIENCE)
        try:
            key = self._table.key(session, time.monotonic() + _PATIENCE)
            self._table.listen(session, key, time.monotonic() + _PATIENCE)
            # It listens first and reads then. So a write that it does not see here is one that it will hear of.
            while self._look(session):
                session.notified(time.monotonic() + TICK)
        finally:
            session.close()

    def _look(self, session: Session) -> bool:
        """Bring the mirror up to date. Return False if nobody uses it any more."""
        file = self._file()
        if file is None:
            return False
        mirror = Mirror(file.body)
        question = mirror.asking()
        row = self._table.required(self._table.find(session, time.monotonic() + _PATIENCE))
        self._check(row.description)
        with file:
            mirror.catch_up(row, question)
        self._note("")
        return True

    def _note(self, failure: str) -> None:
        if failure != self._failure:
            self._failure = failure
            if failure:
                _log.warning("the record %r is not followed at the moment: %s", self._table.name, failure)
            else:
                _log.info("the record %r is followed again", self._table.name)


_followers: weakref.WeakKeyDictionary[FileLock, _Follower] = weakref.WeakKeyDictionary()
_starting = fork.lock_of_threads()


def _follow_in_child() -> None:
    """Start the threads again, which a fork does not copy."""
    for file, follower in list(_followers.items()):
        with suppress(RuntimeError):  # no thread can be started any more: the interpreter is ending
            _start(file, follower._table, follower._parameters, follower._check)


fork.in_child(fork.Step.FOLLOWERS, _follow_in_child)
