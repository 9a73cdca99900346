"""`value_at`: a `multiprocessing.Value` by path."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing import sharedctypes
from multiprocessing.sharedctypes import Synchronized, SynchronizedBase
from typing import Any, TypeVar, cast, overload

from multiprocessing_intenum.by_path.cell import Path, checked_lock, shared_file
from multiprocessing_intenum.by_path.contents import Contents
from multiprocessing_intenum.by_path.life import open_file
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.enums.schema import is_enum, printable, what_is_in
from multiprocessing_intenum.locks.holding import LockLike

__all__ = ["value_at"]

C = TypeVar("C", bound="ctypes._CDataType")
S = TypeVar("S")

_sharedctypes: Any = sharedctypes


@overload
def value_at(
    path: Path, typecode_or_type: type[ctypes._SimpleCData[S]], *args: Any, lock: LockLike | None = None
) -> Synchronized[S]: ...
@overload
def value_at(
    path: Path, typecode_or_type: type[C], *args: Any, lock: LockLike | None = None
) -> SynchronizedBase[C]: ...
@overload
def value_at(path: Path, typecode_or_type: str, *args: Any, lock: LockLike | None = None) -> Synchronized[Any]: ...
def value_at(path: Path, typecode_or_type: Any, *args: Any, lock: LockLike | None = None) -> Any:
    """Return a `multiprocessing.Value` by path, for processes that have no common parent.

    It is like what `multiprocessing.Value` returns, but in a file instead of inherited memory. The first process that
    opens it makes it, and it lives as long as a process uses it. It can be pickled at any time, for any process of the
    machine.

    Args:
        path: the path of the file, or a `SharedFile`. One file holds one value.
        typecode_or_type: as for `multiprocessing.Value`: "q", `ctypes.c_double`, an array `ctypes.c_int * 8`, a
            `ctypes.Structure`; nothing that holds a pointer.
        args: the arguments of the type, for the first value.
        lock: the lock of another value by path, to guard both together; None: the lock of this file. All processes
            must give the same.

    Returns:
        A wrapper of `multiprocessing.sharedctypes`, with `value`, `get_lock()` and the like.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: the file holds something else, and is left as it is; or `path` is readonly, but the wrapper takes
            its lock for each read.
        NotImplementedError, OSError: as for `IntEnumValue(..., at=...)`.

    Example:
        >>> import tempfile
        >>> job_id = value_at(tempfile.mkdtemp() + "/job", "q", 0)
        >>> with job_id.get_lock():
        ...     job_id.value += 1
        >>> job_id.value
        1
    """
    kind = _ctypes_type(typecode_or_type)
    layout = _layout(kind)
    file = shared_file(path)
    if file.readonly:
        message = f"{file!r} is readonly, but a multiprocessing value takes its lock for each read, and so writes"
        raise ValueError(message)
    other = checked_lock(lock)
    first: Any = kind(*args)
    description = {"ctypes": layout}

    def differs(found: Mapping[str, Any]) -> str:
        if is_enum(found):
            return f"it holds the enum {printable(found['enum'])}, expected {what_is_in(description)}"
        return "" if found == description else f"it holds {what_is_in(found)}, expected {what_is_in(description)}"

    def begin(body: memoryview, is_new: bool) -> None:
        body[:] = bytes(first)

    lock_of_file = open_file(file, Contents(description, ctypes.sizeof(kind), differs, begin))
    shared = kind.from_buffer(lock_of_file.body)
    wrapper = _sharedctypes.synchronized(shared, other or lock_of_file)
    wrapper.__class__ = _by_path(wrapper.__class__)
    wrapper._reduced = _value_again, (file, _picklable(kind), args, other)
    return wrapper


def _value_again(file: SharedFile, kind: Any, args: tuple[Any, ...], lock: LockLike | None) -> Any:
    at: Callable[..., Any] = value_at
    return at(file, _type_again(kind), *args, lock=lock)


def _picklable(kind: Any) -> Any:
    """Return the type itself; for an array, whose type has no name, the type of its elements and its length."""
    return (_picklable(kind._type_), kind._length_) if issubclass(kind, ctypes.Array) else kind


def _type_again(kind: Any) -> Any:
    if not isinstance(kind, tuple):
        return kind
    element, length = cast("tuple[Any, int]", kind)
    return _type_again(element) * length


@cache
def _by_path(wrapper: Any) -> Any:
    """Return the wrapper's class with a `__reduce__` whose result any process can load."""
    return type(wrapper.__name__, (wrapper,), {"__module__": wrapper.__module__, "__reduce__": _reduced})


def _reduced(self: Any) -> Any:
    return self._reduced


_CDATA: Any = ctypes.c_int.__mro__[2]  # the base of all types of ctypes has no public name
_POINTERS: tuple[type[Any], ...] = (
    ctypes.c_char_p,
    ctypes.c_wchar_p,
    ctypes.c_void_p,
    ctypes.py_object,
    getattr(ctypes, "_Pointer"),  # noqa: B009 # the bases of pointers and of functions have no public names either
    getattr(ctypes, "_CFuncPtr"),  # noqa: B009
)


def _ctypes_type(typecode_or_type: Any) -> Any:
    codes = cast("dict[Any, Any]", _sharedctypes.typecode_to_type)
    kind = codes.get(typecode_or_type, typecode_or_type)
    if not (isinstance(kind, type) and issubclass(kind, _CDATA)):
        message = f"expected a ctypes type or one of the codes {', '.join(sorted(codes))}; not {typecode_or_type!r}"
        raise TypeError(message)
    return kind


def _layout(kind: Any) -> str:
    """Return a text that is the same for types of the same layout.

    Raises:
        TypeError: the type has a pointer in it.
    """
    if issubclass(kind, _POINTERS):
        message = f"Can not share a {kind.__name__}: an address means nothing to another process"
        raise TypeError(message)
    if issubclass(kind, ctypes.Array):
        return f"{_layout(kind._type_)}[{kind._length_}]"
    if not issubclass(kind, (ctypes.Structure, ctypes.Union)):
        return f"{memoryview(kind()).format}"
    fields: list[str] = []
    for base in reversed(kind.__mro__):
        for name, field, *bits in vars(base).get("_fields_", ()):
            place = getattr(kind, name)
            fields.append(f"{name}:{_layout(field)}{''.join(f':{each}' for each in bits)}@{place.offset}")
    word = "union" if issubclass(kind, ctypes.Union) else "struct"
    return f"{word} of {ctypes.sizeof(kind)} {{{', '.join(fields)}}}"
