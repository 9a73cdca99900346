"""`FileLock`: the lock of a value by path. It is freed when its holder ends."""

from __future__ import annotations

import errno
import math
import os
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.locks.execution import Pauses, at_end, execution, moment
from multiprocessing_intenum.locks.holding import OwnedLock, operations_of
from multiprocessing_intenum.locks.open_file import MAKING, USE, WRITING, GoneError, OpenFile, close_in_child, private
from multiprocessing_intenum.memory.sleepers import Sleepers

__all__ = ["PATIENCE", "FileLock"]

PATIENCE = 60.0
"""Seconds that a process waits for another process that makes the file, opens it or begins it anew."""

_SPARE = 4
"""How many openings that no thread needs are kept for each lock. To open the file once more takes 12 µs, and a burst of
64 threads on 20 values must not leave 1,280 of them open."""
_STEP = 50_000_000
"""Nanoseconds: no file system counts time in longer steps, but FAT, which has no links either."""

_LOOK = 1_000_000_000
"""Nanoseconds after which a write looks at the name itself, and not only at what the open file says about it."""

_here = fork.here


def _root() -> tuple[int, int]:
    info = os.stat("/")
    return info.st_dev, info.st_ino


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

    __slots__ = (
        "__weakref__", "_byte", "_idle", "_is_user", "_look_at", "_named_at", "_readonly", "_reduced", "_root",
        "_turns", "_use", "body", "described",
    )  # fmt: skip

    body: memoryview
    """The shared memory."""
    described: tuple[int, Mapping[str, Any]]
    """The place of the description that was read last, and what it says: see `life.description_in`."""

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
        self._root = _root()
        self._named_at = self._look_at = 0
        self.described = -1, {}
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
            FileNotFoundError: the file was removed or replaced.
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

    def _guard(self, store: Callable[[Any], int], sleepers: Sleepers) -> Callable[[Any], None]:
        """Return the function of `holding.guarded` for this lock. A thread that does not hold it takes it at once.

        It spells `acquire` and `release` out, but for what is rare: that is 1,000 ns of 4,500 faster.
        """
        byte, operations = self._byte, operations_of(self)
        fstat, monotonic, flags = os.fstat, time.monotonic_ns, sleepers.flags

        def write(value: Any) -> None:
            if not _here[()]:
                fork.notice()
            turn = self._turns.get(execution())
            if turn is None or turn.depth or not self._idle:
                flag = operations.hold(lambda: store(value), None)
            else:
                try:
                    turn.depth = 1
                    files = turn.files
                    try:
                        files.append(self._idle.pop())
                    except IndexError:  # another thread was faster
                        self._add_file(turn)
                    try:
                        is_locked = bool(files) and files[0].lock(byte)
                    except GoneError:  # nothing was locked yet: _lock() takes another opening
                        is_locked = False
                    if not is_locked:
                        self._lock(turn, math.inf)
                    else:
                        info = fstat(files[0].fd)
                        is_known = info.st_nlink and info.st_ctime_ns == self._named_at
                        if not is_known or monotonic() > self._look_at:  # see is_named()
                            self._lock(turn, math.inf)
                    turn.is_locked = True
                    flag = store(value)
                    turn.ending, turn.is_locked = 0, False
                    files[0].unlock(byte)
                    while files:
                        self._idle.append(files.pop())
                    turn.depth, turn.ending = 0, -1
                except BaseException:
                    self._leave(turn, 0)
                    raise
            if flags[flag]:
                sleepers.wake(flag)

        return write

    def _turn(self) -> _Turn:
        """Return the turn of the calling thread or greenlet."""
        me = execution()
        turn = self._turns.get(me)
        if turn is None:
            turn = self._turns[me] = _Turn()
            turn.end = at_end(me, self)
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
                file = turn.files[0]
                try:
                    if not (file.lock(self._byte) or file.lock_until(self._byte, deadline)):
                        return False
                except GoneError:  # nothing was locked yet: take another opening
                    turn.files.clear()
                    continue
                if self._byte == WRITING and not self.is_named(file.fd):
                    raise self.gone()
                return True
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
        return self.opened().is_locked(USE)

    def is_named(self, fd: int | None = None) -> bool:
        """Whether the path still names this file, as far as this process can know. `fd`: an open descriptor of it."""
        if fd is None and not self._use.is_ours():
            return self._use.is_named()
        info = os.fstat(self._use.fd if fd is None else fd)
        # A file that is renamed gets another time, but not if its directory is renamed.
        if info.st_nlink and info.st_ctime_ns == self._named_at and time.monotonic_ns() < self._look_at:
            return True
        if self._use.is_named() or (info.st_nlink and _root() != self._root):  # chroot() leaves it no name to look at
            # A file system may count time in steps of some milliseconds.
            if time.time_ns() - info.st_ctime_ns > _STEP:
                self._named_at, self._look_at = info.st_ctime_ns, time.monotonic_ns() + _LOOK
            return True
        return False

    def gone(self) -> FileNotFoundError:
        """Return the error for a file that has lost its name."""
        message = (
            "the file was removed or replaced, so this process uses another value than those that open this path now: "
            "make the value anew, or start this process again; and leave the file in place while it is used"
        )
        return FileNotFoundError(errno.ENOENT, message, self.path)

    @property
    def descriptor(self) -> int:
        """The descriptor of the opening that marks the file as in use. The program may have closed it."""
        return self._use.fd

    def opened(self) -> OpenFile:
        """Return the opening that marks the file as in use, after a look whether the program has closed it."""
        if not self._use.is_ours():
            self._reopen()
        return self._use

    def open_again(self) -> OpenFile:
        """Open the file once more. No forked child keeps this opening."""
        opened = self.opened()
        return private(lambda: opened.again(os.O_RDWR))

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


_reopening = fork.lock_of_threads()

_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _begin_in_child() -> None:
    close_in_child()
    for lock in list(_locks):
        lock.begin_in_child()


fork.in_child(fork.Step.FILES, _begin_in_child)
