"""What tells one enum from another: its description, which the header of a file and the row of a record store."""

from __future__ import annotations

import ast
import enum
import warnings
from collections.abc import Mapping
from typing import Any, cast

from multiprocessing_intenum.enums.members import Members
from multiprocessing_intenum.enums.transitions import Transitions

__all__ = [
    "ValueByText",
    "description_of_enum",
    "enum_difference",
    "grown",
    "is_enum",
    "literal_of",
    "name_in",
    "printable",
    "transitions_in",
    "what_is_in",
]


def printable(text: str) -> str:
    """Return a text with each character escaped that a terminal would obey instead of showing it.

    Any program may have written the names in a file or a row.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def description_of_enum(members: Members[Any], transitions: Transitions | None = None) -> dict[str, Any]:
    """Return what tells an enum from another one, and the allowed transitions, as JSON can store it."""
    enum_type = members.enum_type
    kind = "flags" if issubclass(enum_type, enum.Flag) else "ints" if issubclass(enum_type, int) else "places"
    described: dict[str, Any] = {
        "enum": enum_type.__qualname__,
        "kind": kind,
        "members": {name: members.number_of(member) for name, member in members.by_name.items()},
    }
    if kind == "places":
        described["values"] = {name: _shown(enum_type, name, each._value_) for name, each in members.by_name.items()}
    aliases = [name for name, member in members.by_name.items() if member._name_ != name]
    if aliases:  # a database does not keep the order of `members`
        described["aliases"] = aliases
    if transitions is not None:
        described["transitions"] = {str(number): list(after) for number, after in transitions.allowed.items()}
    return described


def transitions_in(description: Mapping[str, Any], members: Members[Any]) -> Transitions | None:
    """Return the allowed transitions of a description; None if it has none, so that all are allowed."""
    found = description.get("transitions")
    return None if found is None else Transitions(members, {int(number): after for number, after in found.items()})


def name_in(description: Mapping[str, Any], number: int) -> str | None:
    """Return the name of the member with this number, or of a combination of flags; None if it has no such member."""
    if not is_enum(description):
        return None
    aliases = description.get("aliases", ())
    names = {each: name for name, each in reversed(description["members"].items()) if name not in aliases}
    if number in names or description["kind"] != "flags":
        return names.get(number)
    bits = [each for each in sorted(names) if each > 0 and each & (each - 1) == 0 and each & number]
    return "|".join(names[each] for each in bits) if sum(bits) == number != 0 else None


def _shown(enum_type: type[Any], name: str, value: Any) -> Any:
    """Return the value if JSON can store it, or a text for it."""
    if type(value) is int and abs(value) < 2**63:
        return value
    try:
        return _text_of(value)
    except Exception as error:
        message = (
            f"Can not describe '{enum_type}' to other processes: repr() of the value of {name} fails with {error!r}"
        )
        raise ValueError(message) from error


class ValueByText:
    """The value of a member, known only by its text in a description. Two values with one text may differ."""

    def __init__(self, text: object) -> None:
        self.text: str = str(text)

    def __repr__(self) -> str:
        return self.text


_PLAIN: tuple[type[Any], ...] = (bool, int, float, complex, str, bytes, type(None), type(...))
_GROUPS: tuple[type[Any], ...] = (tuple, list, set, frozenset, dict)


def _is_plain(value: Any) -> bool:
    """Whether the repr of a value is a literal that says what it is, and is the same at all times."""
    kind = cast("Any", type(value))
    if kind in _GROUPS:
        return all(map(_is_plain, value.items() if kind is dict else value))
    return any(issubclass(kind, plain) and kind.__repr__ is plain.__repr__ for plain in _PLAIN)


def _text_of(value: Any) -> str:
    """Return the repr of a value, if it depends only on the value.

    The repr of a text of gettext_lazy is the literal of its translation, which differs between languages. So if a value
    is not plain, but its repr looks like a literal, the value is described by its type.
    """
    if _is_plain(value) or type(value) is ValueByText:
        return repr(value)
    if type(value) in (tuple, list):
        opening, closing = "()" if type(value) is tuple else "[]"
        return opening + ", ".join(map(_text_of, cast("tuple[Any, ...]", value))) + closing
    text = repr(value)
    try:
        literal_of(text)
    except ValueError:
        return text
    return f"<{type(value).__qualname__}>"


def _is_same(one: Any, other: Any) -> bool:
    """Whether two texts show the same value. If one is not a literal, they count as the same.

    An object's repr may differ between processes, and so may the order of a set.
    """
    if one == other:
        return True
    try:
        return bool(literal_of(str(one)) == literal_of(str(other)))
    except ValueError:
        return True


def literal_of(text: str) -> Any:
    """Return the value that a literal shows.

    Raises:
        ValueError: the text is no literal.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an unknown escape in the repr of some object
            return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:  # ast documents these and ValueError
        raise ValueError(str(error)) from error


