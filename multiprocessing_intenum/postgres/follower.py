"""The follower: a thread that keeps this machine's mirrors of records up to date.

A process has one follower for each connection string, whatever the number of its records. All records that the thread
follows share one connection, and are read by one query. On each machine, one process follows a record:

- The kernel's lock on FOLLOWING in the mirror tells which one. If that process ends, another one gets the lock.
- A process that is stopped, or has a thread in C that does not let others run, keeps its lock. So the process that
  follows also gives signs of life in the mirror, whether or not the database answers. If there is none for some
  seconds, another process stands in. The stopped process sees that when it goes on, and gives its lock back.
- The process that has the most records open follows all of them, once it has read them. So a machine has one
  connection if one of its processes has all records open.
- A process that cannot follow a record gives the duty back after a while: another process may have the right to read
  the record, or may reach the server.

Two processes that follow a record at once do no harm: see `Mirror.catch_up`.

The thread also closes the connections of writers that are not used any more.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import weakref
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.mirror import Claim, Duty, Mirror, Question, Row, describe_mirror, now
from multiprocessing_intenum.locks.open_file import FOLLOWING
from multiprocessing_intenum.postgres.lock import close_idle
from multiprocessing_intenum.postgres.session import Session
from multiprocessing_intenum.postgres.table import Found, Table, find_all, listen

__all__ = ["follow"]

_log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two signs of life of the process that follows. The other processes look as often."""

LOOK = 1.0
"""Seconds between two looks at the records while nobody writes. A write is notified at once."""

PATIENCE = 3.0
"""Seconds for the server to answer. After that the connection counts as lost."""

SILENCE = 4
"""Seconds without a sign of life after which another process stands in. More than PATIENCE, because there is no sign
during the wait for the server."""

CONNECT = 5
"""Seconds for one host to answer, unless the connection string has another `connect_timeout`."""

TABLE = 0.1
"""Seconds that the server waits for the table when the owner of a state has ended. Else the next look tries again."""

TENURE = 10.0
"""Seconds without success after which a process lets another one try to follow."""

LONGEST_PAUSE = 4.0
"""Seconds, at most, between two tries to connect. A fleet must not hinder the server that it waits for."""


def follow(file: FileLock, table: Table) -> None:
    """Have a thread of this process follow the record, while the file is open and no other process follows it.

    Args:
        file: the open mirror.
        table: the record in its database.

    Raises:
        RuntimeError: no thread can be started.
    """
    key = frozenset(table.parameters.items())
    with _starting:
        follower = _followers.get(key) or _Follower(table.parameters)
        if not any(each.file() is file for each in follower.records):
            follower.records.append(_Followed(file, table))
        if key not in _followers:
            threading.Thread(target=follower.run, name="multiprocessing_intenum.postgres", daemon=True).start()
            _followers[key] = follower  # not before: the thread may not start


