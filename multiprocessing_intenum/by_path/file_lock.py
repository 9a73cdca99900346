"""`FileLock`: the lock of a value by path, which ends with its holder."""

from __future__ import annotations

import errno
import math
import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path.open_file import MAKING, USE, WRITING, GoneError, OpenFile, close_in_child, private
from multiprocessing_intenum.locks.execution import Pauses, execution, moment
from multiprocessing_intenum.locks.holding import OwnedLock

__all__ = ["PATIENCE", "FileLock"]

PATIENCE = 60.0
"""Seconds that an opener waits for another one that is in the middle of making the file or of beginning it anew."""

_here = fork.here


class _Turn:
    """What one thread, or greenlet, has of a lock."""

    __slots__ = ("depth", "end", "files", "is_ending", "is_locked")

    depth: int
    """How often it has acquired the lock."""
    is_locked: bool
    """Set after the kernel's lock was taken, cleared before it is given back."""
    is_ending: bool
    """Whether the lock is just being given back, so that a signal handler must not leave it locked."""
    files: list[OpenFile]
    """The first one is the opening that is locked. A list, because a signal handler may come as one is added."""
    end: weakref.ref[Any]
    """Gives the turn back when the thread or greenlet ends."""

    def __init__(self) -> None:
        self.depth = 0
        self.is_locked = self.is_ending = False
        self.files = []


