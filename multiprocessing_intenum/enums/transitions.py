"""The allowed transitions of a class: how they are declared, the error of one that is not, and their diagram."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from multiprocessing_intenum.enums.members import Members, of_one_name

__all__ = ["TransitionError", "Transitions", "mermaid"]


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
    """A write of a shared value was refused, because its class does not allow this transition. Nothing was written.

    Args:
        before: the member that the value had.
        after: the member that was to be written.
        allowed: the members that may follow `before`.

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
    """The allowed transitions of one class, by the number of the state before.

    Args:
        members: the table of the enum.
        declared: the `transitions=` of the class: for each member, or its name, the members or names that may follow.

    Raises:
        TypeError: something is of the wrong kind; the message says what.
        ValueError: a name is unknown, or a member is given twice.
    """

    __slots__ = ("allowed", "members")

    members: Members[Any]

    def __init__(self, members: Members[Any], declared: object) -> None:
        self.members = members
        # For each number, the members that may follow, by their identity: the table has one member for each number.
        self.allowed: dict[int, dict[int, Any]] = {}
        if not isinstance(declared, Mapping):
            message = (
                "transitions must be a mapping from each member, or its name, to those that may follow, "
                f"not {type(declared)}"
            )
            raise TypeError(message)
        for key, values in cast("Mapping[object, object]", declared).items():
            before = self._member(key, "transitions")
            number = members.number_of(before)
            if number in self.allowed:
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
            successors = [self._member(value, place) for value in cast("Collection[object]", values)]
            self.allowed[number] = {id(after): after for after in successors}

    def _member(self, value: object, place: str) -> Any:
        try:
            return self.members.member_of(value, "use")
        except KeyError as error:
            message = f"{place}: {error.args[0]}"
            raise ValueError(message) from None
        except TypeError:
            hint = of_one_name(self.members.enum_type, type(value))
            message = f"{place}: expected a member of '{self.members.enum_type}' or its name, not {value!r}{hint}"
            raise TypeError(message) from None
        except (ValueError, OverflowError) as error:
            message = f"{place}: {error}"
            raise type(error)(message) from None

    def check(self, number: int, after: Any) -> None:
        """Raise TransitionError if this other member must not follow the state of this number."""
        allowed = self.allowed.get(number, {})
        if id(after) not in allowed:
            raise TransitionError(self.members[number], after, allowed.values())


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
    found = getattr(value_type, "_self_transitions", None) if issubclass(type(value_type), type) else None
    if not isinstance(found, Transitions):
        message = (
            "expected a class made with transitions=, such as class V(IntEnumValue[E], transitions=...), "
            f"not {value_type!r}"
        )
        raise TypeError(message)
    pairs = [
        (found.members[number], after)
        for number, successors in found.allowed.items()
        for after in successors.values()
        if found.members[number] is not after
    ]
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
