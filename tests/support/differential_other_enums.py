"""Every kind of enum whose members are no ints, for the differential test to compare shared values with members."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import plistlib
import pstats
import sys
import typing
import uuid
from dataclasses import dataclass
from enum import Enum, Flag
from typing import Any

if sys.version_info >= (3, 11):
    import http
    from enum import StrEnum
else:

    class StrEnum(str, Enum):
        """What Python 3.11 has as `enum.StrEnum`, in the ways that matter here."""

        __str__ = str.__str__
        __format__ = str.__format__

        def _generate_next_value_(name: str, *_: Any) -> str:  # type: ignore[override]  # noqa: N805
            return name.lower()


# Text


class Word(str, Enum):
    """An enum whose str, repr and format are Enum's, not str's."""

    IDLE = "idle"
    NUMBER = "42"
    EMPTY = ""
    TEMPLATE = "%s|{}"
    WAITING = "idle"  # noqa: PIE796 # an alias


class Tone(StrEnum):
    LOW = enum.auto()
    A = "A"


class Choices(str, Enum):
    """Like Django's `TextChoices` in the ways that matter: labels, str gives the value, additional properties."""

    def __new__(cls, value: str, label: str) -> Any:
        self = str.__new__(cls, value)
        self._value_ = value
        self._label_ = label
        return self

    _label_: str

    DRAFT = "DR", "Draft"
    PUBLISHED = "PU", "Published"

    @property
    def label(self) -> str:
        return self._label_

    @property
    def do_not_call_in_templates(self) -> bool:
        return True

    def __str__(self) -> str:
        return str(self.value)


class OwnText(StrEnum):
    """Text that answers in its own way."""

    A = "a"
    B = "b"

    def __str__(self) -> str:
        return f"<{self.name}>"

    def __format__(self, spec: str) -> str:
        return f"[{self.name}:{spec}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str.lower(self) == str.lower(other)

    def __hash__(self) -> int:
        return hash(str.lower(self))

    def __contains__(self, item: object) -> bool:
        return item == "anything"

    def __len__(self) -> int:
        return 100


class OtherText(str, Enum):
    """Members whose value is not their text."""

    def __new__(cls, text: str, value: int) -> Any:
        self = str.__new__(cls, text)
        self._value_ = value
        return self

    LOW = "low", 1
    HIGH = "high", 2


# Other types of the standard library


class Raw(bytes, Enum):
    MAGIC = b"ab"
    NUMBER = b"7"


class Pair(tuple, Enum):  # type: ignore[type-arg]
    ONE_TWO = (1, 2)
    TEXTS = ("A", "%s")
    UNHASHABLE = (1, [])


class Position(typing.NamedTuple):
    x: int
    y: int


class Corner(Position, Enum):
    LEFT = Position(0, 1)
    RIGHT = Position(9, 1)


class Group(frozenset, Enum):  # type: ignore[type-arg]
    SMALL = frozenset({1, 2})
    LETTERS = frozenset({"A"})


class Ratio(float, Enum):
    HALF = 0.5
    THREE = 3.0
    ENDLESS = float("inf")


class Turn(complex, Enum):
    QUARTER = 1j
    NONE = 1 + 0j


class Rate(decimal.Decimal, Enum):
    LOW = decimal.Decimal("2.5")
    ONE = decimal.Decimal(1)


class Day(datetime.date, Enum):
    NEW_YEAR = 2024, 1, 1
    LEAP = 2024, 2, 29


class Period(datetime.timedelta, Enum):
    DAY = 1
    MINUTE = 0, 60


@dataclass(frozen=True)
class Body:
    mass: float
    radius: float

    def density(self) -> float:
        return self.mass / self.radius**3


class Planet(Body, Enum):
    EARTH = 5.9, 6.3
    MARS = 0.6, 3.4

    @functools.cached_property
    def weight(self) -> float:
        return 10 * self.mass


# Plain enums


class Anything(Enum):
    """Values of any kind."""

    NONE = None
    LIST = [1, 2]  # noqa: RUF012
    MAPPING = {"key": 1}  # noqa: RUF012
    OBJECT = object()
    TEXT = "idle"
    NUMBER = 1


class Methods(Enum):
    """Attributes and methods, but no protocol."""

    A = 1, "rouge"
    B = 2, "bleu"

    def __init__(self, number: int, label: str) -> None:
        self.number = number
        self.label = label

    def shout(self, mark: str = "!") -> str:
        return self.label.upper() + mark

    @property
    def length(self) -> int:
        return len(self.label)

    @classmethod
    def first(cls) -> Methods:
        return next(iter(cls))

    @staticmethod
    def twice(number: int) -> int:
        return 2 * number


