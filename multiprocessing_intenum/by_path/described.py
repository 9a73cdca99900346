"""What a file says about the enum of its value, and what this version of the enum makes of a number in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

from multiprocessing_intenum.by_path.contents import damaged, place_of_description
from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.life import description_in
from multiprocessing_intenum.enums.members import EnumMember, Members, UnknownMemberError
from multiprocessing_intenum.enums.schema import is_enum, name_in, transitions_in
from multiprocessing_intenum.enums.transitions import Rules, Transitions

__all__ = ["Described"]

T = TypeVar("T", bound=EnumMember)


class Described(Generic[T]):
    """The enum that a file describes, beside the enum of this process. Another process may describe it anew.

    Args:
        opened: the open file.
        members: the table of the enum.
        rules: what the class of the value declares.
    """

    __slots__ = ("_members", "_opened", "_place", "_read", "_rules")

    def __init__(self, opened: FileLock, members: Members[T], rules: Rules) -> None:
        self._opened, self._members, self._rules = opened, members, rules
        self._place = place_of_description(opened.body)
        # The place of the description that was read last, and its transitions. They are replaced at once, because
        # another thread may look meanwhile.
        self._read: tuple[int, Transitions | None] = -1, None

    def description(self) -> Mapping[str, Any]:
        """Return the present description. For the errors see `contents.read_header`."""
        return description_in(self._opened)

    def transitions(self) -> Transitions | None:
        """Return the allowed transitions of the file. For the errors see `contents.read_header`."""
        if self._place[()] != self._read[0]:
            self.description()
            place, description = self._opened.described  # both at once: another thread may read a newer one meanwhile
            if not is_enum(description):
                raise damaged(self._opened.path)
            self._read = place, transitions_in(description, self._members)
        return self._read[1]

    def check(self, before: int, after: T) -> None:
        """Raise TransitionError if this member must not follow the state of this number."""
        own = self._rules.transitions
        if own is not None:
            own.check(self._members.number_of(self.member(before)), after)
            return
        place, transitions = self._read
        if self._place[()] != place:
            transitions = self.transitions()
        if transitions is not None:
            transitions.check(before, after, self.member)

    def member(self, number: int) -> T:
        """Return the member of a number; if only a newer version has it, the one that counts for it.

        Raises:
            UnknownMemberError: the class of the value declares none.
        """
        member = self._members.find(number)
        if member is not None:
            return member
        if self._rules.unknown is not None:
            return self._rules.unknown  # type: ignore[no-any-return]
        name = None
        with suppress(OSError, ValueError):  # the file can not be read any more
            name = name_in(self.description(), number)
        raise UnknownMemberError(number, name, self._members.enum_type.__qualname__) from None
