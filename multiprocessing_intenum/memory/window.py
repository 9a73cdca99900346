"""Memory that shows a file, and later another file, to the views that exist."""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache
from typing import Any

__all__ = ["Window"]

_MAP_FIXED = 0x10  # Linux and macOS. The mmap module has no name for it


@cache
def _mmap() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
    )  # fmt: skip
    return function


class Window:
    """Memory that shows the beginning of a file, only for reading.

    A read of a shared value loads from a view that it never replaces. If the value goes on with another file, the other
    file is mapped over the first one, at the same address. A view then loads from one file or from the other.

    Args:
        size: bytes that it shows.
    """

    __slots__ = ("_address", "_size", "view")

    view: memoryview[Any]
    """The bytes. They must not be read before `show` is called."""

    def __init__(self, size: int) -> None:
        mapped = mmap.mmap(-1, size)  # it keeps the address, and frees it in the end
        self._size = size
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        self.view = memoryview(mapped).toreadonly()

    def show(self, fd: int) -> None:
        """Show this file.

        Raises:
            OSError: the kernel refuses.
        """
        flags = mmap.MAP_SHARED | _MAP_FIXED
        if _mmap()(self._address, self._size, mmap.PROT_READ, flags, fd, 0) != self._address:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
