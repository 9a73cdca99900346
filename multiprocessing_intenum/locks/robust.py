"""`RobustRLock`: a lock that outlives its holder, made of the platform's robust mutex in shared memory."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from multiprocessing.context import get_spawning_popen
from multiprocessing.process import current_process
from multiprocessing.sharedctypes import RawArray
from typing import Any, TypeAlias, TypeVar

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.locks.execution import Execution, Pauses, execution, greenlets_share_a_thread, moment
from multiprocessing_intenum.locks.holding import OwnedLock
from multiprocessing_intenum.locks.pthread import ALIGNMENT, MUTEX_SIZE, NOT_HERE, TID_MASK, named, pthread
from multiprocessing_intenum.memory import keepalive
from multiprocessing_intenum.memory.sleepers import NO_FLAG, Sleepers

_Block: TypeAlias = "ctypes.Array[ctypes.c_char]"
_Callback: TypeAlias = Callable[["RobustRLock"], object]
_State: TypeAlias = "tuple[_Block, int, int | None, _Callback | None]"

__all__ = ["RobustRLock"]

T = TypeVar("T")

_here = fork.here

# Seconds to wait at a time: a signal does not end the wait for a mutex, so Python could not run its handler.
_SLICE = 0.1


def _pid_namespace() -> int | None:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # no /proc
        return None


class RobustRLock(OwnedLock):
    """A `multiprocessing.RLock` that outlives its holder (Linux).

    When the process or the thread that holds it ends without releasing it, because it was killed for example, the
    kernel at once gives the lock to the next thread that asks. The new holder first runs `on_holder_death(lock)`, with
    the lock held, to repair what the dead holder may have left half written.

    Every process that inherits the lock may use it: by fork, or as an argument of a spawned `Process`. All of them must
    be in one PID namespace. The lock is re-entrant: its owner may take it again, and must release it as often. The
    owner is a thread; under gevent or eventlet it is a greenlet, and a greenlet that waits lets the others run. A
    forked child holds no lock of its parent's threads.

    It is a robust mutex of POSIX (`pthread_mutexattr_setrobust`) with the interface of `multiprocessing.RLock`.

    Args:
        on_holder_death: called with this lock after a holder's death, by the next holder, before its `acquire` returns.
            It is called once for each death, or again if its caller dies too. If it raises, `acquire` raises the same
            error; the lock is then free, and the next holder does not call it for this death. A signal handler that
            takes the lock meanwhile finds the repair half done. For spawned children it must be picklable.

    Raises:
        NotImplementedError: the platform has no robust mutex; the message says what to use instead.
        TypeError: `on_holder_death` cannot be called.

    Example:
        >>> lock = RobustRLock()
        >>> with lock:
        ...     lock.acquire(timeout=0.5)  # again: it is ours
        ...     lock.release()
        True
    """

    __slots__ = (
        "__weakref__", "_block", "_c", "_depth", "_mutex", "_namespace", "_offset", "_on_holder_death", "_owner",
        "_repairer", "_room", "_trylock", "_unlock", "_word",
    )  # fmt: skip

    _room: int
    """How many bytes of its block come before the mutex."""

    def __new__(cls, on_holder_death: _Callback | None = None) -> Self:
        """Make a lock that __del__ can look at, even if __init__ or __setstate__ refuses."""
        self = super().__new__(cls)
        self._word = None
        self._room = 0
        return self

    def __init__(self, on_holder_death: _Callback | None = None) -> None:
        if sys.platform != "linux":
            raise NotImplementedError(NOT_HERE)
        if not (on_holder_death is None or callable(on_holder_death)):
            message = f"on_holder_death must be a function of the lock, or None, not {type(on_holder_death)}"
            raise TypeError(message)
        room = self._room
        block = RawArray(ctypes.c_char, room + MUTEX_SIZE + ALIGNMENT)
        # The same place in each process: shared memory is mapped in whole pages.
        offset = room + -(ctypes.addressof(block) + room) % ALIGNMENT
        self._adopt(block, offset, _pid_namespace(), on_holder_death)
        self._c.init(self._mutex)
        keepalive.track(block)

    @classmethod
    def _with_room_for(cls, size: int) -> tuple[Self, _Block]:
        """Return a new lock, and its block of shared memory, whose first bytes are free for something else."""
        lock = cls.__new__(cls)
        lock._room = size
        lock.__init__()  # type: ignore[misc]
        return lock, lock._block

    def _adopt(self, block: _Block, offset: int, namespace: int | None, on_holder_death: _Callback | None) -> None:
        self._c = pthread()
        self._trylock, self._unlock = self._c.trylock, self._c.unlock  # one load less each time
        self._block, self._namespace, self._on_holder_death = block, namespace, on_holder_death
        self._offset = offset
        self._mutex = ctypes.byref(block, offset)
        self._word: memoryview[Any] | None = None
        # This process notes the three below for itself. Only the holder of the mutex writes them. So an execution that
        # asks "is it mine?" gets the right answer, whatever others write meanwhile, with a GIL and without.
        self._owner: weakref.ref[Execution] | None = None
        self._depth = 0  # how often the owner holds it; negative: the owner is a signal handler, see _acquire_busy()
        self._repairer: weakref.ref[Execution] | None = None  # the owner that must still run `on_holder_death`

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or take it once more.

        Args:
            block: whether to wait while another thread or process holds it.
            timeout: how many seconds to wait at most; None waits for ever, zero or less does not wait.

        Returns:
            True once it is held; False if it was not free in time.

        Raises:
            ValueError: the timeout is not a number (NaN).
            RuntimeError: this process and the one that made the lock are in different PID namespaces.
            OSError: the C library refused; the message has the error's name.
        """
        deadline = math.inf if timeout is None else moment(timeout)
        if not _here[()]:
            fork.notice()
        me = execution()
        if self._owner is me:
            self._depth += 1 if self._depth > 0 else -1
            self._repair(me)
            return True
        if self._word is None:
            self._find_word()
        try:
            error = self._trylock(self._mutex)
            if error:
                error = self._acquire_busy(me, error, deadline if block else -math.inf)
            else:
                self._depth = 1
                self._owner = me
        except BaseException:  # KeyboardInterrupt too, at any point
            self._back_out(me)
            raise
        if error and error != errno.ETIMEDOUT:
            raise named(error)
        return not error

    __enter__ = acquire

    @property
    def address_if_plain(self) -> int:
        """Where the mutex is, for the C core; 0 if there is something to do after a holder's death."""
        return 0 if self._on_holder_death is not None else ctypes.addressof(self._block) + self._offset

    def release(self) -> None:
        """Undo one `acquire`; the last one frees the lock.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
            OSError: the C library refused; the message has the error's name.
        """
        # An interrupt that comes before the first line of release() leaves the lock held.
        if not _here[()]:
            fork.notice()
        if self._owner is not execution():
            message = "cannot release a RobustRLock that this thread does not hold"
            raise RuntimeError(message)
        depth = self._depth
        if depth == 1:
            self._free()
        elif depth == -1:  # the frame below us holds the mutex: see _acquire_busy()
            self._owner = None
        else:
            self._depth = depth - 1 if depth > 0 else depth + 1

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        held = f"held {abs(self._depth)} deep by this thread" if self._is_mine() else "not held by this thread"
        return f"<{type(self).__name__} {held}>"

    # multiprocessing.Condition asks the `_semlock` of its lock for the owner and the depth.

    @property
    def _semlock(self) -> Self:
        return self

    def _is_mine(self) -> bool:
        if not _here[()]:
            fork.notice()
        me = execution()
        if self._owner is me:
            self._repair(me)
            return True
        return False

    def _count(self) -> int:
        return abs(self._depth) if self._is_mine() else 0

    def _guard(self, store: Callable[[T], int], sleepers: Sleepers) -> Callable[[T], None] | None:
        """Return the function of `holding.guarded` for this lock, spelled out: that is 100 ns faster."""
        if type(self) is not RobustRLock:  # a subclass may have an acquire() of its own
            return None
        trylock, unlock, mutex, flags = self._trylock, self._c.unlock_only, self._mutex, sleepers.flags

        def write(value: T) -> None:
            if not _here[()]:
                fork.notice()
            if self._owner is not None and self._is_mine():
                flag = store(value)
                if flags[flag]:
                    sleepers.wake(flag)
                return
            flag = NO_FLAG
            try:
                error = trylock(mutex)
                if error:
                    error = self._acquire_busy(execution(), error, math.inf)
                    if not error:
                        flag = store(value)
                        self.release()
                else:
                    # Not noting the owner saves 100 ns. Only a signal handler could ask for the owner here, and it
                    # needs none: see _acquire_busy().
                    flag = store(value)
                    unlock(mutex)
            except BaseException:
                self._back_out(execution())
                raise
            if error:
                raise named(error)
            if flags[flag]:
                sleepers.wake(flag)

        return write

    def _acquire_busy(self, me: weakref.ref[Execution], error: int, deadline: float) -> int:
        """Go on after trylock has returned `error`. Return 0 if the lock is ours now, or an error number."""
        pauses = Pauses()
        while True:
            if error == 0:
                self._depth = 1
                self._owner = me
                return 0
            if error == errno.EOWNERDEAD:
                self._own(me, 1)
                return 0
            if error not in (errno.EBUSY, errno.ETIMEDOUT):
                return error
            self._refuse_another_namespace()
            if self._is_unowned():
                # This is a signal handler. The frame that it has interrupted holds the mutex, and is about to note that
                # it is the owner, or about to unlock. A negative depth says that the handler must not unlock the mutex.
                self._own(me, -1)
                return 0
            owner = self._owner
            if owner is not None and owner() is None and self._is_held_by_this_thread():
                # The owner has ended while it held the lock. Either it was a greenlet of this thread. Or it was another
                # thread, and this is a signal handler: the interrupted frame is just learning of the death.
                depth = -1 if self._c.consistent(self._mutex) == 0 else 1
                self._repairer = me
                self._own(me, depth)
                return 0
            left = deadline - time.monotonic()
            if left <= 0:
                return errno.ETIMEDOUT
            waited = None if greenlets_share_a_thread() else self._c.lock_within(self._mutex, min(left, _SLICE))
            if waited is None:
                pauses.sleep(left)
                error = self._trylock(self._mutex)
            else:
                error = waited

    def _own(self, me: weakref.ref[Execution], depth: int) -> None:
        """Note that we are the owner of the mutex, which this thread holds, and repair what a dead holder has left.

        A frame that has just taken the mutex over from a dead holder may be interrupted by a signal handler. Then both
        come here, and the first one repairs.
        """
        # consistent() comes before the repair: whatever the repair does, the mutex can then be unlocked without being
        # lost for good. If this process is killed before the repair is done, the next holder still learns of a dead
        # holder.
        if depth > 0:
            # Noted before the call: a signal handler right after it must find something to repair, and no owner.
            before, self._repairer, self._owner = self._repairer, me, None
            if self._c.consistent(self._mutex):  # a signal handler was faster, or no holder has died
                self._repairer = before
        elif self._c.consistent(self._mutex) == 0:
            self._repairer = me
        self._depth = depth
        self._owner = me
        self._repair(me)

    def _repair(self, me: weakref.ref[Execution]) -> None:
        """Run `on_holder_death` if we have taken the lock over from a dead holder and it has not run yet."""
        if self._repairer is me:
            self._repairer = None
            if self._on_holder_death is not None:
                self._on_holder_death(self)

    def _free(self) -> None:
        try:
            self._owner = None
            error = self._unlock(self._mutex)
        except BaseException:
            # An interrupt can come between these two lines: an audit hook, which runs before the C function, may be
            # written in Python (filelock installs one from Python 3.14 on).
            if self._is_unowned():
                self._unlock(self._mutex)
            raise
        if error:
            raise named(error)

    def _back_out(self, me: weakref.ref[Execution]) -> None:
        """Free the lock after an exception, which may have come before its owner was noted."""
        # A second interrupt while this runs can leave the mutex held until this thread ends.
        try:
            if self._is_unowned():
                self._own(me, 1)
        finally:
            if self._owner is me:
                if self._depth > 0:
                    self._free()
                else:
                    self._owner = None

    def _is_unowned(self) -> bool:
        """Whether this thread holds the mutex and no execution has noted that it is the owner."""
        return self._owner is None and self._is_held_by_this_thread()

    def _is_held_by_this_thread(self) -> bool:
        """Whether the calling thread of the operating system holds the mutex."""
        holder: int = self._find_word()[()] & TID_MASK
        return holder == threading.get_native_id()

    def _find_word(self) -> memoryview:
        """Return the word of the holder. It is found when it is needed first: it takes 300 bytes."""
        word = self._word
        if word is None:
            word = self._word = self._c.word_of(self._block, self._offset)
        return word

    def _refuse_another_namespace(self) -> None:
        # The kernel identifies a holder by its thread id, which differs between PID namespaces.
        namespace = _pid_namespace()
        if namespace != self._namespace and None not in (namespace, self._namespace):
            message = (
                "this process is in another PID namespace than the one that made the RobustRLock, so the lock can not "
                "tell their threads apart: share it only among processes of one namespace"
            )
            raise RuntimeError(message)

    def __getstate__(self) -> _State:
        if get_spawning_popen() is None:
            message = "a RobustRLock can only be pickled for a process being spawned: pass it to Process(args=...)"
            raise RuntimeError(message)
        keepalive.pin(self._block)
        return self._block, self._offset, self._namespace, self._on_holder_death

    def __setstate__(self, state: _State) -> None:
        if not getattr(current_process(), "_inheriting", False):  # multiprocessing sets this while a child starts
            message = (
                "a pickled RobustRLock can only be loaded by the process that it was pickled for, while that "
                "process is being spawned"
            )
            raise RuntimeError(message)
        self._adopt(*state)
        self._refuse_another_namespace()

    def __del__(self) -> None:
        # The kernel finds the mutexes of a dying thread by a list that runs through the mutexes themselves. So a mutex
        # that is dropped while it is held, for example at the end of the interpreter, must stay mapped: otherwise no
        # process would learn of the death. The reference leaks. Nothing here is looked up as a global: by then all
        # globals and builtins are None.
        if self._word is not None and self._word[()]:
            self._c.incref(self._block)