class _Followed:
    """A record that this process has open, and follows if it has the duty.

    Closing the file changes nothing here, because a forked child, which has no such thread, may close it at any moment.
    The thread notices that the file is closed.

    Args:
        file: the open mirror.
        table: the record in its database.
    """

    def __init__(self, file: FileLock, table: Table) -> None:
        self.file, self.table = weakref.ref(file), table
        self.mirror = Mirror(file.body)
        self.is_mine = False
        self.is_wanted = False  # another process follows it, and this one is to take over if it can
        self._right = file.another(FOLLOWING)
        self._has_right = self._is_locked = False
        self._has_lost = False  # it could not follow, or was stopped: it takes the duty only if nobody has it
        self._sign = 0, 0
        self._seen = self.mirror.duty
        self._looks = 0  # how many looks in a row have found no change
        self._looked_at = 0.0
        self._since = 0.0  # the moment since which this process has the duty without success
        self._failure = ""
        self._dead: tuple[int, Claim] | None = None  # the claim of an owner that has ended, and its version
        self._may_write = True

    def tick(self, token: int, records: int, *, is_connected: bool) -> bool:
        """Look which process follows the record. If it is this one, give a sign of life; if none does, take over.

        No error leaves this function, because the other records come next.

        Args:
            token: the number of this process.
            records: how many records this process has open.
            is_connected: whether this process follows any record.

        Returns:
            False if the record is not open any more.
        """
        try:
            if self.file() is None:
                self.leave()
                return False
            self._look(token, records, is_connected)
        except Exception as error:
            self.fail(error)
        return True

    def _look(self, token: int, records: int, is_connected: bool) -> None:
        self._sign = token, records
        duty, moment = self.mirror.duty, time.monotonic()
        self._looks = self._looks + 1 if duty == self._seen else 0
        self._seen = duty
        self.is_wanted = False
        if self.is_mine:
            if duty.token != token:  # this process was stopped, or the other one has more records open
                self._has_lost = moment - self._looked_at > SILENCE
                self.leave()
        elif self._is_vacant(duty):
            self._take()
        elif duty.token and not self._has_lost:
            records = min(records, 255)
            # With equal numbers the duty stays, unless both processes follow: they may have begun at the same time.
            self.is_wanted = records > duty.records or (records == duty.records and is_connected and token > duty.token)
        self._looked_at = moment
        if self.is_mine:
            with suppress(OSError):  # this process follows without it
                self._has_right = self._has_right or self._right.acquire(block=False)
            self.give_sign(SILENCE)
        elif self._failure and self.mirror.age() < 2 * LOOK:
            self._note("")  # another process can follow

    def _is_vacant(self, duty: Duty) -> bool:
        if self._looks > 0 and self._right.acquire(block=False):  # its process has ended, or has given up
            self._has_right = True
            return True
        if self._looks * TICK <= (duty.silence or SILENCE):
            return False
        if duty.token:
            _log.warning(
                "the process that follows the record %r on this machine has given no sign of life for %d s: it is "
                "stopped, or has a thread in C that does not let others run. This process follows the record now",
                self.table.name,
                duty.silence,
            )
        return True

    def _take(self) -> None:
        self.is_mine, self.is_wanted = True, False
        self._since = time.monotonic()

    def give_sign(self, silence: int) -> None:
        """Give a sign of life. The next one must come within `silence` seconds."""
        token, records = self._sign
        self.mirror.duty = Duty(token, self.mirror.duty.beat + 1, silence, records)

    def leave(self) -> None:
        """Stop following the record."""
        self.is_mine = False
        if self._has_right:
            self._has_right = False
            self._right.release()

    def fail(self, error: Exception) -> None:
        """Note why this process cannot follow the record. After a while, let another one try."""
        if self.is_wanted:
            self.is_wanted, self._has_lost = False, True
            return
        self._note(str(error) or repr(error))
        if self.is_mine and time.monotonic() - self._since > TENURE:
            self._has_lost = True
            self._looks = -4  # this process waits longer than the others before it tries again
            self.mirror.duty = self._seen = Duty(0, self.mirror.duty.beat + 1, 1, 0)
            self.leave()

    def catch_up(self, found: Mapping[str, Found], question: Question) -> None:
        """Bring the mirror up to date. No error leaves this function, because the other records come next."""
        try:
            self._store(self.table.checked(found[self.table.name].row()), question)
        except Exception as error:
            self.fail(error)

    def _store(self, row: Row, question: Question) -> None:
        file = self.file()
        if file is None:
            return
        describe_mirror(file, row, self.table.name, time.monotonic() + 0.1)
        # The other records must not wait for long if a process was stopped in the middle of a write.
        if not file.acquire(timeout=0 if self._is_locked else 0.1):
            self._is_locked = True
            message = "another process holds the lock of the mirror, and does not give it back. Is it stopped?"
            raise TimeoutError(message)
        self._is_locked = False
        try:
            # If this process was stopped after it had asked, the record may have been set back meanwhile. The mirror
            # could not tell which of the two is newer. So this process asks again.
            if now() - question.moment < SILENCE * 1e9:
                self.mirror.catch_up(row, question)
                dead = row.dead_owner
                self._dead = None if dead is None else (row.version, dead)
                self._has_lost = False
                self._note("")
                if self.is_wanted:
                    self.give_sign(SILENCE)  # the other process sees it
                self._take()
        finally:
            file.release()

    def reap(self, session: Session, key: int, deadline: float) -> None:
        """If the owner of the state has ended, store what it has asked for. The mirrors follow, as after any write.

        A process that cannot do so leaves it to others.

        Raises:
            OSError: the session was lost.
        """
        dead, self._dead = self._dead, None
        if dead is None or not self._may_write:
            return
        try:
            self.table.reap(session, key, *dead, deadline, TABLE)
        except PermissionError:
            self._may_write = False  # this user may only read: else the server would log this once a second
        except (ConnectionError, TimeoutError):
            if session.is_closed:
                raise

    def _note(self, failure: str) -> None:
        if failure != self._failure:
            self._failure = failure
            if failure:
                _log.warning("the record %r is not followed at the moment: %s", self.table.name, failure)
            else:
                _log.info("the record %r is followed again", self.table.name)


