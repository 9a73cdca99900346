"""A lock for shared values that outlives its holder on every platform.

The system unlocks the file of a dead process.
"""

from __future__ import annotations

import os

from filelock import FileLock


class SharedFileLock:
    """A lock that processes can inherit.

    Each process makes its own `filelock.FileLock` from the path.
    """

    def __init__(self, path: str) -> None:
        self._path, self._locks = path, {}

    def acquire(self, timeout: float | None = None) -> object:
        # setdefault: if two threads are the first to come here, both get the same lock.
        lock = self._locks.get(os.getpid()) or self._locks.setdefault(
            os.getpid(), FileLock(self._path)
        )
        return lock.acquire(timeout=timeout, poll_interval=0.001)

    def release(self) -> None:
        self._locks[os.getpid()].release()

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __reduce__(self) -> tuple[type[SharedFileLock], tuple[str]]:
        return SharedFileLock, (self._path,)  # for a spawned process
