"""Every kind of int-valued enum, for the differential test to compare shared values with members."""

from __future__ import annotations

import enum
import http
import inspect
import re
import signal
import socket
import ssl
from enum import Enum, IntEnum, IntFlag
from typing import Any


class Plain(IntEnum):
    ZERO = 0
    ONE = 1
    MINUS = -3
    ALIAS = 1


class Mixed(int, Enum):
    """An enum whose str, repr and format are Enum's, not int's."""

    LOW = 1
    HIGH = 255


class Texts(IntEnum):
    """Members with additional attributes, like those of `http.HTTPStatus`."""

    def __new__(cls, number: int, label: str) -> Any:
        self = int.__new__(cls, number)
        self._value_ = number
        self.label = label
        return self

    label: str

    RED = 1, "rouge"
    BLUE = 2, "bleu"

    def shout(self, mark: str = "!") -> str:
        return self.label.upper() + mark

    @property
    def length(self) -> int:
        return len(self.label)

    @classmethod
    def first(cls) -> Texts:
        return next(iter(cls))

    @staticmethod
    def twice(number: int) -> int:
        return 2 * number


class OtherValue(IntEnum):
    """Members whose value is not their integer."""

    def __new__(cls, number: int, value: str) -> Any:
        self = int.__new__(cls, number)
        self._value_ = value
        return self

    LOW = 1, "low"
    HIGH = 2, "high"


class OwnEquality(IntEnum):
    A = 1
    B = 2

    def __eq__(self, other: object) -> bool:
        return other == self.name or int(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.name)

    def __lt__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, str) else int(self) < int(other)


class Unhashable(IntEnum):
    A = 1
    B = 2

    def __eq__(self, other: object) -> bool:
        return int(self) == other

    __hash__ = None  # type: ignore[assignment]


class OwnTruth(IntEnum):
    OFF = 1
    ON = 0

    def __bool__(self) -> bool:
        return self.name == "ON"


class OwnText(IntEnum):
    A = 1
    B = 2

    def __str__(self) -> str:
        return f"<{self.name.lower()}>"

    def __repr__(self) -> str:
        return f"OwnText/{self.name}"

    def __format__(self, spec: str) -> str:
        return f"[{self.name}:{spec}]"

    def __bytes__(self) -> bytes:
        return self.name.encode()


class OwnProtocols(IntEnum):
    """Every protocol that an int does not support."""

    A = 1
    B = 2

    def __call__(self, *args: object, **kwargs: object) -> tuple[object, ...]:
        return self.name, args, tuple(kwargs.items())

    def __getitem__(self, key: object) -> tuple[str, object]:
        return self.name, key

    def __len__(self) -> int:
        return 3 * int(self)

    def __iter__(self) -> Any:
        return iter((self.name, int(self)))

    def __reversed__(self) -> Any:
        return iter((int(self), self.name))

    def __contains__(self, item: object) -> bool:
        return item == self.name

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> bool:
        return True

    async def __aenter__(self) -> str:
        return self.name

    async def __aexit__(self, *_: object) -> bool:
        return True

    def __matmul__(self, other: object) -> tuple[object, ...]:
        return self.name, "@", other

    def __rmatmul__(self, other: object) -> tuple[object, ...]:
        return other, "@", self.name

    def __complex__(self) -> complex:
        return complex(0, int(self))

    def __instancecheck__(self, instance: object) -> bool:
        return instance == self.name

    def __subclasscheck__(self, subclass: object) -> bool:
        return subclass is bool

    def __fspath__(self) -> str:
        return self.name

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return f"{self.name}.{name}"


class OldSequence(IntEnum):
    """Members that are iterated with `__getitem__`, as was usual before `__iter__` existed."""

    A = 1
    B = 2

    def __getitem__(self, index: int) -> str:
        return self.name[index]

    def __len__(self) -> int:
        return len(self.name)


class Walkable(IntEnum):
    """Members for which `in` falls back to iteration."""

    A = 1
    B = 2

    def __iter__(self) -> Any:
        return iter(self.name)


class OwnArithmetic(IntEnum):
    """Operators that return members, and operators with results that other types do not expect."""

    A = 0
    B = 1
    C = 2

    def __add__(self, other: Any) -> Any:
        return type(self)((int(self) + int(other)) % 3) if isinstance(other, int) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return (other, "+", self.name)

    def __mul__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, str) else (self.name, other)

    def __pow__(self, exponent: Any, modulus: Any = None) -> Any:
        return (self.name, exponent, modulus)

    def __round__(self, digits: Any = "none") -> Any:
        return (self.name, digits)

    def __neg__(self) -> Any:
        return type(self)(-int(self) % 3)

    def __index__(self) -> int:
        return 2 - int.__index__(self)

    def __truediv__(self, other: Any) -> Any:
        raise ArithmeticError(self.name)


class OwnNames(IntEnum):
    """An enum that defines its own `name` and `value`."""

    A = 1
    B = 2

    @enum.property if hasattr(enum, "property") else property  # type: ignore[misc]
    def name(self) -> str:  # type: ignore[override]
        return self._name_.lower()

    @property
    def value(self) -> int:  # type: ignore[override]
        return 10 * self._value_