class _Follower:
    """The thread of one connection string, and its records.

    Args:
        parameters: those of the connection.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters, self._key = parameters, frozenset(parameters.items())
        self.records: list[_Followed] = []
        self._at_work: list[_Followed] = []  # the records that it follows, or is to take over
        self._token = random.SystemRandom().randrange(1, 2**14)
        self._session: Session | None = None
        self._channels: AbstractSet[str] = frozenset()
        self._look_at = self._pause = 0.0

    def run(self) -> None:
        """Follow the records that no other process follows, as long as any record is open."""
        tick_at = 0.0
        while True:
            if time.monotonic() >= tick_at:
                tick_at = time.monotonic() + TICK
                if not self._tick():
                    return
            try:
                self._step(tick_at)
            except Exception as error:
                # Whatever the error is, some process must follow: this thread tries again.
                self._close()
                self._pause = min(2 * self._pause or TICK, LONGEST_PAUSE)
                self._look_at = time.monotonic() + self._pause * random.uniform(0.5, 1)
                for each in self._at_work:
                    if each.is_mine or each.is_wanted:  # the duty may have been given up since the last tick
                        each.fail(error)

    def _tick(self) -> bool:
        """See what this process has to follow. Return False if no record is open any more."""
        close_idle()
        records, is_connected = len(self.records), self._session is not None
        for each in list(self.records):
            if not each.tick(self._token, records, is_connected=is_connected):
                self.records.remove(each)
        at_work = [each for each in self.records if each.is_mine or each.is_wanted]
        if at_work != self._at_work and not self._pause:
            self._look_at = 0.0
        self._at_work = at_work
        if not at_work:
            self._close()
        if not self.records:
            with _starting:  # a record may have been opened meanwhile; and a forked child may have another follower
                if not self.records and _followers.get(self._key) is self:
                    del _followers[self._key]
        return bool(self.records)

    def _step(self, until: float) -> None:
        """If it is time, look at the records; else wait for that time, but not beyond `until`."""
        session, begun = self._session, time.monotonic()
        if self._at_work and begun >= self._look_at:
            self._look()
        elif session is None:
            time.sleep(max(0.0, (min(until, self._look_at) if self._at_work else until) - begun))
        elif session.notified(min(until, self._look_at)):
            self._look_at = 0.0

    def _look(self) -> None:
        """Bring the mirrors up to date."""
        at_work = [each for each in self._at_work if each.is_mine or each.is_wanted]
        session = self._session or self._connected()
        deadline = time.monotonic() + PATIENCE
        names = sorted({each.table.name for each in at_work})
        while True:
            questions = [each.mirror.asking() for each in at_work]
            found = find_all(session, names, deadline)
            channels = {each.channel for each in found.values()}
            if channels == self._channels:
                break
            # Listen first, then read: a write that comes after the read is then notified.
            listen(session, channels - self._channels, self._channels - channels, deadline)
            self._channels = channels
        for each, question in zip(at_work, questions, strict=True):
            each.catch_up(found, question)
            each.reap(session, found[each.table.name].key, deadline)
        self._pause, self._look_at = 0.0, time.monotonic() + LOOK

    def _connected(self) -> Session:
        given = {"connect_timeout": str(CONNECT), **self.parameters}
        seconds = given["connect_timeout"]
        hosts = max(given.get(name, "").count(",") + 1 for name in ("host", "hostaddr"))
        limit = min(60, hosts * (int(seconds) if seconds.isdecimal() else CONNECT))
        for each in self._at_work:
            if each.is_mine:
                each.give_sign(limit + 1)
        self._channels = frozenset()
        self._session = Session(given, time.monotonic() + limit)
        return self._session

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None


_followers: dict[frozenset[tuple[str, str]], _Follower] = {}
_starting = fork.lock_of_threads()


def _follow_in_child() -> None:
    """Start the threads again: a fork does not copy them."""
    before = list(_followers.values())
    _followers.clear()
    for follower in before:
        for each in follower.records:
            file = each.file()
            if file is not None:
                with suppress(RuntimeError):  # the interpreter is ending, and starts no more threads
                    follow(file, each.table)


fork.in_child(fork.Step.FOLLOWERS, _follow_in_child)
