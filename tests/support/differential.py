"""The differential comparison: run each operation on a member and on a shared value that is set to it.

It does so for enums of ints, and for all other enums. `python tests/support/differential.py` prints how many of the
outcomes agree, and which of them do not.
"""

from __future__ import annotations

import array
import builtins
import cmath
import collections
import collections.abc
import contextlib
import copy
import datetime
import decimal
import enum
import fractions
import functools
import inspect
import io
import itertools
import json
import math
import numbers
import operator
import os
import pickle
import platform
import pprint
import random
import re
import reprlib
import signal
import statistics
import string
import struct
import textwrap
import typing
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import wrapt
from differential_enums import MEMBERS, OwnArithmetic, OwnEquality, Perm, Plain
from differential_other_enums import OTHER_MEMBERS, Access, Protocols, Tone
from differential_other_operations import METHODS, OTHER_OPERANDS, OTHER_OPERATIONS

from multiprocessing_intenum import EnumValue, IntEnumValue, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEMBERS_OF: dict[type, list[Any]] = {
    type(members[0]): members for members in (*MEMBERS.values(), *OTHER_MEMBERS.values())
}

SMALL = 1024
"""The largest member for operations that take as much memory as the member's number says."""


# Outcomes: (type, value) or (the exception's type,)


def plain(result: Any) -> Any:
    """Return the result in a form that can be compared: shared values become members, also inside containers."""
    kind = type(result)
    if issubclass(kind, EnumValue):
        result = snapshot(result)
        kind = type(result)
    if kind in (list, tuple):
        return kind, [plain(item) for item in result]
    if kind is dict:
        return kind, [(plain(key), plain(value)) for key, value in result.items()]
    if kind in (set, frozenset):
        return kind, sorted((plain(item) for item in result), key=repr)
    if isinstance(result, enum.Enum):
        # Python 3.11 lets date.replace() make an object of the enum that is none of its members.
        return kind, id(result) if hasattr(result, "_name_") else "no member"
    # Compare the text: NaN equals nothing, not even itself, and -0.0 and 1 also equal 0.0 and True.
    return kind, re.sub(r" at 0x[0-9a-fA-F]+", "", repr(result))


def outcome(operation: Callable[..., Any], *operands: Any) -> Any:
    try:
        return plain(operation(*operands))
    except Exception as error:
        return (type(error),)


def agree(expected: Any, actual: Any) -> bool:
    if expected == actual:
        return True
    # An error agrees with the member's error if everything that catches the member's error also catches this one.
    return len(expected) == len(actual) == 1 and issubclass(actual[0], expected[0])


# Operations on the value alone


class Point(typing.NamedTuple):
    x: int
    y: int


@functools.singledispatch
def dispatched(value: object) -> str:
    return "object"


dispatched.register(int)(lambda value: "int")
dispatched.register(Plain)(lambda value: "Plain")
dispatched.register(enum.Enum)(lambda value: "Enum")
dispatched.register(collections.abc.Iterable)(lambda value: "Iterable")


class Descriptor:
    def __get__(self, instance: Any, owner: Any) -> Any:
        return instance


def matched(subject: Any) -> str:
    match subject:
        case []:
            return "empty sequence"
        case [first, *_]:
            return f"sequence from {first}"
        case {"key": _}:
            return "mapping with key"
        case {}:
            return "mapping"
        case str() | bytes() | float():
            return "another type"
        case 0 | -3 | 255:
            return "a literal"
        case Plain.ONE | Perm.RW:
            return "a value"
        case Plain(name="ZERO"):
            return "class with an attribute"
        case enum.IntFlag(value=4):
            return "flag of the value 4"
        case int(number) if number > 3:
            return f"int above three, {number + 1}"
        case enum.IntEnum(name="A" | "B" as name, value=value):
            return f"{name} {value}"
        case int(real=real, imag=0):
            return f"int {real}"
        case _:
            return "anything"


def nested(subject: Any) -> Any:
    match [{"state": subject, "point": Point(subject, subject)}]:
        case [{"state": int(first), "point": Point(x=enum.Enum(name=name), y=second)}]:
            return first, name, second
    return None


def awaited(value: Any) -> Any:
    async def body() -> Any:
        async with value as entered:
            return entered
        return "swallowed"

    coroutine = body()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def entered(value: Any) -> Any:
    with value as inner:
        return inner
    return "swallowed"


def assigned(value: Any) -> Any:
    value.name = "X"


def set_and_delete(value: Any) -> Any:
    value._extra = 1
    del value._extra
    return "done"


def with_item(value: Any) -> Any:
    value[0] = 1


def without_item(value: Any) -> Any:
    del value[0]


def unpacked(value: Any) -> Any:
    first, second = value
    return first, second


def starred(value: Any) -> Any:
    return [*value]


def double_starred(value: Any) -> Any:
    return {**value}


def repeated_in_place(value: Any) -> Any:
    result = alias = [1, 2]
    result *= value
    return result, result is alias


def buffer_repeated_in_place(value: Any) -> Any:
    result = alias = bytearray(b"ab")
    result *= value
    return result, result is alias


def attribute_of_none(value: Any) -> Any:
    return value.no_such_attribute


def logged(value: Any) -> Any:
    stream = io.StringIO()
    print(value, repr(value), sep="|", file=stream)
    return stream.getvalue()


def matrix_kept(value: Any) -> Any:
    class Matrix:
        def __matmul__(self, other: Any) -> Any:
            return "right", int(other)

        def __rmatmul__(self, other: Any) -> Any:
            return "left", int(other)

    return plain(value @ Matrix())[0], plain(Matrix() @ value)[0], repr(value @ Matrix())[:8]


class Left:
    def __add__(self, other: Any) -> Any:
        return NotImplemented

    def __radd__(self, other: Any) -> Any:
        return "radd", other

    def __eq__(self, other: object) -> Any:
        return "eq", other

    def __lt__(self, other: Any) -> Any:
        return "lt", other

    __hash__ = None  # type: ignore[assignment]