class FileLock(OwnedLock):
    """The lock of a value by path. It excludes threads, processes and containers, and ends with its holder.

    It is what `get_lock()` of such a value returns. It is re-entrant. As long as it lives, the value is in use. It can
    be pickled for any process of the machine, by its path.

    The kernel's lock belongs to an opening of the file. So each thread that takes the lock, or waits for it, has an
    opening to itself meanwhile; those that nobody needs are kept for the next one. A forked child closes what it has
    inherited. A process that has the rights of root opens one at once, as it may have lost these rights by the time of
    its first write.

    The interface is that of `multiprocessing.RLock`. After Linux's open-file-description locks (fcntl(2)).

    Args:
        use: the opening that says that the file is in use.
        body: the shared memory.
        readonly: whether to refuse to be acquired.
        is_user: whether this process counts as one that uses the value.
        reduced: what `__reduce__` returns.
        byte: the byte of the file that is locked.
    """

    __slots__ = ("__weakref__", "_byte", "_idle", "_is_user", "_readonly", "_reduced", "_turns", "_use", "body")

    body: memoryview
    """The shared memory."""

    def __init__(
        self,
        use: OpenFile,
        body: memoryview,
        *,
        readonly: bool,
        is_user: bool,
        reduced: tuple[Callable[..., Self], Any],
        byte: int = WRITING,
    ) -> None:
        self._use, self.body, self._readonly, self._is_user, self._reduced = use, body, readonly, is_user, reduced
        self._turns: dict[Any, _Turn] = {}
        self._idle: list[OpenFile] = []
        self._byte = byte
        _locks.add(self)
        self._open_at_once()

    def another(self, byte: int) -> FileLock:
        """Return a lock on another byte of the same file."""
        return FileLock(self._use, self.body, readonly=self._readonly, is_user=False, reduced=self._reduced, byte=byte)

    @property
    def path(self) -> str:
        """The name of the file."""
        return self._use.path

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or take it once more.

        Args:
            block: whether to wait while somebody else holds it.
            timeout: how many seconds to wait at most; None waits for ever, zero or less does not wait.

        Returns:
            True once it is held; False if it could not be had in time.

        Raises:
            PermissionError: the file was opened with `readonly=True`; or the process has dropped its rights since then.
            ValueError: the timeout is not a number (NaN).
            OSError: this thread could not open the file once more.
        """
        if self._readonly:
            message = "can not write: it was opened with SharedFile(..., readonly=True)"
            raise PermissionError(errno.EACCES, message, self.path)
        deadline = math.inf if timeout is None else moment(timeout)
        if not _here[()]:
            fork.notice()
        turn = self._turn()
        depth = turn.depth
        try:
            # The depth comes first: a signal handler that takes the lock anywhere below, and releases it, then leaves
            # the kernel's lock to this frame. To take that again changes nothing.
            turn.depth = depth + 1
            if turn.is_locked or self._lock(turn, deadline if block else -math.inf):
                turn.is_locked = True
                return True
        except BaseException:  # KeyboardInterrupt too, at any point
            self._leave(turn, depth)
            raise
        self._leave(turn, depth)
        return False

    __enter__ = acquire

    def release(self) -> None:
        """Undo one `acquire`; the last one frees the lock.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
            OSError: the lock was lost, because the program has closed the descriptors of the value.
        """
        if not _here[()]:
            fork.notice()
        turn = self._turns.get(execution())
        if turn is None or not turn.is_locked:
            message = f"cannot release {self!r}"
            raise RuntimeError(message)
        depth = turn.depth - 1
        try:
            self._leave(turn, depth)
        except BaseException:  # KeyboardInterrupt, in the middle
            self._leave(turn, depth)
            raise

    def __exit__(self, *_: object) -> None:
        self.release()

    def _turn(self) -> _Turn:
        """Return the turn of the calling thread or greenlet."""
        me = execution()
        turn = self._turns.get(me)
        if turn is None:
            turn = self._turns[me] = _Turn()
            # Not a reference to this lock, which would make a circle: the files would stay open until the garbage
            # collector comes.
            turn.end = weakref.ref(cast("Any", me()), _End(weakref.ref(self), me))
        return turn

    def _leave(self, turn: _Turn, depth: int) -> None:
        """Go back to this depth."""
        if depth > 0 and not (turn.is_ending and depth == 1):
            turn.depth = depth
            return
        # The flags come first, and the depth last: see _Turn.is_ending. A signal handler that comes in between takes
        # the lock by the same opening, and gives it back. If this is that signal handler, it leaves the rest to the
        # frame that it has interrupted.
        turn.is_ending = True
        turn.is_locked = False
        try:
            for file in turn.files:
                file.unlock(self._byte)
        except GoneError:
            turn.files.clear()
            raise
        finally:
            if depth <= 0:
                while turn.files:
                    self._idle.append(turn.files.pop())
                turn.depth = 0
                turn.is_ending = False
            else:
                turn.depth = depth

    def _is_mine(self) -> bool:
        if not _here[()]:
            fork.notice()
        turn = self._turns.get(execution())
        if turn is None or not turn.is_locked:
            return False
        turn.files[0].ensure_ours()  # else another process may have the lock by now
        return True

    def _lock(self, turn: _Turn, deadline: float) -> bool:
        """Take the kernel's lock for this turn. Return False at the deadline."""
        pauses = Pauses()
        while True:
            if not turn.files:
                self._add_file(turn)
            if turn.files:
                try:
                    return turn.files[0].lock(self._byte) or turn.files[0].lock_until(self._byte, deadline)
                except GoneError:  # nothing was locked yet: take another opening
                    turn.files.clear()
                    continue
            # This process cannot open the file once more, but another thread of it has it open: wait for that one.
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            pauses.sleep(left)

    def _add_file(self, turn: _Turn) -> None:
        """Give a turn an opening, or leave it without one if another thread has to give its own back first."""
        try:
            turn.files.append(self._idle.pop())
            return
        except IndexError:
            pass
        try:
            turn.files.append(self.open_again())
        except OSError:
            if not any(other.files for other in list(self._turns.values())) and not self._idle:
                raise

    def _open_at_once(self) -> None:
        if self._byte == WRITING and not self._readonly and os.geteuid() == 0:
            with suppress(OSError):  # it is opened when it is needed, and that says why it cannot be
                self._idle.append(self.open_again())

    def _reopen(self) -> None:
        """Open the file again by its name, and use it again, after the program has closed its descriptors.

        Raises:
            OSError: another file has this name now, or none.
        """
        with _reopening:
            if self._use.is_ours():  # another thread was faster
                return
            flags = os.O_RDONLY if self._readonly else os.O_RDWR
            try:
                maker = private(lambda: OpenFile(self.path, flags))
                if maker.identity != self._use.identity:
                    message = "another file has this name now"
                    raise FileNotFoundError(errno.ENOENT, message, self.path)
            except OSError as error:
                message = (
                    "the program has closed the descriptors of this shared value, with os.closerange() or "
                    f"python-daemon for example, and it can not be opened again: {error.strerror}. Make the value after"
                    " that"
                )
                raise OSError(error.errno, message, self.path) from None
            try:
                if self._is_user and not maker.lock_until(MAKING, time.monotonic() + PATIENCE):
                    message = f"another process has been opening the file for {PATIENCE:g} s"
                    raise TimeoutError(errno.ETIMEDOUT, message, self.path)
                again = maker.again(flags)
                if self._is_user:
                    again.lock(USE, exclusive=False)
                self._use.replace(again)
            finally:
                maker.close()

    def is_used(self) -> bool:
        """Whether a process uses the file. One that has opened it with `readonly=True` does not count."""
        if self._is_user:
            return True
        if not self._use.is_ours():
            self._reopen()
        return self._use.is_locked(USE)

    def is_named(self) -> bool:
        """Whether the path still names this file."""
        return self._use.is_named()

    def open_again(self) -> OpenFile:
        """Open the file once more. No forked child keeps that open."""
        if not self._use.is_ours():
            self._reopen()
        return private(lambda: self._use.again(os.O_RDWR))

    def give_back(self, me: weakref.ref[Any]) -> None:
        """Give back what a thread or greenlet has that has ended."""
        turn = self._turns.pop(me, None)
        for file in turn.files if turn is not None else ():
            with suppress(GoneError):
                file.unlock(self._byte)
                self._idle.append(file)

    def begin_in_child(self) -> None:
        """Forget the openings of the parent, which are closed."""
        self._turns, self._idle = {}, []
        self._open_at_once()

    def __repr__(self) -> str:
        turn = self._turns.get(execution())
        held = "" if turn is not None and turn.is_locked else "not "
        return f"<{type(self).__name__} of {self.path!r} {held}held by this thread>"

    def __reduce__(self) -> tuple[Callable[..., Self], Any]:
        return self._reduced


class _End:
    """What is done at the end of a thread or a greenlet that has a turn of a lock."""

    __slots__ = ("_lock", "_me")

    def __init__(self, lock: weakref.ref[FileLock], me: weakref.ref[Any]) -> None:
        self._lock, self._me = lock, me

    def __call__(self, _: object) -> None:
        # In a forked child the threads of the parent end before the child's first step: it must not give back what
        # they have, which is the parent's.
        lock = self._lock()
        if lock is not None and _here[()]:
            lock.give_back(self._me)


_reopening = fork.lock_of_threads()

_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _begin_in_child() -> None:
    close_in_child()
    for lock in list(_locks):
        lock.begin_in_child()


fork.in_child(fork.Step.FILES, _begin_in_child)