def is_enum(description: Mapping[str, Any]) -> bool:
    """Whether this is the description of an enum. A file may hold anything."""
    kind, members = description.get("kind"), description.get("members")
    values = description.get("values") if kind == "places" else members
    transitions = description.get("transitions", {})
    return (
        isinstance(description.get("enum"), str)
        and kind in ("ints", "flags", "places")
        and isinstance(members, dict)
        and all(type(number) is int for number in cast("dict[str, Any]", members).values())
        and isinstance(values, dict)
        and values.keys() == cast("dict[str, Any]", members).keys()
        and isinstance(description.get("aliases", []), list)
        and isinstance(transitions, dict)
        and all(_is_transition(number, after) for number, after in cast("dict[str, Any]", transitions).items())
    )


def _is_transition(number: str, after: Any) -> bool:
    is_list = isinstance(after, list) and all(type(each) is int for each in cast("Any", after))
    return is_list and number.removeprefix("-").isdecimal()


def enum_difference(found: Mapping[str, Any], expected: Mapping[str, Any], where: str = "the file") -> str:
    """Return how the found enum differs from the expected one; an empty text if one of them contains the other.

    One contains the other if it has all its names, with the same numbers. The name of the enum does not matter.
    """
    if not is_enum(found):
        return f"it holds {what_is_in(found)}, expected the enum {expected['enum']}"
    theirs, ours = found["members"], expected["members"]
    # A process whose enum has another order would find another member at a place.
    number = "place" if found["kind"] == expected["kind"] == "places" else "="
    differences: list[str] = []
    is_contained = theirs.keys() <= ours.keys() or ours.keys() <= theirs.keys()
    for name in dict.fromkeys([*theirs, *ours]):
        if name not in ours:
            differences.append(f"{name} {number} {theirs[name]} only in {where}")
        elif name not in theirs:
            differences.append(f"{name} {number} {ours[name]} not in {where}")
        elif theirs[name] != ours[name]:
            differences.append(f"{name} {number} {theirs[name]} in {where}, {ours[name]} here")
            is_contained = False
        elif number == "place" and not _is_same(found["values"][name], expected["values"][name]):
            differences.append(f"{name} = {found['values'][name]} in {where}, {expected['values'][name]} here")
            is_contained = False
    if found["kind"] != expected["kind"]:
        differences = differences or [f"{found['kind']} in {where}, {expected['kind']} here"]
        is_contained = False
    if is_contained:
        return ""
    return printable(f"the enum {found['enum']} in {where} is not {expected['enum']} here ({'; '.join(differences)})")


def grown(found: Mapping[str, Any], ours: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the description of the larger one of two enums, with our transitions if we have some.

    It is `found` itself if that is right as it is. One of the two must contain the other: see `enum_difference`.
    """
    larger = ours if ours["members"].keys() > found["members"].keys() else found
    allowed = ours.get("transitions", found.get("transitions"))
    if larger is found and allowed == found.get("transitions"):
        return found
    rest = {name: value for name, value in larger.items() if name != "transitions"}
    return rest if allowed is None else {**rest, "transitions": allowed}


def what_is_in(description: Mapping[str, Any]) -> str:
    """Return what a description describes if it is not an enum, for the text of an error."""
    if "ctypes" not in description:
        return "something that this version does not know"
    return printable(f"a ctypes object, {description['ctypes']}")
