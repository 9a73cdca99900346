"""Values by path: the cell in a file, and `value_at`, a `multiprocessing.Value` in one."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from multiprocessing import sharedctypes
from multiprocessing.sharedctypes import Synchronized, SynchronizedBase
from typing import Any, TypeAlias, TypeVar, cast, overload

from multiprocessing_intenum import users
from multiprocessing_intenum.cell import Cell, Record
from multiprocessing_intenum.description import description_of_enum, enum_difference, is_enum, printable, what_is_in
from multiprocessing_intenum.file_lock import FileLock
from multiprocessing_intenum.locks import LockLike
from multiprocessing_intenum.members import EnumMember, Members, members_of
from multiprocessing_intenum.opening import Contents, open_file
from multiprocessing_intenum.shared_file import SharedFile
from multiprocessing_intenum.words import SIZE, Words

__all__ = ["FileCell", "open_cell", "open_enum", "value_at"]

T = TypeVar("T", bound=EnumMember)
C = TypeVar("C", bound="ctypes._CDataType")
S = TypeVar("S")

_sharedctypes: Any = sharedctypes

Path: TypeAlias = "str | os.PathLike[str] | SharedFile"


def _shared_file(at: Path) -> SharedFile:
    return at if isinstance(at, SharedFile) else SharedFile(at)


def _checked(lock: LockLike | None) -> FileLock | None:
    if lock is None or isinstance(lock, FileLock):
        return lock
    message = (
        f"Can not use {type(lock)} as lock of a value by path: expected None, for the lock of its own file, or "
        "the lock of another value by path, other.get_lock(), which all processes must give"
    )
    raise TypeError(message)


def open_cell(members: Members[T], at: Path | Record, number: int | None, lock: LockLike | None) -> Cell[T]:
    """Return the cell of a value that was given `at=`.

    Args:
        members: the table of the enum.
        at: the file, or the record.
        number: the first state, for who makes the file or begins it anew; None: only attach.
        lock: the lock of another file, instead of this one's own.

    Raises:
        TypeError: `at` is no path, or `lock` is of another kind.
        NotImplementedError, FileNotFoundError, ValueError, OSError: see `opening.open_file`.
    """
    if isinstance(at, Record):
        return at._open_cell(members, number, lock)
    file = _shared_file(at)
    other = _checked(lock)

    def begin(body: memoryview, is_new: bool) -> None:
        words = Words(body)
        (words.begin if is_new else words.begin_anew)(cast("int", number))

    opened = open_enum(file, members, None if number is None else begin)
    return FileCell(members, file, opened, other or opened)


class FileCell(Cell[T]):
    """A cell in a file, which all that open the file share.

    Args:
        members: the table of the enum.
        file: how it was opened.
        opened: the open file.
        lock: the lock of the writers: that of this file, or of another one.
    """

    __slots__ = ("_file", "open_file")

    open_file: FileLock
    """The lock of its file, kept because it says that the file is in use."""

    def __init__(self, members: Members[T], file: SharedFile, opened: FileLock, lock: LockLike) -> None:
        self._file, self.open_file = file, opened
        super().__init__(members, opened.body, lock)
        self.words.remedy = f"{file.path!r} is damaged: stop the processes that use it, and remove it"

    @property
    def place(self) -> str:
        """Where it is, for an error."""
        return f"; the value is that of {self._file.path!r}"

    def copy(self) -> FileCell[T]:
        """Return this cell: a copy of what holds a value by path shares it."""
        return self

    def pickled(self, name: str) -> tuple[Callable[..., Cell[Any]], tuple[Any, ...]]:
        """Return a function and its arguments, with which any process of the machine opens the same file."""
        other = None if self.lock is self.open_file else self.lock
        return _unpickled, (self.members.enum_type, self._file, other)


def _unpickled(enum_type: type[Any], file: SharedFile, lock: LockLike | None) -> Cell[Any]:
    return open_cell(members_of(enum_type), file, None, lock)


def open_enum(
    file: SharedFile,
    members: Members[Any],
    begin: Callable[[memoryview, bool], object] | None,
    record: str = "",
    *,
    is_user: bool = True,
    timeout: float | None = None,
) -> FileLock:
    """Open the file of an enum.

    Args:
        file: the file.
        members: the table of the enum.
        begin: writes the first state into the body of the file, which is new or not; None: only attach.
        record: the name of the record that the file mirrors, if it does.
        is_user: as for `opening.open_file`.
        timeout: as for `opening.open_file`.

    Raises:
        NotImplementedError, FileNotFoundError, ValueError, OSError: see `opening.open_file`.
    """
    description = description_of_enum(members)
    if record:
        description["record"] = record

    def differs(found: Mapping[str, Any]) -> str:
        theirs = found.get("record", "")
        if theirs == record or (theirs and file.readonly):
            return enum_difference(found, description)
        if record:
            what = f"it mirrors another record, {theirs!r}" if theirs else "it holds a value of its own"
            return f"{what}, expected a mirror of the record {record!r}"
        return (
            f"it mirrors the record {theirs!r} of a database, which decides on all writes: give PostgresRecord(...) as "
            "at=, or SharedFile(..., readonly=True) to read it only"
        )

    opened = open_file(file, Contents(description, SIZE, differs, begin), is_user=is_user, timeout=timeout)
    if Words(opened.body).are_whole():
        return opened
    del opened  # so that this process does not count as one that uses the file
    message = f"{file.path!r} is damaged: stop the processes that use it{users.listed(file.path)}, and remove it"
    raise ValueError(message)


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

    What `multiprocessing.Value` returns, in a file instead of inherited memory: made by the first process that opens
    it, and there as long as a process uses it. It can be pickled at any time, for any process of the machine.

    Args:
        path: the path of the file, or a `SharedFile`. One file holds one value.
        typecode_or_type: as for `multiprocessing.Value`: "q", `ctypes.c_double`, an array `ctypes.c_int * 8`, a
            `ctypes.Structure`; nothing that holds a pointer.
        args: what the type is called with for the first value.
        lock: the lock of another value by path, to guard both together; None: the lock of its own file. All processes
            must give the same.

    Returns:
        A wrapper of `multiprocessing.sharedctypes`, with `value`, `get_lock()` and the like.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: the file holds something else, which is left as it is; or it is to be opened read-only, but the
            wrapper takes its lock for each read.
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
    file = _shared_file(path)
    if file.readonly:
        message = f"{file!r} is readonly, but a multiprocessing value takes its lock for each read, which is a write"
        raise ValueError(message)
    other = _checked(lock)
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
    """Return the type itself, or for an array, whose type has no name, its element and its length."""
    return (_picklable(kind._type_), kind._length_) if issubclass(kind, ctypes.Array) else kind


def _type_again(kind: Any) -> Any:
    if not isinstance(kind, tuple):
        return kind
    element, length = cast("tuple[Any, int]", kind)
    return _type_again(element) * length


_classes: dict[Any, Any] = {}


def _by_path(wrapper: Any) -> Any:
    """Return the wrapper's class with a `__reduce__` that any process can undo."""
    if wrapper not in _classes:
        namespace: dict[str, Any] = {"__module__": wrapper.__module__, "__reduce__": _reduced}
        _classes[wrapper] = type(wrapper.__name__, (wrapper,), namespace)
    return _classes[wrapper]


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