def seen_by_reflected(value: Any) -> Any:
    """What the operators of another class get as the other operand."""
    return value + Left(), value == Left(), value > Left()


class Greedy(int):
    def __radd__(self, other: Any) -> Any:
        return "greedy", other

    def __eq__(self, other: object) -> Any:
        return "greedy eq", other

    __hash__ = int.__hash__


def subclass_first(value: Any) -> Any:
    """Python tries the operators of an int subclass on the right first."""
    return value + Greedy(1), value == Greedy(1), Greedy(1) == value


def words(text: str, separator: str | None = None) -> list[str]:
    return text.split(separator)


def call_named(name: str, *arguments: Any) -> Callable[[Any], Any]:
    return lambda value: getattr(value, name)(*arguments)


def formatted(spec: str) -> Callable[[Any], Any]:
    return lambda value: format(value, spec)


def percent(template: str) -> Callable[[Any], Any]:
    return lambda value: template % value


def is_instance(kind: Any) -> Callable[[Any], Any]:
    return lambda value: isinstance(value, kind)


def is_callable_attribute(name: str) -> Callable[[Any], Any]:
    """Whether there is such an attribute, and its value if it is not a method."""

    def operation(value: Any) -> Any:
        attribute = getattr(value, name)
        return "callable" if callable(attribute) else attribute

    return operation


