"""`FileLock`: the lock of a value by path. It is freed when its holder ends."""

from __future__ import annotations

import errno
import math
import os
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path.open_file import MAKING, USE, WRITING, GoneError, OpenFile, close_in_child, private
from multiprocessing_intenum.locks.execution import Pauses, execution, moment
from multiprocessing_intenum.locks.holding import OwnedLock

__all__ = ["PATIENCE", "FileLock"]

PATIENCE = 60.0
"""Seconds that a process waits for another process that makes the file, opens it or begins it anew."""

_SPARE = 4
"""How many openings that no thread needs are kept for each lock. To open the file once more takes 12 µs, and a burst of
64 threads on 20 values must not leave 1,280 of them open."""

_here = fork.here


class _Turn:
    """What a lock keeps for one thread or greenlet."""

    __slots__ = ("depth", "end", "ending", "files", "is_locked")

    depth: int
    """How often the thread has acquired the lock and not released it."""
    is_locked: bool
    """Set after the kernel's lock was taken, cleared before it is given back."""
    ending: int
    """To which depth a frame is giving the lock back just now; -1: none is. A signal handler that interrupts that frame
    must not leave it locked. One that interrupts the handler while that gives the lock back must not either."""
    files: list[OpenFile]
    """The openings of the thread; the first one is locked. A signal handler may come as one is added, and add one."""
    end: weakref.ref[Any]
    """Gives the turn back when the thread or greenlet ends."""

    def __init__(self) -> None:
        self.depth = 0
        self.ending = -1
        self.is_locked = False
        self.files = []


class FileLock(OwnedLock):
    """The lock of a value by path. It excludes threads, processes and containers. It is freed when its holder ends.

    `get_lock()` of such a value returns it. It is re-entrant. As long as it lives, the value is in use. It is pickled
    by its path, for any process of the machine.

    The kernel's lock belongs to an opening of the file (an open file description: see fcntl(2) of Linux). So each
    thread that takes the lock, or waits for it, has an opening to itself. A few openings that no thread needs are kept
    for the next ones. A forked child closes the openings that it inherits. A process with the rights of root makes an
    opening at once, because it may drop these rights before its first write.

    The interface is that of `multiprocessing.RLock`.

    Args:
        use: the opening that marks the file as in use.
        body: the shared memory.
        readonly: whether `acquire` is refused.
        is_user: whether this process counts as a user of the value.
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
            block: whether to wait while another thread or process holds it.
            timeout: how many seconds to wait at most; None waits for ever, zero or less does not wait.

        Returns:
            True if the lock is held now; False if it was not free in time.

        Raises:
            PermissionError: the file was opened with `readonly=True`; or the process has dropped its rights since then.
            ValueError: the timeout is not a number (NaN).
            OSError: the file could not be opened once more for this thread.
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
            # The depth is raised first: so a signal handler that takes the lock anywhere below, and releases it, leaves
            # the kernel's lock to this frame. To take the kernel's lock again changes nothing.
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
            # A weak reference to this lock: a strong one would make a cycle, and the files would stay open until the
            # garbage collector runs.
            turn.end = weakref.ref(cast("Any", me()), partial(_end, weakref.ref(self), me))
        return turn

    def _leave(self, turn: _Turn, depth: int) -> None:
        """Go back to this depth. Depth zero frees the lock."""
        # A frame that gives the lock back to the depth `ending` leaves the depth at `ending + 1` until its end. So a
        # signal handler that has interrupted it goes back to that depth.
        if turn.ending < depth - 1:
            turn.depth = depth
            return
        # The flags change first, and the depth last: see _Turn.ending. A signal handler that comes in between takes
        # the lock by the same opening, and gives it back. If this frame belongs to that signal handler, it leaves the
        # rest to the frame that it has interrupted.
        turn.ending = depth
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
                turn.ending = -1
                self._close_the_surplus()
            else:
                turn.depth = depth
                turn.ending = depth - 1

    def _close_the_surplus(self) -> None:
        while len(self._idle) > _SPARE:
            with suppress(IndexError):  # another thread was faster
                self._idle.pop().close()

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
            # This process cannot open the file once more, but another thread has an opening: wait for that thread.
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            pauses.sleep(left)

    def _add_file(self, turn: _Turn) -> None:
        """Give a turn an opening. It gets none if another thread has to give one back first."""
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
            with suppress(OSError):  # `acquire` tries again, and raises the reason
                self._idle.append(self.open_again())

    def _reopen(self) -> None:
        """Open the file again by its name, and use it again, after the program has closed its descriptors.

        Raises:
            OSError: another file has this name now, or no file has it.
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
        """Whether a process uses the file. A process that has opened it with `readonly=True` does not count."""
        if self._is_user:
            return True
        if not self._use.is_ours():
            self._reopen()
        return self._use.is_locked(USE)

    def is_named(self) -> bool:
        """Whether the path still names this file."""
        return self._use.is_named()

    def open_again(self) -> OpenFile:
        """Open the file once more. No forked child keeps this opening."""
        if not self._use.is_ours():
            self._reopen()
        return private(lambda: self._use.again(os.O_RDWR))

    def give_back(self, me: weakref.ref[Any]) -> None:
        """Give back what an ended thread or greenlet still has."""
        turn = self._turns.pop(me, None)
        for file in turn.files if turn is not None else ():
            with suppress(GoneError):
                file.unlock(self._byte)
                self._idle.append(file)
        self._close_the_surplus()

    def begin_in_child(self) -> None:
        """Forget the openings of the parent: this child has closed them."""
        self._turns, self._idle = {}, []
        self._open_at_once()

    def __repr__(self) -> str:
        turn = self._turns.get(execution())
        held = "" if turn is not None and turn.is_locked else "not "
        return f"<{type(self).__name__} of {self.path!r} {held}held by this thread>"

    def __reduce__(self) -> tuple[Callable[..., Self], Any]:
        return self._reduced


# What it needs is bound, because it also runs while the interpreter ends: then the kernel gives everything back.
def _end(
    lock_of: weakref.ref[FileLock], me: weakref.ref[Any], _: object, is_ending: Callable[[], bool] = sys.is_finalizing
) -> None:
    """Give back the turn of a thread or greenlet that has ended."""
    if is_ending():
        return
    # In a forked child the threads of the parent end before the child's first step. What they have is the parent's, so
    # the child must not give it back.
    lock = lock_of()
    if lock is not None and _here[()]:
        lock.give_back(me)


_reopening = fork.lock_of_threads()

_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _begin_in_child() -> None:
    close_in_child()
    for lock in list(_locks):
        lock.begin_in_child()


fork.in_child(fork.Step.FILES, _begin_in_child)
