"""The single operations: how to write them for each contender, and the target of this library."""

from __future__ import annotations

from dataclasses import dataclass

from contenders import BARE, LOCAL_PROXY, MANAGER, MEMBER, OF_ENUM, OF_STR_ENUM, OURS, PEER, VALUE, WITH_TRANSITIONS
from targets import NONE, Target

__all__ = ["OPERATIONS", "OPERATIONS_OF_VARIANTS", "SLACK", "Operation"]

SLACK = 0.8
"""How much longer an operation may take than on the plain member, in units of the peer's `==`. On the machine where the
target was set, this is 150 of 188 ns. The ratio makes it comparable on other machines."""


@dataclass(frozen=True)
class Operation:
    """One operation on a shared state.

    Attributes:
        label: its name in tables and charts.
        group: "reads", "writes", "creation", or "masquerade" for what the peer cannot do. "variants" are compared with
            this library's `IntEnumValue` itself.
        statements: the statement of each contender, by the contender's name.
        target: the longest time allowed, relative to the peer's or, for variants, to the `IntEnumValue`'s. For the
            group "masquerade" the limit is `SLACK`.
    """

    label: str
    group: str
    statements: dict[str, str]
    target: Target = NONE


_VALUES = (VALUE, MANAGER)  # the `.value` of both is a plain number


def _read(label: str, target: Target, statement: str, values: str, bare: str, *, local_proxy: bool = True) -> Operation:
    statements = {OURS: statement, PEER: statement, **dict.fromkeys(_VALUES, values), BARE: bare, MEMBER: statement}
    return Operation(label, "reads", statements | ({LOCAL_PROXY: statement} if local_proxy else {}), target)


def _masquerade(label: str, statement: str) -> Operation:
    return Operation(label, "masquerade", {OURS: statement, MEMBER: statement})


OPERATIONS = (
    _read("s == member", Target(0.12, 0.40), "s == member", "s.value == member", "table[s.value] == member"),
    _read("s != member", Target(0.12, 0.40), "s != member", "s.value != member", "table[s.value] != member"),
    _read("member == s", Target(0.20, 0.55), "member == s", "member == s.value", "member == table[s.value]"),
    _read("s == t", Target(0.40, 0.75), "s == t", "s.value == t.value", "table[s.value] == table[t.value]"),
    _read("s.name", Target(0.12, 0.20), "s.name", "E(s.value).name", "table[s.value]._name_"),
    _read("s.value", Target(0.40, 0.90), "s.value", "s.value", "s.value"),
    _read("hash(s)", Target(0.10, 0.40), "hash(s)", "hash(s.value)", "hash(table[s.value])"),
    Operation(
        "snapshot(s)",
        "reads",
        {
            OURS: "snapshot(s)",
            PEER: "E(s.value)",
            **dict.fromkeys(_VALUES, "E(s.value)"),
            LOCAL_PROXY: "s._get_current_object()",
            BARE: "table[s.value]",
        },
        Target(0.08, 0.32),
    ),
    Operation(
        "state.status == member", "reads", dict.fromkeys((OURS, PEER), "state.status == member"), Target(0.20, 0.55)
    ),
    Operation("state.status.name", "reads", dict.fromkeys((OURS, PEER), "state.status.name"), Target(0.30, 0.60)),
    Operation(
        "s.set(member)",
        "writes",
        {
            OURS: "s.set(member)",
            PEER: "s.set(member)",
            **dict.fromkeys(_VALUES, "s.value = member"),
            BARE: "acquire(); s.value = member; release()",
        },
        Target(0.60, 4.00),
    ),
    Operation(  # ends with the state that the other operations expect
        "s.set(other); s.set(member)",
        "writes",
        {
            **dict.fromkeys((OURS, PEER), "s.set(other); s.set(member)"),
            **dict.fromkeys(_VALUES, "s.value = other; s.value = member"),
            BARE: "acquire(); s.value = other; release(); acquire(); s.value = member; release()",
        },
        Target(0.60, 6.00),
    ),
    Operation(
        "state.status = member", "writes", dict.fromkeys((OURS, PEER), "state.status = member"), Target(0.30, 4.50)
    ),
    Operation(
        "state.status = other; state.status = member",
        "writes",
        dict.fromkeys((OURS, PEER), "state.status = other; state.status = member"),
        Target(0.30, 4.50),
    ),
    Operation(
        "s.set(member), lock=RLock()", "writes", {OURS: "r.set(member)", PEER: "s.set(member)"}, Target(1.90, 1.90)
    ),
    Operation(
        "Status(member)",
        "creation",
        {
            OURS: "Status(member)",
            PEER: "Status(member)",
            VALUE: "make(member)",
            MANAGER: "make('q', member)",
            BARE: "RLock(); RawValue(c_int64, member)",
        },
        Target(0.90, 0.90),
    ),
    Operation(
        "Status(member, lock)",
        "creation",
        {
            OURS: "Status(member, lock)",
            PEER: "Status(member, lock)",
            VALUE: "make(member, lock=lock)",
            BARE: "RawValue(c_int64, member)",
        },
    ),
    _masquerade("isinstance(s, E)", "isinstance(s, E)"),
    _masquerade("http.phrase", "http.phrase"),
    _masquerade("s.bit_length()", "s.bit_length()"),
    _masquerade("d[s]", "d[s]"),
    _masquerade("s < member", "s < member"),
    _masquerade("s + 1", "s + 1"),
    _masquerade('f"{s}"', 'f"{s}"'),
)


_SAME = Target(1.3, 1.3)


def _variant(statement: str, *variants: str, target: Target = _SAME) -> Operation:
    return Operation(statement, "variants", dict.fromkeys((OURS, *variants), statement), target)


OPERATIONS_OF_VARIANTS = (
    *(_variant(read, OF_ENUM, OF_STR_ENUM) for read in ("s == member", "s.name", "s.value", "snapshot(s)", "d[s]")),
    # The hash of a text is a large int, which Python makes anew each time. In C that is half of the time.
    _variant("hash(s)", OF_ENUM, OF_STR_ENUM, target=Target(2.5, 1.3)),
    _variant("s.set(other); s.set(member)", WITH_TRANSITIONS),
)
