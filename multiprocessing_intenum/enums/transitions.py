"""The allowed transitions of a class: how they are declared, the error of one that is not, and their diagram."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, cast

from typing_extensions import Self

from multiprocessing_intenum.enums.members import Members, of_one_name

__all__ = ["Rules", "TransitionError", "Transitions", "mermaid"]


_KEYWORDS = frozenset({
    "accdescr", "acctitle", "as", "class", "classdef", "click", "default", "direction", "end", "href", "note", "scale",
    "state", "style",
})  # fmt: skip
"""Names that mean something else to Mermaid, in letters of either case."""

_NUMBERED = "state"
"""The beginning of a name that replaces one that Mermaid would not understand."""

_ENTITIES = str.maketrans({"<": "#lt;", ">": "#gt;", '"': "#quot;", "#": "#35;", ";": "#59;"})
"""What Mermaid would take for HTML, or for the end of a label or of a line."""


class TransitionError(ValueError):
    """A write of a shared value was refused, because this transition is not allowed. Nothing was written.

    The class of the value declares what is allowed, or if it does not, its file or record has it from another class.

    Args:
        before: the member that the value had.
        after: the member that was to be written.
        allowed: the members that may follow `before`, as far as this version of the enum has them.

    Raises:
        TypeError: an argument is missing.

    Example:
        >>> class Lamp(IntEnumValue[WorkerStatusEnum], transitions={"IDLE": ["CALCULATING"]}):
        ...     pass
        >>> lamp = Lamp("IDLE")
        >>> try:
        ...     lamp.set("UNAVAILABLE")
        ... except TransitionError as error:
        ...     print(error.before.name, error.after.name, [member.name for member in error.allowed])
        IDLE UNAVAILABLE ['CALCULATING']
    """

    before: Any
    after: Any
    allowed: tuple[Any, ...]

    def __init__(self, before: Any, after: Any, allowed: Iterable[Any]) -> None:
        self.before, self.after, self.allowed = before, after, tuple(allowed)
        super().__init__(before, after, self.allowed)  # pickle and copy make the error again from these

    def __str__(self) -> str:
        before, after = _name(self.before), _name(self.after)
        ways = f"only to {' or '.join(map(_name, self.allowed))}" if self.allowed else "nowhere"
        return f"{type(self.before).__name__} can not go from {before} to {after}: from {before} it goes {ways}"


class Transitions:
    """The allowed transitions of one class, or of one file.

    Args:
        members: the table of the enum.
        allowed: for the number of each state, the numbers of those that may follow.
    """

    __slots__ = ("_members", "allowed", "in_c")

    allowed: Mapping[int, Collection[int]]
    in_c: Any
    """The same for the C core, from the first value on. See `core`."""

    def __init__(self, members: Members[Any], allowed: Mapping[int, Collection[int]]) -> None:
        self._members, self.allowed, self.in_c = members, allowed, None

    @classmethod
    def declared(cls, members: Members[Any], declared: object) -> Self:
        """Return what a class declares.

        Args:
            members: the table of the enum.
            declared: the `transitions=` of the class: for each member, or its name, those that may follow.

        Raises:
            TypeError: something is of the wrong kind; the message says what.
            ValueError: a name is unknown, or a member is given twice.
        """
        allowed: dict[int, list[int]] = {}
        if not isinstance(declared, Mapping):
            message = (
                "transitions must be a mapping from each member, or its name, to those that may follow, "
                f"not {type(declared)}"
            )
            raise TypeError(message)
        for key, values in cast("Mapping[object, object]", declared).items():
            before = _member(members, key, "transitions")
            number = members.number_of(before)
            if number in allowed:
                message = f"transitions has {_name(before)} twice: give all that may follow it at once"
                raise ValueError(message)
            if isinstance(values, enum.EnumMeta):  # all members: an iteration would leave out combinations of flags
                values = tuple(cast("Any", values).__members__.values())
            # From Python 3.11 on a flag is a collection of its bits, and a tuple member is one of its items.
            is_one = isinstance(values, (str, bytes)) or isinstance(type(values), enum.EnumMeta)
            place = f"transitions[{_name(before)}]"
            if is_one or not isinstance(values, Collection):
                message = f"{place} must be a collection of members or names, such as a list, not {values!r}"
                raise TypeError(message)
            successors = [_member(members, value, place) for value in cast("Collection[object]", values)]
            allowed[number] = list(dict.fromkeys(map(members.number_of, successors)))
        return cls(members, allowed)

    def check(self, number: int, after: Any, member_of: Callable[[int], Any] | None = None) -> None:
        """Raise TransitionError if this other member must not follow the state of this number.

        `member_of` returns the member of a number that this version of the enum may not know.
        """
        if self._members.number_of(after) not in self.allowed.get(number, ()):
            before = (member_of or self._members.__getitem__)(number)
            raise TransitionError(before, after, self.followers(number))

    def followers(self, number: int) -> list[Any]:
        """Return the members that may follow the state of this number, as far as this version of the enum has them."""
        found = map(self._members.find, self.allowed.get(number, ()))
        return [member for member in found if member is not None]

    def pairs(self) -> list[tuple[Any, Any]]:
        """Return all pairs of different members that are allowed, as they were declared."""
        members = self._members
        return [
            (members[number], after)
            for number in self.allowed
            for after in self.followers(number)
            if members[number] is not after
        ]


def _member(members: Members[Any], value: object, place: str) -> Any:
    """Return the member that a keyword of a class gives. `place` names the keyword, for the text of an error."""
    try:
        return members.member_of(value, "use")
    except KeyError as error:
        message = f"{place}: {error.args[0]}"
        raise ValueError(message) from None
    except TypeError:
        hint = of_one_name(members.enum_type, type(value))
        message = f"{place}: expected a member of '{members.enum_type}' or its name, not {value!r}{hint}"
        raise TypeError(message) from None
    except (ValueError, OverflowError) as error:
        message = f"{place}: {error}"
        raise type(error)(message) from None


class Rules(NamedTuple):
    """What the class of a shared value declares besides its enum."""

    transitions: Transitions | None = None
    """The allowed ones; None if the class declares none."""
    unknown: Any = None
    """The member that counts for a state that only a newer version of the enum has; None: such a read is an error."""

    def of(self, members: Members[Any], *, transitions: object = None, unknown: object = None) -> Rules:
        """Return these rules with the keywords of a subclass. For the errors see `Transitions.declared`."""
        rules = self
        if transitions is not None:
            rules = rules._replace(transitions=Transitions.declared(members, transitions))
        if unknown is not None:
            rules = rules._replace(unknown=_member(members, unknown, "unknown"))
        return rules


def mermaid(value_type: type[Any]) -> str:
    """Return the state diagram of a class with allowed transitions, as text that GitHub and docs tools draw.

    The language is Mermaid's `stateDiagram-v2`: a line `A --> B` for each transition.

    Args:
        value_type: a subclass of `EnumValue` or `IntEnumValue` that was made with `transitions=`.

    Returns:
        The text, of several lines.

    Raises:
        TypeError: `value_type` is no such class.

    Example:
        >>> class Lamp(IntEnumValue[WorkerStatusEnum], transitions={"IDLE": ["CALCULATING"], "CALCULATING": ["IDLE"]}):
        ...     pass
        >>> print(mermaid(Lamp))
        stateDiagram-v2
            UNAVAILABLE
            IDLE --> CALCULATING
            CALCULATING --> IDLE
    """
    rules = getattr(value_type, "_self_rules", None) if issubclass(type(value_type), type) else None
    found = rules.transitions if isinstance(rules, Rules) else None
    if found is None:
        message = (
            "expected a class made with transitions=, such as class V(IntEnumValue[E], transitions=...), "
            f"not {value_type!r}"
        )
        raise TypeError(message)
    pairs = found.pairs()
    drawn = {id(member) for pair in pairs for member in pair}
    enum_type: Any = cast("Any", value_type).EnumType
    members = dict.fromkeys([*enum_type.__members__.values(), *(member for pair in pairs for member in pair)])
    lines = ["stateDiagram-v2"]
    names: dict[int, str] = {}
    for index, member in enumerate(members):
        name = names[id(member)] = _name(member)
        is_safe = name.isidentifier() and name.lower() not in _KEYWORDS and not name.startswith(_NUMBERED)
        if not is_safe:  # a combination of flags, for example
            names[id(member)] = f"{_NUMBERED}{index}"
            lines.append(f'    state "{name.translate(_ENTITIES)}" as {_NUMBERED}{index}')
        elif id(member) not in drawn:
            lines.append(f"    {name}")
    lines += [f"    {names[id(before)]} --> {names[id(after)]}" for before, after in pairs]
    return "\n".join(lines)


def _name(member: Any) -> str:
    return member._name_ or repr(member)