class Ordered(Enum):
    """The recipe of Python's documentation."""

    LOW = 1
    HIGH = 2

    def __ge__(self, other: Any) -> Any:
        return self.value >= other.value if self.__class__ is other.__class__ else NotImplemented

    def __gt__(self, other: Any) -> Any:
        return self.value > other.value if self.__class__ is other.__class__ else NotImplemented

    def __le__(self, other: Any) -> Any:
        return self.value <= other.value if self.__class__ is other.__class__ else NotImplemented

    def __lt__(self, other: Any) -> Any:
        return self.value < other.value if self.__class__ is other.__class__ else NotImplemented


class Protocols(Enum):
    """Every protocol that a plain member does not support."""

    A = "first"
    B = "second"

    def __call__(self, *args: object, **kwargs: object) -> tuple[object, ...]:
        return self.name, args, tuple(kwargs.items())

    def __getitem__(self, key: object) -> tuple[str, object]:
        return self.name, key

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return iter((self.name, self.value))

    def __reversed__(self) -> Any:
        return iter((self.value, self.name))

    def __contains__(self, item: object) -> bool:
        return item == self.name

    def __eq__(self, other: object) -> bool:
        return self.name == other or self is other

    def __hash__(self) -> int:
        return hash(self.name)

    def __lt__(self, other: Any) -> Any:
        return self.name < getattr(other, "name", other)

    def __bool__(self) -> bool:
        return self.name == "A"

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> bool:
        return True

    async def __aenter__(self) -> str:
        return self.name

    async def __aexit__(self, *_: object) -> bool:
        return True

    def __bytes__(self) -> bytes:
        return self.name.encode()

    def __fspath__(self) -> str:
        return self.name

    def __add__(self, other: object) -> tuple[object, ...]:
        return self.name, "+", other

    def __radd__(self, other: object) -> tuple[object, ...]:
        return other, "+", self.name

    def __matmul__(self, other: object) -> tuple[object, ...]:
        return self.name, "@", other

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return f"{self.name}.{name}"


class Numeric(Enum):
    """A plain enum that can be converted to numbers."""

    ONE = 1
    TWO = 2

    def __int__(self) -> int:
        return 10 * self.value

    def __float__(self) -> float:
        return self.value / 4

    def __round__(self, digits: Any = "none") -> Any:
        return self.name, digits

    def __abs__(self) -> Any:
        return self.name


class Indexed(Enum):
    """A plain enum that is an index, and so a number to Python."""

    ONE = "one"
    TWO = "two"

    def __index__(self) -> int:
        return 1 + (self.name == "TWO")


class Unhashable(Enum):
    A = "a"
    B = "b"

    def __eq__(self, other: object) -> bool:
        return self.value == other

    __hash__ = None  # type: ignore[assignment]


class OldSequence(Enum):
    """Members that are iterated with `__getitem__`."""

    A = "first"
    B = "second"

    def __getitem__(self, index: int) -> str:
        return self.value[index]


# Flags


class Access(Flag):
    R = 4
    W = 2
    X = 1
    RW = 6


class MethodFlag(Flag):
    """A flag with own methods."""

    A = 1
    B = 2

    def __or__(self, other: Any) -> Any:
        return "or", other

    def __contains__(self, other: Any) -> bool:
        return other == "anything"

    def __len__(self) -> int:
        return 7


def _bounded(boundary: Any) -> type[Flag]:
    kwargs = {} if boundary is None else {"boundary": boundary}
    return Flag(f"Limited{getattr(boundary, 'name', '')}", {"A": 1, "B": 2, "D": 8}, module=__name__, **kwargs)  # type: ignore[no-any-return,call-overload]


# Python 3.10 has no boundaries.
LIMITED = [_bounded(boundary) for boundary in getattr(enum, "FlagBoundary", [None])]


def _combined(flag: Any) -> list[Any]:
    """Return the empty flag, and a combination that has no name of its own."""
    first, *_, last = flag.__members__.values()
    return [flag(0), first | last]


OWN = [
    Word, Tone, OwnText, OtherText, Raw, Pair, Corner, Group, Ratio, Turn, Rate, Day, Period, Planet,
    Anything, Methods, Ordered, Protocols, Numeric, Indexed, OldSequence,
]  # fmt: skip

OTHER_MEMBERS: dict[str, list[Any]] = {
    **{enum_type.__name__: list(enum_type) for enum_type in OWN},
    "TextChoices": list(Choices),
    "UnhashableEnum": list(Unhashable),
    "Access": [Access.R, Access(0), Access.RW, Access.R | Access.X],
    "MethodFlag": [MethodFlag.A, MethodFlag(0), MethodFlag(3)],
    **{flag.__name__: _combined(flag) for flag in LIMITED},
    "SafeUUID": list(uuid.SafeUUID)[:2],
    "PlistFormat": list(plistlib.PlistFormat)[:2],
    "SortKey": list(pstats.SortKey)[:2],
    **({"HTTPMethod": list(http.HTTPMethod)[:2]} if sys.version_info >= (3, 11) else {}),
}
"""The members to compare by the enum's name, at least two for each enum."""
