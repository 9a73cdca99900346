"""The cell of a value by path: the words in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from multiprocessing_intenum.by_path import users
from multiprocessing_intenum.by_path.contents import BODY_AT, Contents, place_of_description
from multiprocessing_intenum.by_path.described import Described
from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.life import open_file
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.cell import Cell, OpensCell
from multiprocessing_intenum.core import address_of, core, here_address
from multiprocessing_intenum.enums.members import EnumMember, Members, members_of
from multiprocessing_intenum.enums.schema import description_of_enum, enum_difference, grown
from multiprocessing_intenum.enums.transitions import Rules, Transitions
from multiprocessing_intenum.locks.holding import LockLike
from multiprocessing_intenum.locks.open_file import OpenFile
from multiprocessing_intenum.locks.owners import Owners
from multiprocessing_intenum.memory.window import Window
from multiprocessing_intenum.memory.words import SIZE, Words

__all__ = ["FileCell", "Path", "checked_lock", "open_cell", "open_enum", "shared_file"]

T = TypeVar("T", bound=EnumMember)

Path: TypeAlias = str | os.PathLike[str] | SharedFile


def shared_file(at: Path) -> SharedFile:
    """Return the file that a path, or a `SharedFile`, means."""
    return at if isinstance(at, SharedFile) else SharedFile(at)


def checked_lock(lock: LockLike | None) -> FileLock | None:
    """Return the lock of another value by path; TypeError for a lock of another kind."""
    if lock is None or isinstance(lock, FileLock):
        return lock
    message = (
        f"Can not use {type(lock)} as lock of a value by path: expected None, for the lock of its own file, or "
        "the lock of another value by path, other.get_lock(), which all processes must give"
    )
    raise TypeError(message)


def open_cell(
    members: Members[T], at: Path | OpensCell, number: int | None, lock: LockLike | None, rules: Rules
) -> Cell[T]:
    """Return the cell of a value that was given `at=`.

    Args:
        members: the table of the enum.
        at: the file, or the record.
        number: the first state, if this process makes the file or begins it anew; None: only attach.
        lock: the lock of another file, instead of the lock of this one.
        rules: what the class of the value declares.

    Raises:
        TypeError: `at` is no path, or `lock` is of another kind.
        NotImplementedError, FileNotFoundError, ValueError, OSError: see `life.open_file`.
    """
    if isinstance(at, OpensCell):
        return at._open_cell(members, number, lock, rules)
    file = shared_file(at)
    other = checked_lock(lock)

    def begin(body: memoryview, is_new: bool) -> None:
        words = Words(body)
        (words.begin if is_new else words.begin_anew)(cast("int", number))

    opened = open_enum(file, members, rules.transitions, None if number is None else begin)
    return FileCell(members, file, opened, other or opened, rules)


class FileCell(Cell[T]):
    """A cell in a file. All processes that open the file share it.

    Args:
        members: the table of the enum.
        file: how it was opened.
        opened: the open file.
        lock: the lock that writers take: the one of this file, or of another file.
        rules: what the class of the value declares.
    """

    __slots__ = ("_window", "described", "file", "open_file")

    words: Words
    view: memoryview[Any]
    open_file: FileLock
    """The lock of its file. It is kept because it marks the file as in use."""
    file: SharedFile
    """How it was opened."""
    described: Described[T]
    """What the file says about the enum."""

    def __init__(self, members: Members[T], file: SharedFile, opened: FileLock, lock: LockLike, rules: Rules) -> None:
        self.file, self.open_file = file, opened
        self.described = Described(opened, members, rules)
        super().__init__(members, opened.body, lock, rules)
        self.words.find_owners = partial(_owners_by_path, opened)
        self.words.remedy = f"{file.path!r} is damaged: stop the processes that use it, and remove it"
        if file.readonly:
            self._window = Window(BODY_AT + SIZE)
            self._window.show(opened.opened().fd)
            self.view = self._window.view[BODY_AT : BODY_AT + 8].cast("q", ())

    def _writer(self) -> Callable[[T], None]:
        # It must not refer to this cell: a cycle would keep the file in use until the garbage collector runs.
        described, opened = self.described, self.open_file
        member_of = None if self.rules.unknown is None else described.member
        store = self.words.writer(self.members.number_of, described.check, member_of)
        if self.lock is opened:  # which looks whether it has its name
            return self._guarded(store)

        def store_if_named(member: T) -> int:
            if not opened.is_named():
                raise opened.gone()
            return store(member)

        return self._guarded(store_if_named)

    def _addresses(self) -> tuple[int, int, int, int, int]:
        address, rules, place = self.words.address, self.rules, 0
        if self.file.readonly:
            return self._window.address + BODY_AT, 0, 0, 0, 0
        if self.lock is self.open_file and rules.transitions is None and rules.unknown is None:
            place = address_of(place_of_description(self.open_file.body))
        return address, address, 0, here_address, place

    def _described(self) -> Any:
        return self.described

    def waiter(self, wanted: Iterable[int], *, once: bool = True) -> Callable[[int, float], T | None] | None:
        """Return the function that waits in C, and returns after each sleep for a look at the name of the file."""
        return super().waiter(wanted, once=once)

    def member(self, number: int) -> T:
        """Return the member of a number: see `Described.member`."""
        return self.described.member(number)

    def is_named(self) -> bool:
        """Whether the file still has its name."""
        return self.open_file.is_named()

    def check_follows(self, member: T, after: T) -> None:
        """Raise TransitionError if a member must not follow another one."""
        if after is not member:
            self.described.check(self.members.number_of(member), after)

    def look_after_owner(self) -> bool:
        """If the owner of the state has ended, let the state become what it has asked for: see `Cell`.

        A process that may only read the file leaves that to others.
        """
        return not self.file.readonly and super().look_after_owner()

    def keep_up(self) -> bool:
        """Do what a waiter does between two looks. A value that is only read goes on with the file that has its name.

        Returns:
            Whether to look again: the owner has ended, or the cell goes on with another file.

        Raises:
            FileNotFoundError: it has not, and this process uses it.
            ValueError: the file that has the name now holds something else.
            OSError: that file can not be opened.
        """
        if self.is_named():
            return self.look_after_owner()
        if not self.file.readonly:
            raise self.open_file.gone()
        try:
            opened = open_enum(self.file, self.members, None, None)
        except FileNotFoundError:  # no process has made it again yet
            return False
        self._window.show(opened.opened().fd)
        words = Words(opened.body)
        words.remedy, words.find_owners = self.words.remedy, partial(_owners_by_path, opened)
        self.open_file, self.described = opened, Described(opened, self.members, self.rules)
        self.words = words
        return True

    @property
    def place(self) -> str:
        """Where the value is, for an error."""
        return f"; the value is in {self.file.path!r}"

    def copy(self) -> FileCell[T]:
        """Return this cell: a copy of an object that holds a value by path shares the value."""
        return self

    def pickled(self, name: str) -> tuple[Callable[..., Cell[Any]], tuple[Any, ...]]:
        """Return a function and its arguments. With them any process of the machine opens the same file."""
        other = None if self.lock is self.open_file else self.lock
        return _unpickled, (self.members.enum_type, self.file, other)


def _unpickled(enum_type: type[Any], file: SharedFile, lock: LockLike | None, rules: Rules) -> Cell[Any]:
    return open_cell(members_of(enum_type), file, None, lock, rules)


def _owners_by_path(opened: FileLock, words: Words) -> Owners:
    return Owners(lambda: opened.descriptor, lambda: opened.opened().fd, opened.open_again)


def open_enum(
    file: SharedFile,
    members: Members[Any],
    transitions: Transitions | None,
    begin: Callable[[memoryview, bool], object] | None,
    record: str = "",
    *,
    is_user: bool = True,
    timeout: float | None = None,
) -> FileLock:
    """Open the file of an enum. For `begin` see `Contents`; for the rest, and the errors, see `life.open_file`.

    `record` is the name of the record that the file mirrors, if it does.
    """
    description = description_of_enum(members, transitions)
    if record:
        description["record"] = record

    def differs(found: Mapping[str, Any]) -> str:
        theirs = found.get("record", "")
        if theirs == record or (theirs and file.readonly):
            return enum_difference(found, description)
        if record:
            what = f"it mirrors another record, {theirs!r}" if theirs else "it mirrors no record"
            return f"{what}, expected a mirror of the record {record!r}"
        return (
            f"it mirrors the record {theirs!r} of a database, which decides on all writes: give PostgresRecord(...) as "
            "at=, or SharedFile(..., readonly=True) to only read it"
        )

    def larger(found: Mapping[str, Any]) -> Mapping[str, Any]:
        return found if record else grown(found, description)  # a mirror is described as the record is

    contents = Contents(description, SIZE, differs, begin, larger)
    opened = open_file(file, contents, is_user=is_user, timeout=timeout)
    if Words(opened.body).are_whole():
        return opened
    del opened  # so that this process does not count as a user of the file
    message = f"{file.path!r} is damaged: stop the processes that use it{users.listed(file.path)}, and remove it"
    raise ValueError(message)


if core is not None:
    core.use_files(FileLock, OpenFile, Described)