UNARY: dict[str, Callable[[Any], Any]] = {
    # Conversion
    **{
        name: getattr(builtins, name)
        for name in words("""
            bool int float complex str repr ascii hash abs round hex oct bin chr format len iter next list tuple set
            dict frozenset sorted reversed min max sum any all enumerate zip map callable vars memoryview aiter anext
            slice range divmod
        """)
    },
    "int with base": lambda x: int("7", x if 2 <= x <= 36 else 10),
    "int of text": lambda x: int(str(int(x))),
    "int of it with base": lambda x: int(x, 10),
    "float hex": lambda x: float(x).hex(),
    "complex real": lambda x: complex(x, 1),
    "complex imaginary": lambda x: complex(1, x),
    "round 0": lambda x: round(x, 0),
    "round -1": lambda x: round(x, -1),
    "round None": lambda x: round(x, None),
    "round wrong": lambda x: round(x, "1"),
    "type of neg": lambda x: type(-x),
    "Fraction": fractions.Fraction,
    "Fraction of two": lambda x: fractions.Fraction(1, x),
    "length hint": operator.length_hint,
    # Operators
    **{
        f"operator.{name}": getattr(operator, name)
        for name in ("neg", "pos", "abs", "inv", "invert", "index", "not_", "truth")
    },
    "if": lambda x: "yes" if x else "no",
    "and": lambda x: x and 1,
    "or": lambda x: x or 1,
    "chained": lambda x: -1 < x < 300,
    "not": lambda x: not x,
    "attrgetter": operator.attrgetter("name", "real"),
    "itemgetter": operator.itemgetter(0),
    "methodcaller": operator.methodcaller("bit_length"),
    "pow modulus": lambda x: pow(x, 2, 7),
    "pow modulus None": lambda x: pow(x, 2, None),
    "pow zero modulus": lambda x: pow(x, 2, 0),
    "pow base": lambda x: pow(2, x, 5),
    "pow of modulus": lambda x: pow(2, 3, x),
    # Text
    **{
        f"format {spec!r}": formatted(spec)
        for spec in words("|d|5d|x|#x|b|o|c|e|.2f|%|n|,|_|+|08|>12|<12s|s|=+6d|?|d ", "|")
    },
    **{
        f"{template!r} %": percent(template)
        for template in words("%s|%r|%a|%d|%i|%u|%x|%#X|%o|%e|%.1f|%5d-|%-9s-|%c|%s %s|%(name)s|no field|", "|")
    },
    "bytes %d": lambda x: b"%d" % x,
    "% tuple": lambda x: "%s and %5.1f" % (x, x),  # noqa: UP031
    "% dict": lambda x: "%(a)s %(a)d" % {"a": x},  # noqa: UP031
    "% *": lambda x: operator.mod("%*d", (x % 7, 3)),
    "f-string": lambda x: f"{x} {x!r} {x!s} {x!a} {x:>10} {x!s:^9}",
    "f-string d": lambda x: f"{x:d} {x:05d} {x=}",
    "f-string width": lambda x: f"{1:{x % 7}}",
    "str.format": "{0} {0.name} {0.real} {0!r:>20}".format,
    "str.format item": "{0[0]}".format,
    "str.format_map": "{name}".format_map,
    "Template": lambda x: string.Template("$x").substitute(x=x),
    "Template map": lambda x: string.Template("$x").substitute(x),
    "join": lambda x: "".join([x]),
    "print": logged,
    "pprint": pprint.pformat,
    "reprlib": reprlib.repr,
    "textwrap": textwrap.dedent,
    "repr in list": lambda x: repr([x, (x,), {x: x}]),
    "str in list": lambda x: str([x]),
    "str of bytes": lambda x: str(x, "ascii"),
    "translate": lambda x: "abc".translate({97: x % 100}),
    "translate table": "abc".translate,
    "str index": lambda x: "abc"[x % 3],
    "str find": lambda x: "abc".find("c", x % 5),
    "str split": lambda x: "a b c d".split(" ", x % 5),
    "center": lambda x: "a".center(x % 9),
    "re": lambda x: re.compile("a", x).flags if isinstance(x, re.RegexFlag) else None,
    # Math
    **{
        f"math.{name}": getattr(math, name)
        for name in words("""
            floor ceil trunc sqrt exp log log2 log10 sin fabs isfinite isnan isqrt modf frexp gcd lcm degrees
        """)
    },
    "math.gcd 6": lambda x: math.gcd(x, 6),
    "math.pow": lambda x: math.pow(x, 2),
    "math.hypot": lambda x: math.hypot(x, 3),
    "math.copysign": lambda x: math.copysign(2.0, x),
    "math.ldexp": lambda x: math.ldexp(1.0, x),
    "math.prod": lambda x: math.prod([x, 2, x]),
    "math.isclose": lambda x: math.isclose(x, x),
    "math.comb": lambda x: math.comb(5, x),
    "math.fsum": lambda x: math.fsum([x, 0.5]),
    "cmath.sqrt": cmath.sqrt,
    "cmath.phase": cmath.phase,
    "sum": lambda x: sum([x, x], x),
    "min": lambda x: min(x, 10**30),
    "max": lambda x: max(x, 3, key=lambda y: -y),
    "sorted": lambda x: sorted([5, x, -1, x]),
    "bisect": lambda x: sorted([0, 1, 2, 3], key=lambda y: y * x),
    "mean": lambda x: statistics.mean([x, x]),
    "accumulate": lambda x: list(itertools.accumulate([x, x])),
    "reduce": lambda x: functools.reduce(operator.mul, [x, 2]),
    "random": lambda x: random.Random(int(x)).random(),
    "Decimal": lambda x: decimal.Decimal(1) + x,
    # Index
    "list index": lambda x: [10, 20, 30][x],
    "tuple index": lambda x: (10, 20, 30)[x],
    "bytes index": lambda x: b"abc"[x],
    "range index": lambda x: range(5)[x],
    "slice": lambda x: list(range(12))[x:],
    "slice stop": lambda x: "abcdefgh"[:x],
    "slice step": lambda x: (1, 2, 3, 4)[::x],
    "slice three": lambda x: [0, 1, 2, 3][x:x:x],
    "slice indices": lambda x: slice(x).indices(10),
    "slice value": lambda x: slice(x, x),
    "range": lambda x: range(x, 5).start,
    "range of three": lambda x: len(range(0, 10, x)),
    "in range": lambda x: x in range(300),
    "range.index": lambda x: range(300).index(x),
    "range.count": lambda x: range(300).count(x),
    "item assigned": lambda x: [lst := [0, 0, 0], lst.__setitem__(x % 3, x)],
    "del item": lambda x: [lst := [1, 2, 3], lst.__delitem__(x % 3)],
    "list.insert": lambda x: [lst := [1, 2], lst.insert(x % 2, x)],
    "list.pop": lambda x: [1, 2, 3].pop(x % 3),
    "islice": lambda x: list(itertools.islice("abcdef", x % 9)),
    "repeat": lambda x: list(itertools.repeat("a", x % 9)),
    "deque.rotate": lambda x: [d := collections.deque([1, 2, 3]), d.rotate(x % 5)][0],
    # Binary
    "struct q": lambda x: struct.pack("<q", x),
    "struct B": lambda x: struct.pack("B", x),
    "struct d": lambda x: struct.pack("d", x),
    "struct f": lambda x: struct.pack("<f", x),
    "struct ?": lambda x: struct.pack("?", x),
    "struct s": lambda x: struct.pack("s", x),
    "array q": lambda x: array.array("q", [x]),
    "array d": lambda x: array.array("d", [x]),
    "array u": lambda x: array.array("u", x),
    "bytearray item": lambda x: bytearray([x]),
    "bytes of list": lambda x: bytes([x % 256]),
    "to_bytes": lambda x: x.to_bytes(9, "big", signed=True),
    "to_bytes length": lambda x: (1).to_bytes(x % 9, "big"),
    "from_bytes": lambda x: x.from_bytes(b"\1\2", "big"),
    "bit_length": lambda x: x.bit_length(),
    "bit_count": lambda x: x.bit_count(),
    "as_integer_ratio": lambda x: x.as_integer_ratio(),
    "numerator": lambda x: (x.numerator, x.denominator, x.real, x.imag, x.conjugate()),
    # Containers
    "dict key": lambda x: {x: "found"},
    "dict both ways": lambda x: ({int(x): "found"}.get(x), {x: "found"}.get(int(x))),
    "dict of members": lambda x: {m: m.name for m in MEMBERS_OF[x.__class__]}[x],
    "dict update": lambda x: {int(x): 1} | {x: 2},
    "dict.update": lambda x: [d := {}, d.update(x)],
    "set": lambda x: {x, int(x)},
    "in set": lambda x: x in {int(x)},
    "in frozenset": lambda x: int(x) in frozenset([x]),
    "in list": lambda x: (x in [int(x)], int(x) in [x], [x].count(int(x)), [x].index(int(x))),
    "in members": lambda x: list(MEMBERS_OF[x.__class__]).index(x),
    "set operations": lambda x: ({x} | {int(x)}, {x} & {int(x)}, {x} - {int(x)}, {x} ^ {0, 1}),
    "Counter": lambda x: collections.Counter([x, x, int(x)]),
    "defaultdict": lambda x: collections.defaultdict(int, {x: 1})[x],
    "groupby": lambda x: [(k, list(g)) for k, g in itertools.groupby([x, x])],
    "list equality": lambda x: ([x] == [int(x)], (x, 1) == (x, 1), {x: 1} == {x: 1}),
    "unpack": unpacked,
    "star": starred,
    "double star": double_starred,
    "item": lambda x: x[0],
    "slice of it": lambda x: x[1:2],
    "item set": with_item,
    "item del": without_item,
    "contains": lambda x: 1 in x,
    "contains text": lambda x: "A" in x,
    "for": lambda x: [(y,) for y in x],
    "call": lambda x: x(),
    "call with": lambda x: x(1, a=2),
    "with": entered,
    "async with": awaited,
    "fspath": os.fspath,
    "extend": lambda x: [].extend(x),
    "chain": lambda x: list(itertools.chain(x)),
    # Copies
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy in list": lambda x: copy.deepcopy([x, {"a": x}]),
    "copy in list": lambda x: copy.copy([x]),
    # Classes
    "isinstance": lambda x: isinstance(x, type(MEMBERS_OF[x.__class__][0])),
    "__class__": lambda x: (x.__class__.__name__, x.__class__.__mro__[-1]),
    "__class__ is": lambda x: x.__class__ is MEMBERS_OF[x.__class__][0].__class__,
    "isinstance by it": lambda x: isinstance("A", x),
    "issubclass by it": lambda x: issubclass(bool, x),
    "singledispatch": dispatched,
    **{
        f"isinstance {getattr(kind, '__module__', '')}.{kind.__name__}": is_instance(kind)
        for kind in (
            int,
            bool,
            float,
            complex,
            str,
            bytes,
            tuple,
            list,
            dict,
            type,
            object,
            BaseException,
            enum.Enum,
            enum.IntEnum,
            enum.Flag,
            enum.IntFlag,
            Plain,
            Perm,
            OwnEquality,
            numbers.Number,
            numbers.Complex,
            numbers.Real,
            numbers.Rational,
            numbers.Integral,
            contextlib.AbstractContextManager,
            contextlib.AbstractAsyncContextManager,
            os.PathLike,
            typing.SupportsInt,
            typing.SupportsIndex,
            typing.SupportsFloat,
            typing.SupportsAbs,
            typing.SupportsRound,
            typing.SupportsComplex,
            typing.SupportsBytes,
            *(getattr(collections.abc, name) for name in collections.abc.__all__),
            *([enum.ReprEnum] if hasattr(enum, "ReprEnum") else []),
        )
    },
    "isinstance of several": lambda x: isinstance(x, (str, enum.Flag)),
    "isinstance of union": lambda x: isinstance(x, str | int),
    "match": matched,
    "match nested": nested,
    "inspect": lambda x: (inspect.isclass(x), inspect.isroutine(x), inspect.isgenerator(x), inspect.isawaitable(x)),
    "inspect.isdatadescriptor": inspect.isdatadescriptor,
    "inspect.getdoc": inspect.getdoc,
    "inspect.unwrap": inspect.unwrap,
    "doc": lambda x: (x.__doc__, x.__module__),
    # Attributes
    "missing": lambda x: x.missing,
    "missing private": lambda x: x._missing_attribute,
    "getattr default": lambda x: getattr(x, "_no", "default"),
    "hasattr": lambda x: (hasattr(x, "_no"), hasattr(x, "name"), hasattr(x, "real")),
    "name": lambda x: (x.name, x._name_),
    "value": lambda x: (x.value, x._value_),
    "name set": assigned,
    "other members": lambda x: [getattr(x.__class__, name) for name in x.__class__.__members__],
    "vars": vars,
    "label": lambda x: x.label,
    "phrase": lambda x: (x.phrase, x.description),
    "method": lambda x: x.shout(mark="?"),
    "property": lambda x: x.length,
    "class method": lambda x: x.first(),
    "static method": lambda x: x.twice(4),
    "getmembers": lambda x: [name for name, _ in inspect.getmembers(x) if name not in OWN_NAMES],
    **{
        f"hasattr {name}": lambda x, name=name: hasattr(x, name)
        for name in words("""
            __call__ __next__ __await__ __aiter__ __anext__ __fspath__ __get__ __set__ __length_hint__ __missing__
            __array__ __buffer__ __iter__ __len__ __contains__ __getitem__ __setitem__ __delitem__ __reversed__
            __enter__ __exit__ __aenter__ __aexit__ __bytes__ __complex__ __matmul__ __rmatmul__ __iadd__ __wrapped__
            __name__ __qualname__ __instancecheck__ __subclasscheck__ __mro_entries__ __annotations__ __orig_bases__
            __slots__ __weakref__ __del__ __int__ __index__ __float__ __dict__ __self_dict__ __object_proxy__
            __self_setattr__ __class_getitem__ __getattr__ keys items read _asdict dtype __html__ __json__ __fields__
            __dataclass_fields__ __copy__ __deepcopy__ __getnewargs__ __reduce__ __set_name__ __parameters__
        """)
    },
    **{
        f"{name}()": call_named(name)
        for name in words("""
            __repr__ __str__ __hash__ __bool__ __int__ __index__ __float__ __neg__ __pos__ __abs__ __invert__
            __trunc__ __floor__ __ceil__ __round__ __dir__ __call__ __len__ __iter__ __enter__ __copy__
        """)
    },
    "__format__('')": call_named("__format__", ""),
    "__deepcopy__({})": call_named("__deepcopy__", {}),
    "__eq__(1)": call_named("__eq__", 1),
    "__add__(1)": call_named("__add__", 1),
    "__radd__(1)": call_named("__radd__", 1),
    "__eq__('x')": call_named("__eq__", "x"),
    "__lt__('x')": call_named("__lt__", "x"),
    "__add__('x')": call_named("__add__", "x"),
    "__add__(1.5)": call_named("__add__", 1.5),
    "__radd__('x')": call_named("__radd__", "x"),
    # The enum is called or indexed
    "enum call": lambda x: x.__class__(x),
    "enum item": lambda x: x.__class__[x._name_],
    "in enum": lambda x: x in x.__class__,
    "in list of enum": lambda x: x in list(x.__class__),
    "enum members": lambda x: list(x.__class__.__members__.values()).index(x),
    # Other classes' operators
    "matmul of another class": matrix_kept,
    "operators of another class": seen_by_reflected,
    "subclass first": subclass_first,
    # The type's sequence and mapping slots
    "concat": lambda x: operator.concat(x, x),
    "concat list": lambda x: operator.concat([1], x),
    "concat of list": lambda x: operator.concat(x, [1]),
    "iconcat list": lambda x: operator.iconcat([1], x),
    "iconcat": lambda x: operator.iconcat("a", x),
    # Operations that look at the type, or need a real int in C
    "type": lambda x: type(x) is x.__class__,
    "is": lambda x: x is x.__class__._member_map_.get(x._name_, x),
    "json": json.dumps,
    "timedelta": lambda x: datetime.timedelta(microseconds=x),
    "int method": lambda x: int.bit_length(x),
    "Decimal of it": decimal.Decimal,
    # Operations that share, keep or change the value
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "weakref": lambda x: weakref.ref(x)() is x,
    "set attribute": set_and_delete,
    "+= 1.5": lambda x: operator.iadd(x, 1.5),
    # C functions that ask for an index
    "time": lambda x: __import__("time").gmtime(x % 1000).tm_sec,
    "strsignal": lambda x: signal.strsignal(x),
    "getsignal": lambda x: signal.getsignal(x) is not None,
    "Parameter": lambda x: str(inspect.Parameter("a", x)),
    "strerror": lambda x: os.strerror(x % 100),
    "deque": lambda x: collections.deque([1, 2, 3], x % 100),
    "compile flags": lambda x: eval(compile("1", "", "eval", x & 0)),
    "eval locals": lambda x: eval("y", {}, x),
}