class NamesMixin:
    @property
    def value(self) -> str:
        return f"mixed in {int(self)}"  # type: ignore[call-overload,no-any-return]


class MixedInNames(NamesMixin, IntEnum):
    A = 1
    B = 2


class Missing(IntEnum):
    KNOWN = 1
    OTHER = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.KNOWN if value == "known" else None


class Grows(IntEnum):
    """An enum that makes members on demand."""

    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"N{int(value)}"
        member._value_ = int(value)
        return cls._value2member_map_.setdefault(member._value_, member)


class Edges(IntEnum):
    LEAST = -(2**63)
    NONE = 0
    MOST = 2**63 - 1


class Colliding(IntEnum):
    """Members with the names of a shared value's own attributes, and of the parts that it is built of."""

    set = 1
    get_lock = 2
    lock = 3
    name_ = 4
    EnumType = 5
    wrapped = 6


# In a class body, type checkers would reject members with these two names.
NameAndValue = IntEnum("NameAndValue", [("name", 1), ("value", 2), ("other", 3)])  # type: ignore[misc]

Functional = IntEnum("Functional", "RED GREEN BLUE", start=7)
FunctionalFlag = IntFlag("FunctionalFlag", "X Y Z")


class Choices(int, Enum):
    """Like Django's `IntegerChoices` in the ways that matter: labels, str gives the value, additional properties."""

    def __new__(cls, value: int, label: str) -> Any:
        self = int.__new__(cls, value)
        self._value_ = value
        self._label_ = label
        return self

    _label_: str

    DRAFT = 0, "Draft"
    PUBLISHED = 1, "Published"

    @property
    def label(self) -> str:
        return self._label_

    @property
    def do_not_call_in_templates(self) -> bool:
        return True

    def __str__(self) -> str:
        return str(self.value)


class Perm(IntFlag):
    R = 4
    W = 2
    X = 1
    RW = 6


class BigFlag(IntFlag):
    LOW = 1
    TOP = 1 << 62


class OwnFlag(IntFlag):
    A = 1
    B = 2

    def __or__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, str) else super().__or__(other)

    __ror__ = __or__

    def __bool__(self) -> bool:
        return True

    def __contains__(self, other: object) -> bool:
        return other == "anything"


def _bounded(boundary: Any) -> type[IntFlag]:
    kwargs = {} if boundary is None else {"boundary": boundary}
    return IntFlag(f"Bounded{getattr(boundary, 'name', '')}", {"A": 1, "B": 2, "D": 8}, module=__name__, **kwargs)  # type: ignore[no-any-return,call-overload]


# Python 3.10 has no boundaries.
BOUNDED = [_bounded(boundary) for boundary in getattr(enum, "FlagBoundary", [None])]

_PARAMETER_KIND = type(inspect.Parameter.VAR_KEYWORD)


def _flags(enum_type: Any, *numbers: int) -> list[Any]:
    """Return all members of a flag, and some combinations."""
    members = list(enum_type.__members__.values())
    members.append(enum_type(0))
    members.append(members[0] | members[1])
    for number in numbers:
        try:
            made = enum_type(number)
        except ValueError:  # a strict boundary
            continue
        if type(made) is enum_type:  # the EJECT boundary gives an int
            members.append(made)
    return list(dict.fromkeys(members))


def _some(enum_type: Any, most: int = 6) -> list[Any]:
    members = list(enum_type)
    return members[:: -(-len(members) // most)]


OWN = [
    Plain, Mixed, Texts, OtherValue, OwnEquality, Unhashable, OwnTruth, OwnText, OwnProtocols, OldSequence, Walkable,
    OwnArithmetic, OwnNames, MixedInNames, Missing, Edges, Colliding, NameAndValue, Functional, Choices,
]  # fmt: skip

MEMBERS: dict[str, list[Any]] = {
    **{enum_type.__name__: list(enum_type) for enum_type in OWN},
    "Grows": [Grows.ONE, Grows(5), Grows(-7)],
    "Perm": _flags(Perm, 7),
    "BigFlag": _flags(BigFlag),
    "OwnFlag": _flags(OwnFlag),
    "FunctionalFlag": _flags(FunctionalFlag, 7),
    **{flag.__name__: _flags(flag, 4, 5, 12, -1) for flag in BOUNDED},
    "HTTPStatus": _some(http.HTTPStatus),
    "Signals": _some(signal.Signals),
    "AddressFamily": _some(socket.AddressFamily),
    "SocketKind": _some(socket.SocketKind),
    "MsgFlag": [*_some(socket.MsgFlag, 3), socket.MsgFlag.MSG_PEEK | socket.MsgFlag.MSG_OOB],
    "TLSVersion": _some(ssl.TLSVersion, 4),
    "AlertDescription": _some(ssl.AlertDescription, 4),
    "Options": [*_some(ssl.Options, 3), ssl.OP_NO_SSLv2 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1],
    "RegexFlag": [re.RegexFlag(0), re.I, re.M, re.I | re.S],
    "_ParameterKind": list(_PARAMETER_KIND),
}
"""The members to compare by the enum's name, at least two for each enum."""