# Operations that take as much memory as the member's number says
UNARY_SMALL: dict[str, Callable[[Any], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "bytes %s": lambda x: b"%s" % x,
    "__bytes__()": call_named("__bytes__"),
    "list *=": repeated_in_place,
    "bytearray *=": buffer_repeated_in_place,
    "factorial": math.factorial,
    "perm": lambda x: math.perm(x, 2),
    "list of range": lambda x: list(range(x)),
    "zip of range": lambda x: list(zip(range(x), "abc", strict=False)),
    "ljust": lambda x: "a".ljust(x),
    "format width": lambda x: f"{1:{x}d}",
    "itertools.repeat": lambda x: list(itertools.repeat(0, x)),
    "combinations": lambda x: list(itertools.combinations("ab", x)),
    "BytesIO.read": lambda x: io.BytesIO(b"abc").read(x),
    "shift": lambda x: (1 << x, x << 3, x << x),
    "factor": lambda x: ("ab" * x, x * "ab", [0] * x, x * (1,), b"a" * x),
    "power": lambda x: (2**x, x**2, x**-1, 0.5**x),
}


# Operations on the value and something else

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    **{name: getattr(operator, name) for name in (
        "lt", "le", "eq", "ne", "ge", "gt", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift",
        "rshift", "and_", "or_", "xor", "matmul", "contains", "getitem", "indexOf", "countOf",
    )},
    "divmod": divmod,
    "min of two": min,
    "isclose": math.isclose,
    "in pair": lambda x, y: x in (y,),
    "format by": format,
    "round by": round,
    "getattr by": getattr,
}  # fmt: skip

# In-place operators, only with something else on the left: with a shared value on the left they would write to it.
IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name)
    for name in (
        "iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "ilshift", "irshift", "iand", "ior", "ixor",
        "imatmul",
    )
}  # fmt: skip


class Shade(enum.Enum):
    DARK = 1


class Hostile:
    """Raises its own errors from every operator."""

    def __eq__(self, other: object) -> bool:
        raise LookupError

    def __radd__(self, other: object) -> Any:
        raise LookupError

    __hash__ = None  # type: ignore[assignment]


# Made anew for each operation, because some operations change them.
OTHERS: dict[str, Callable[[], Any]] = {
    "0": lambda: 0,
    "1": lambda: 1,
    "-3": lambda: -3,
    "2**70": lambda: 2**70,
    "True": lambda: True,
    "False": lambda: False,
    "1.5": lambda: 1.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "1j": lambda: 1j,
    "Fraction": lambda: fractions.Fraction(1, 3),
    "Decimal": lambda: decimal.Decimal("2.5"),
    "''": lambda: "",
    "'A'": lambda: "A",
    "'%s'": lambda: "%s",
    "b'%d'": lambda: b"%d",
    "None": lambda: None,
    "list": lambda: [1, 2],
    "tuple": lambda: (1, "A"),
    "set": lambda: {1, 2},
    "dict": lambda: {1: 2},
    "bytearray": lambda: bytearray(b"ab"),
    "array": lambda: array.array("b", [1]),
    "deque": lambda: collections.deque([1]),
    "range": lambda: range(9),
    "Counter": lambda: collections.Counter("a"),
    "object": object,
    "Plain.ONE": lambda: Plain.ONE,
    "Perm.RW": lambda: Perm.RW,
    "Shade": lambda: Shade.DARK,
    "OwnArithmetic.C": lambda: OwnArithmetic.C,
    "OwnEquality.B": lambda: OwnEquality.B,
    "Hostile": Hostile,
    "int": lambda: int,
    "NotImplemented": lambda: NotImplemented,
}


def number_of(value: Any) -> int | None:
    return int.__int__(value) if isinstance(value, int) else None


@dataclass(frozen=True)
class Kind:
    """The enums of one kind, with what their members are compared by."""

    shared: type[EnumValue[Any]]
    members: dict[str, list[Any]]
    operations: dict[str, Callable[[Any], Any]]
    others: dict[str, Callable[[], Any]]
    twins: list[Any]
    """The other operands: members of the same enum (None) and of other enums, some of which define own operators."""


# The shared values are made of IntEnumValue or EnumValue, so that both are tried.
INTS = Kind(IntEnumValue, MEMBERS, UNARY, OTHERS, [None, Plain.ONE, Perm.RW, OwnArithmetic.B, OwnEquality.A])
OTHER_VALUES = Kind(
    EnumValue,
    OTHER_MEMBERS,
    # CPython 3.13.0 itself crashes on a Decimal as the modulus of ints.
    {name: operation for name, operation in (UNARY | OTHER_OPERATIONS).items() if name != "pow of modulus"},
    OTHER_OPERANDS | {"Tone.A": lambda: Tone.A, "Access.RW": lambda: Access.RW, "Hostile": Hostile},
    [None, Tone.A, Access.RW, Protocols.A],
)


def explodes(name: str, left: Any, right: Any) -> bool:
    """Whether the result would fill up the memory."""
    x, y = number_of(left), number_of(right)
    if "lshift" in name:
        return y is not None and y > SMALL
    if "pow" in name:
        return y is not None and abs(y) > SMALL
    if "mul" in name:
        return any(
            number is not None and number > SMALL and isinstance(other, collections.abc.Sequence)
            for number, other in ((x, right), (y, left))
        )
    return name == "round by" and y is not None and abs(y) > SMALL


def twin_of(kind: Kind, member: Any) -> Any:
    """Return the other operand: a member of the same enum, or of another one."""
    members = MEMBERS_OF[type(member)]
    (index,) = (index for index, each in enumerate(members) if each is member)
    return kind.twins[index % len(kind.twins)] or members[0]


# The comparison


@dataclass(frozen=True)
class Comparison:
    kind: Kind
    enum_name: str
    member: Any
    operation: str
    expected: Any
    actual: Any

    @property
    def agrees(self) -> bool:
        return agree(self.expected, self.actual)


def compare_member(kind: Kind, member: Any, status: Any, twin_member: Any, twin: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield each operation's name, its outcome on `member`, and its outcome on `status`, which is set to `member`."""
    for name, operation in kind.operations.items():
        yield name, outcome(operation, member), outcome(operation, status)
    if abs(number_of(member) or 0) <= SMALL:
        for name, operation in UNARY_SMALL.items():
            yield name, outcome(operation, member), outcome(operation, status)
    for attribute in dir(member):
        operation = is_callable_attribute(attribute)
        yield f".{attribute}", outcome(operation, member), outcome(operation, status)
    for name, operation in OPERATORS.items():
        for other_name, make in kind.others.items():
            if not explodes(name, member, make()):
                expected, actual = outcome(operation, member, make()), outcome(operation, status, make())
                yield f"{name}(status, {other_name})", expected, actual
            if not explodes(name, make(), member):
                expected, actual = outcome(operation, make(), member), outcome(operation, make(), status)
                yield f"{name}({other_name}, status)", expected, actual
        for left_name, left_member, left in (("status", member, status), ("twin", twin_member, twin)):
            for right_name, right_member, right in (
                ("itself", member, status),
                ("member", member, member),
                ("twin", twin_member, twin),
                ("twin's member", twin_member, twin_member),
            ):
                if not explodes(name, left_member, right_member):
                    expected = outcome(operation, left_member, right_member)
                    yield f"{name}({left_name}, {right_name})", expected, outcome(operation, left, right)
                if not explodes(name, right_member, left_member):
                    expected = outcome(operation, right_member, left_member)
                    yield f"{name}({right_name}, {left_name})", expected, outcome(operation, right, left)
    for name, operation in IN_PLACE.items():
        for other_name, make in kind.others.items():
            if not explodes(name, make(), member):
                expected, actual = outcome(operation, make(), member), outcome(operation, make(), status)
                yield f"{name}({other_name}, status)", expected, actual


def compare_all(kind: Kind) -> Iterator[Comparison]:
    """Yield all comparisons. Each shared value is made with another member and then set to the one compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for enum_name, members in kind.members.items():
            for index, member in enumerate(members):
                twin_member = twin_of(kind, member)
                before = members[index - 1]
                assert before is not member
                status, twin = kind.shared(before), EnumValue(twin_member)
                status.set(member)
                outcome(object.__reduce_ex__, member, 2)  # adds `__slotnames__` to some classes, which dir() then lists
                for operation, expected, actual in compare_member(kind, member, status, twin_member, twin):
                    yield Comparison(kind, enum_name, member, operation, expected, actual)
                assert snapshot(status) is member, "no operation above is a write"


KINDS = {"enums of ints": INTS, "other enums": OTHER_VALUES}


# Where it ends


@dataclass(frozen=True)
class Deviation:
    """A difference that is intended or unavoidable. `pins` maps operations to what a shared value does instead."""

    what: str
    pins: dict[str, Callable[[Any], Any]]


def says(answer: Any) -> Callable[[Any], Any]:
    return lambda member: answer


def raises(error: type[Exception]) -> Callable[[Any], Any]:
    def operation(member: Any) -> Any:
        raise error

    return operation


def refused(*names: str, by: type[Exception] = TypeError) -> dict[str, Callable[[Any], Any]]:
    return dict.fromkeys(names, raises(by))


class Present:
    """Stands for any outcome: the class of the shared value has such an attribute, whatever its value."""


PROTOCOLS = ["iter", "len", "contains", "reversed", "enter", "exit", "aenter", "aexit"]
OWN_NAMES = ["set", "get_lock", "EnumType"]
CLASS_NAMES = [
    "__slots__", "__annotations__", "__annotate_func__", "__orig_bases__", "__firstlineno__", "__static_attributes__",
    "__class_getitem__", "__getattr__", "__object_proxy__", "__self_setattr__", "__self_dict__", "__conform__",
]  # fmt: skip

# The rows for all enums, and for enums of ints the only ones. First what users meet. A row without an operation has a
# test of its own.
DEVIATIONS = [
    Deviation(
        "`type(status)`, `is`",
        dict.fromkeys(("type", "is", "class of it", "is_dataclass"), says(False)) | refused("mean", "asdict"),
    ),
    Deviation(
        "`json.dumps(status)`",
        refused("json", "json list", "json key", "timedelta", "int method", "Decimal of it", "math.ldexp")
        | refused("round by(Decimal, status)"),
    ),
    Deviation("`status += 1`", {"+= 1.5": raises(TypeError)}),
    Deviation(r"`flags \|= Perm.W` in a function", {}),
    Deviation("`pickle.dumps(status)`", {"pickle": raises(RuntimeError)}),
    Deviation("`status.attribute = 1`", {"set attribute": raises(AttributeError)}),
    Deviation(
        "`status.set`, `dir(status)`",
        {"__dir__()": lambda member: sorted({*dir(member), "set", "get_lock"})}
        | {f".{name}": says(Present) for name in OWN_NAMES},
    ),
    Deviation("`OtherFlag(status)`", {}),
    Deviation("`WorkerStatusEnum(status)`", {"enum call": lambda member: member.__class__(Stranger(member))}),
    Deviation(
        '`hasattr(status, "__iter__")`',
        {f"hasattr __{name}__": says(True) for name in PROTOCOLS}
        | {f"__{name}__()": raises(TypeError) for name in PROTOCOLS},
    ),
    Deviation(
        '`hasattr(status, "__matmul__")`',
        {f"hasattr __{name}__": says(True) for name in ("matmul", "rmatmul", "iadd", "copy", "deepcopy")}
        | {"__copy__()": copy.copy, "__deepcopy__({})": copy.deepcopy},
    ),
    Deviation(
        "`isinstance(status, typing.SupportsBytes)`",
        {f"isinstance typing.Supports{name}": says(True) for name in ("Bytes", "Complex")}
        | {f"hasattr __{name}__": says(True) for name in ("bytes", "complex")}
        | {"bytes %s": bytes, "__bytes__()": bytes, "%b of it": bytes}
        | {"int.from_bytes": lambda member: int.from_bytes(bytes(member), "big")},
    ),
    Deviation(
        "`isinstance(status, collections.abc.Iterable)`",
        {
            f"isinstance collections.abc.{name}": says(True)
            for name in ("Iterable", "Reversible", "Container", "Collection")
        }
        | {"__iter__()": iter},
    ),
    Deviation(
        '`"text" % status`',
        {
            "'no field' %": says("no field"),
            "'' %": says(""),
            "mod('', status)": says(""),
            "mod('A', status)": says("A"),
            "mod(bytearray, status)": says(bytearray(b"ab")),
            "imod('', status)": says(""),
            "imod('A', status)": says("A"),
            "imod(bytearray, status)": says(bytearray(b"ab")),
            "concat": lambda member: member + member,
        },
    ),
    Deviation("`pow(2, status, 5)`", {"pow base": raises(TypeError), "pow of modulus": raises(TypeError)}),
    Deviation(
        "`1.5 > status`",
        {f"gt({number}, status)": lambda member, x=number: member < float(x) for number in ("1.5", "nan", "inf")}
        | {"eq(Tone.A, status)": lambda member: member == "A", "in pair(status, Tone.A)": lambda member: member == "A"},
    ),
    Deviation(
        '`status.__add__("x")`',
        {
            "__eq__('x')": lambda member: member == "x",
            "__lt__('x')": lambda member: member < "x",
            "__add__('x')": lambda member: member + "x",
            "__radd__('x')": lambda member: "x" + member,
            "__add__(1.5)": lambda member: member + 1.5,
            "__index__()": operator.index,
            "__eq__(1)": lambda member: member == 1,
            "__add__(1)": lambda member: member + 1,
            "__radd__(1)": lambda member: 1 + member,
        },
    ),
    Deviation(
        "`status.__slots__`",
        {f"hasattr {name}": says(True) for name in CLASS_NAMES} | {f".{name}": says(Present) for name in CLASS_NAMES},
    ),
    Deviation("`weakref.ref(status)`", {"weakref": says(True)}),
    Deviation("`proxy += status` of another `wrapt.ObjectProxy`", {}),
]


class StandIn:
    """Has the conversions that a shared value of text has, and is no real str, tuple or number, as a shared value."""

    def __init__(self, member: Any) -> None:
        self.member = member

    def __repr__(self) -> str:
        return repr(self.member)

    def __str__(self) -> str:
        return str(self.member)

    def __format__(self, spec: str) -> str:
        return format(self.member, spec)

    def __getitem__(self, key: object) -> Any:
        return self.member[key]

    def __int__(self) -> int:
        return int(self.member)

    def __float__(self) -> float:
        return float(self.member)

    def __complex__(self) -> complex:
        return complex(self.member)


def stand_in(*names: str) -> dict[str, Callable[[Any], Any]]:
    """Return pins: the operation on a shared value does what it does with a stand-in."""
    return {name: lambda member, name=name: OTHER_VALUES.operations[name](StandIn(member)) for name in names}


def stand_in_for_operands(*names: str) -> dict[str, Callable[[Any], Any]]:
    """Return the same for an operation on the value and something else."""
    pins: dict[str, Callable[[Any], Any]] = {}
    sides: dict[str, Callable[[Any], Any]] = {
        "itself": StandIn,
        "status": StandIn,
        "member": lambda member: member,
        "twin": lambda member: StandIn(twin_of(OTHER_VALUES, member)),
        "twin's member": lambda member: twin_of(OTHER_VALUES, member),
        **{other: lambda member, make=make: make() for other, make in OTHER_VALUES.others.items()},
    }
    for name in names:
        operation = (OPERATORS | IN_PLACE)[name]
        for (left_name, left), (right_name, right) in itertools.product(sides.items(), repeat=2):
            pins[f"{name}({left_name}, {right_name})"] = lambda member, operation=operation, left=left, right=right: (
                operation(left(member), right(member))
            )
    return pins


TEMPLATES = [name for name in UNARY if name.endswith("' %")]

# The additional rows for enums whose members are no ints.
OTHER_DEVIATIONS = [
    Deviation(
        '`"".join([status])`, `status in "text"`',
        refused(*(f"text.{name}(status{more})" for name in METHODS for more in ("", ", '-'")))
        | refused("join", "join of items", "in text", "startswith tuple", "replace by", "translated to")
        | refused("maketrans", "encode", "decode", "bytes to str by it", "bytes encoding", "center fill", "iconcat")
        | refused("flag in")
        | stand_in_for_operands("contains"),
    ),
    Deviation("`str.upper(status)`", refused(*(f"str.{name}(status)" for name in METHODS))),
    Deviation(
        "`open(status)`, `os.path.join(status, name)`",
        refused("open", "stat", "fspath", "Path", "Path /", "Path.joinpath", "truediv(Path, status)")
        | refused("itruediv(Path, status)", "list2cmdline")
        | refused(*(name for name in OTHER_OPERATIONS if name.startswith("os."))),
    ),
    Deviation(
        "`re.match(status, text)`, `int(status, 16)`",
        refused(*(name for name in OTHER_OPERATIONS if name.startswith(("re ", "re."))))
        | refused("int base", "int of it with base", "Fraction", "float.fromhex", "fromhex")
        | refused("json.loads", "strptime", "fromisoformat", "time.strftime", "StringIO", "StringIO.write")
        | refused(
            "codecs", "normalize", "fnmatch", "shlex.quote", "string.Formatter of it", "array u", "combine", "textwrap"
        ),
    ),
    Deviation(
        "`format(1, status)`, `getattr(x, status)`",
        refused("format template", "getattr by it", "attrgetter by it", "eval", "type name")
        | stand_in_for_operands("format by", "getattr by"),
    ),
    Deviation(
        "`csv.writer(file).writerow([status])`",
        {name: lambda member, name=name: OTHER_OPERATIONS[name](str(member)) for name in ("csv", "json default")},
    ),
    Deviation(
        '`"%d" % status`, `math.sqrt(status)`',
        stand_in(*(name for name in UNARY if name.startswith(("math.", "cmath."))))
        | stand_in("complex real", "complex imaginary", "bytes %d", "% tuple", "% dict", "array d", "struct d")
        | stand_in("struct f", "%d of it", "%f of it", "%c of it")
        | stand_in(*(name for name in TEMPLATES if name[-4] in "diuefc" or name == "'%5d-' %"))
        | stand_in_for_operands("isclose"),
    ),
    Deviation(
        '`"%s" % status`',
        stand_in(*TEMPLATES, "% alone", "%s %s") | stand_in_for_operands("mod", "imod"),
    ),
    Deviation("`match` with a sequence pattern", {"match": says("anything"), "match literal": says("tuple")}),
    Deviation(
        '`struct.pack("4s", status)`',
        refused("struct", "struct s", by=struct.error)
        | refused("struct q", "struct B")
        # Before Python 3.12 no class that is written in Python has a buffer.
        | refused("struct.unpack", "bytes concatenated", "memoryview", "memoryview bytes", "BytesIO", "str of bytes")
        | refused("sha256", "crc32", "b64encode", "b64decode", "add(bytearray, status)", "iadd(bytearray, status)"),
    ),
    Deviation(
        "`sum([status], status)`",
        {
            "sum": lambda member: member + member + member,
            "bytearray": lambda member: bytearray(iter(member)),
            "array": lambda member: array.array("b", iter(member)),
        },
    ),
    Deviation(
        "`isinstance(status, typing.SupportsInt)`",
        {f"isinstance typing.Supports{name}": says(True) for name in words("Int Index Float Abs Round")}
        | {"hasattr __int__": says(True), "hasattr __float__": says(True)}
        | {"__int__()": int, "__float__()": float, "__bool__()": bool}
        | {"__floor__()": math.floor, "__ceil__()": math.ceil},
    ),
    Deviation(
        "`member == status`",
        refused("in list of enum", "in members", "enum members", "dict of members")
        | refused(*(f"eq({left}, {right})" for left in ("member", "twin's member") for right in ("status", "twin")))
        | refused(*(f"in pair({one}, {other})" for one in ("status", "twin") for other in ("member", "twin's member"))),
    ),
]


class Stranger:
    """Has the member's hash and equals nothing. An enum's own lookup table treats a shared value the same way."""

    def __init__(self, member: Any) -> None:
        self.member = member

    def __hash__(self) -> int:
        return hash(self.member)

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return repr(self.member)


def row_of(comparison: Comparison) -> Deviation | None:
    """Return the row that allows exactly this deviation, or None."""
    rows = DEVIATIONS if comparison.kind is INTS else [*DEVIATIONS, *OTHER_DEVIATIONS]
    for row in rows:
        if comparison.operation in row.pins:
            pinned = outcome(row.pins[comparison.operation], comparison.member)
            if agree(pinned, comparison.actual) or (pinned == plain(Present) and len(comparison.actual) == 2):
                return row
    return None


def environment() -> str:
    implementation = "pure Python" if os.environ.get("WRAPT_DISABLE_EXTENSIONS") else "C"
    return f"CPython {platform.python_version()}, wrapt {wrapt.__version__} in {implementation}"


@functools.cache
def results(kind: str) -> tuple[int, list[Comparison]]:
    """Return the number of comparisons, and those that do not agree."""
    total, different = 0, []
    for comparison in compare_all(KINDS[kind]):
        total += 1
        if not comparison.agrees:
            different.append(comparison)
    return total, different


def summary(kind: str) -> str:
    total, different = results(kind)
    pinned = sum(row_of(comparison) is not None for comparison in different)
    return (
        f"{environment()}, {len(KINDS[kind].members)} {kind}: {total - len(different)} agreements of {total}, "
        f"{pinned} deviations in pinned rows, {len(different) - pinned} others"
    )


def describe(comparison: Comparison) -> str:
    return (
        f"{comparison.operation} of {comparison.enum_name}.{comparison.member._name_}: "
        f"{comparison.expected}, but a shared value: {comparison.actual}"
    )


if __name__ == "__main__":
    for kind in KINDS:
        print(summary(kind))
        for comparison in results(kind)[1]:
            if row_of(comparison) is None:
                print(" ", describe(comparison))
