"""What the differential test adds for members that are no ints: the operations on text, bytes, tuples and dates."""

from __future__ import annotations

import array
import ast
import base64
import calendar
import codecs
import collections
import configparser
import contextlib
import csv
import dataclasses
import datetime
import decimal
import difflib
import fnmatch
import functools
import hashlib
import html
import io
import itertools
import json
import keyword
import logging
import operator
import os
import pathlib
import re
import shlex
import sqlite3
import string
import struct
import subprocess
import sys
import textwrap
import types
import unicodedata
import urllib.parse
import uuid
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "idle and a %s, low, 42; A 7"
METHODS = [name for name in dir(str) if not name.startswith("_")]
BYTES_METHODS = [name for name in dir(bytes) if not name.startswith("_")]


def method(name: str, *arguments: Any) -> Callable[[Any], Any]:
    return lambda value: getattr(value, name)(*arguments)


def given_to(receiver: Any, name: str, *more: Any) -> Callable[[Any], Any]:
    return lambda value: getattr(receiver, name)(value, *more)


def stored(value: Any) -> Any:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute("select ?, typeof(?)", (value, value)).fetchone()


def written(value: Any) -> Any:
    file = io.StringIO()
    file.write(value)
    return file.getvalue()


def row_of_csv(value: Any) -> Any:
    file = io.StringIO()
    csv.writer(file).writerow([value, 1])
    return file.getvalue()


def logged(value: Any) -> Any:
    record = logging.LogRecord("name", logging.INFO, "path", 1, "%s %r", (value, value), None)
    return record.getMessage()


def logged_alone(value: Any) -> Any:
    return logging.LogRecord("name", logging.INFO, "path", 1, value, (), None).getMessage()


def parsed_config(value: Any) -> Any:
    parser = configparser.ConfigParser()
    parser["section"] = {"key": value}
    return parser["section"]["key"]


def opened(value: Any) -> Any:
    if hasattr(value, "__index__"):
        return "it would be the number of an open file, such as stdout"
    with open(value) as file:
        return file.name


def by_literal(subject: Any) -> str:
    match subject:
        case "idle" | "A" | "DR":
            return "a literal"
        case b"ab":
            return "bytes"
        case (1, second):
            return f"a pair with {second}"
        case str(text):
            return f"text {text!r}"
        case tuple():
            return "tuple"
        case float(number):
            return f"float {number}"
        case datetime.date(year=year, month=2):
            return f"February of {year}"
        case None:
            return "None"
        case _:
            return "anything"


def keywords(**given: Any) -> Any:
    return given


def arguments(*given: Any) -> Any:
    return given


OTHER_OPERATIONS: dict[str, Callable[[Any], Any]] = {
    # The value and what its member has as value
    "== value": lambda x: (x == x.value, x.value == x, x != x.value, x.value != x),
    "< value": lambda x: (x < x.value, x.value < x, x <= x.value, x.value <= x),
    "in values": lambda x: (x in [x.value], x.value in [x], x in (x.value,)),
    "in set of values": lambda x: (x in {x.value}, x.value in {x}),
    "look-up by value": lambda x: {x: "found"}.get(x.value),
    "look-up in values": lambda x: {x.value: "found"}.get(x),
    "look-up raised": lambda x: {}[x],
    "set of value": lambda x: len({x, x.value}),
    "sorted values": lambda x: sorted([x, x.value, x]),
    "sorted two": lambda x: sorted([x, x]),
    "sorted by value": lambda x: sorted([x, x], key=operator.attrgetter("value")),
    "min values": lambda x: (min(x, x.value), max(x.value, x), min([x]), max(x, x)),
    "sorted text": lambda x: sorted([x, "b", "a", "z"]),
    "max text": lambda x: (max(x, "a"), min("a", x)),
    "enum of value": lambda x: x.__class__(x.value),
    "hash of value": lambda x: (hash(x) == hash(x.value), hash(x)),
    "hash in tuple": lambda x: hash((x, 1)) == hash((x.value, 1)),
    "frozenset of two": lambda x: frozenset([x, x]),
    "Counter of values": lambda x: collections.Counter([x, x.value]),
    "remove": lambda x: [values := [x.value], values.remove(x)],
    "index": lambda x: ([0, x].index(x), (x, x.value).index(x.value)),
    "dict merged": lambda x: {x: 1} | {x.value: 2},
    "keyword": lambda x: keywords(status=x),
    "partial": lambda x: functools.partial(arguments, x)(1),
    "lru_cache": lambda x: functools.lru_cache(arguments)(x),
    "reduce add": lambda x: functools.reduce(operator.add, [x, x, x]),
    "members in it": lambda x: list(x) if isinstance(x, (str, tuple)) else x in list(x.__class__),
    "match literal": by_literal,
    "match text": lambda x: by_literal((1, x)),
    "_ignore_": lambda x: (x._name_, x._value_, x._sort_order_),
    "class of it": lambda x: x.__class__[x.name] is x,
    "namespace": lambda x: types.SimpleNamespace(status=x),
    "density": lambda x: (x.density(), x.weight),
    # Text: as the receiver
    **{f"status.{name}()": method(name) for name in METHODS},
    **{f"status.{name}('l')": method(name, "l") for name in METHODS},
    **{f"status.{name}(2)": method(name, 2) for name in METHODS},
    **{f"status.{name}('l', 'xy')": method(name, "l", "xy") for name in METHODS},
    "join separator": lambda x: x.join(["a", "b"]),
    "join separator of itself": lambda x: x.join([x.value, x.value]),
    "formatted itself": lambda x: x.format(1, a=2),
    "str % 1": lambda x: x % 1,
    "str % tuple": lambda x: x % (1,),
    "twice": lambda x: (x * 2, 2 * x),
    "slices": lambda x: (x[0], x[-1], x[1:], x[::-1], x[:2]),
    "contains items": lambda x: ("l" in x, "" in x, "zz" in x),
    "contains itself": lambda x: x in x,
    "contains value": lambda x: x.value in x,
    "plus": lambda x: x + "!",
    "plus in front": lambda x: "!" + x,
    "plus itself": lambda x: x + x,
    "plus bytes": lambda x: (x + b"!", b"!" + x),
    "plus tuple": lambda x: (operator.add(x, (1,)), operator.add((1,), x)),
    "bytes concatenated": lambda x: b"".join([x, x]),
    "reversed items": lambda x: list(reversed(x)),
    "enumerate items": lambda x: list(enumerate(x)),
    "zip items": lambda x: list(zip(x, x, strict=True)),
    "star arguments": lambda x: arguments(*x),
    "star twice": lambda x: [*x, *x],
    "set of it": lambda x: sorted(set(x)),
    "Counter of it": lambda x: collections.Counter(x),
    "deque of it": lambda x: collections.deque(x, 2),
    "cycle": lambda x: list(itertools.islice(itertools.cycle(x), 5)),
    "isascii": lambda x: (x.isascii(), x.isupper()),
    # Text: as an argument of a real str
    **{f"text.{name}(status)": given_to(TEXT, name) for name in METHODS},
    **{f"text.{name}(status, '-')": given_to(TEXT, name, "-") for name in METHODS},
    **{f"str.{name}(status)": given_to(str, name) for name in METHODS},
    "in text": lambda x: x in TEXT,
    "startswith tuple": lambda x: TEXT.startswith((x, "zz")),
    "replace by": lambda x: TEXT.replace("low", x),
    "replaced": lambda x: TEXT.replace("a", "b", x),
    "join of it": lambda x: "-".join(x),
    "join of items": lambda x: ", ".join(["a", x]),
    "join of text": lambda x: ", ".join(["a", str(x)]),
    "translated to": lambda x: "abc".translate({97: x}),
    "maketrans": lambda x: str.maketrans("a", x),
    "encode": lambda x: "a".encode(x),
    "decode": lambda x: b"a".decode("ascii", x),
    "bytes to str by it": lambda x: str(b"a", x),
    "center fill": lambda x: "a".center(9, x),
    # Formatting
    "f-string text": lambda x: f"{x} {x!s} {x!r} {x:>20} {x:<9s}| {x!s:.1}",
    "format s": lambda x: (format(x), format(x, "s"), format(x, "10"), f"{x:^12}"),
    "str.format items": "{0} {0!r} {0:>9}".format,
    "str.format attribute": "{0.name} {0.value}".format,
    "str.format dict": lambda x: "{x} {x!r}".format_map({"x": x}),
    "format template": lambda x: format(1, x),
    "string.Formatter": lambda x: string.Formatter().format("{} {:>9}", x, x),
    "string.Formatter of it": lambda x: string.Formatter().format(x, 1),
    "string.Template of it": lambda x: string.Template(x).template,
    "% text": lambda x: operator.mod("%s|%r|%10s", (x, x, x)),
    "% alone": lambda x: operator.mod("%s", x),
    "% dict of it": lambda x: operator.mod("%(x)s", {"x": x}),
    "%d of it": lambda x: operator.mod("%d", (x,)),
    "%f of it": lambda x: operator.mod("%.1f", (x,)),
    "%c of it": lambda x: operator.mod("%c", (x,)),
    "%b of it": lambda x: b"%b" % (x,),
    "%s %s": lambda x: operator.mod("%s %s", x),
    "exception": lambda x: str(ValueError(x)),
    "log": logged,
    "log alone": logged_alone,
    "print to": lambda x: print(x, file=(file := io.StringIO())) or file.getvalue(),
    # Numbers out of it
    "int base": lambda x: int(x, 16),
    "float.fromhex": float.fromhex,
    "literal_eval": ast.literal_eval,
    "sum of it": lambda x: sum(x),
    "divided": lambda x: (x / 2, x * 2, x - x, -x, abs(x), x // 1),
    "compared with 1": lambda x: (x < 1, x >= 1, x > 0.25),
    "is_integer": lambda x: (x.is_integer(), x.hex(), x.as_integer_ratio()),
    # Files
    "os.path.join": lambda x: os.path.join("a", x),
    "os.path.join of it": lambda x: os.path.join(x, "a"),
    "os.path.basename": os.path.basename,
    "os.path.splitext": os.path.splitext,
    "os.path.exists": lambda x: os.path.exists(x),
    "os.fsencode": os.fsencode,
    "open": opened,
    "stat": os.stat,
    "Path": pathlib.PurePosixPath,
    "Path /": lambda x: pathlib.PurePosixPath("a") / x,
    "/ Path": lambda x: x / pathlib.PurePosixPath("a"),
    "Path.joinpath": lambda x: pathlib.PurePosixPath("a").joinpath("b", x),
    "getenv": os.getenv,
    "environ": lambda x: os.environ.get(x, "default"),
    "fnmatch": lambda x: (fnmatch.fnmatch(x, "i*"), fnmatch.fnmatch("idle", x)),
    "shlex.quote": shlex.quote,
    "list2cmdline": lambda x: subprocess.list2cmdline(["a", x]),
    # Libraries that read text or bytes
    "json list": lambda x: json.dumps([x]),
    "json key": lambda x: json.dumps({x: 1}),
    "json default": lambda x: json.dumps([x], default=str),
    "json.loads": json.loads,
    "re pattern": lambda x: re.match(x, TEXT).group(),  # type: ignore[union-attr]
    "re.compile": lambda x: re.compile(x).pattern,
    "re.sub": lambda x: re.sub("a", x, "cat"),
    "re subject": lambda x: re.match(".", x).group(),  # type: ignore[union-attr]
    "re.split": lambda x: re.split("[a-f]", x),
    "re.escape": re.escape,
    "csv": row_of_csv,
    "StringIO": lambda x: io.StringIO(x).read(),
    "StringIO.write": written,
    "BytesIO": lambda x: io.BytesIO(x).read(),
    "config": parsed_config,
    "sqlite3": stored,
    "textwrap.wrap": lambda x: textwrap.wrap(x, 3),
    "indent": lambda x: textwrap.indent(x, "  "),
    "difflib": lambda x: difflib.get_close_matches(x, ["idle", "low"]),
    "html": html.escape,
    "urlencode": lambda x: urllib.parse.urlencode({"status": x}),
    "quote": urllib.parse.quote,
    "urljoin": lambda x: urllib.parse.urljoin("http://a/b", x),
    "urlsplit": urllib.parse.urlsplit,
    "normalize": lambda x: unicodedata.normalize("NFC", x),
    "codecs": codecs.lookup,
    "keyword list": lambda x: keyword.iskeyword(x),
    "sha256": lambda x: hashlib.sha256(x).hexdigest(),
    "crc32": lambda x: zlib.crc32(x),
    "b64encode": base64.b64encode,
    "b64decode": base64.b64decode,
    "fromhex": bytes.fromhex,
    "struct": lambda x: struct.pack("4s", x),
    "struct.unpack": lambda x: struct.unpack("2s", x),
    "memoryview bytes": lambda x: bytes(memoryview(x)),
    "bytearray of it": lambda x: bytearray(b"ab").extend(x),
    "bytes encoding": lambda x: bytes(x, "ascii"),
    "array": lambda x: array.array("b", x),
    "int.from_bytes": lambda x: int.from_bytes(x, "big"),
    "UUID": uuid.UUID,
    "intern": sys.intern,
    "getattr by it": lambda x: getattr(object(), x, "default"),
    "attrgetter by it": lambda x: operator.attrgetter(x)(object()),
    "type name": lambda x: type(x, (), {}).__name__,
    "namedtuple": lambda x: collections.namedtuple("Made", x)._fields,  # type: ignore[misc]  # noqa: PYI024
    "eval": lambda x: eval(x, {"idle": 1}),
    "import": lambda x: __import__("no_such_" + x),
    # Tuples
    "unpack pair": lambda x: [(first, second) for first, second in [x]],
    "dict of pair": lambda x: dict([x]),
    "namedtuple fields": lambda x: (x.x, x._asdict(), x._fields),
    "tuple ==": lambda x: (x == (1, 2), operator.eq((1, 2), x), x < (2,), operator.gt((2,), x)),
    "divmod of it": lambda x: divmod(*x),
    "list of it": lambda x: [1, *x],
    "extended": lambda x: [letters := [0], letters.extend(x)],
    "slice assigned": lambda x: [letters := [0, 1], letters.__setitem__(slice(0, 1), x)],
    "dict.fromkeys": dict.fromkeys,
    "1 in it": lambda x: 1 in x,
    "set operators": lambda x: (x | {9}, {9} | x, x & {1}, {1} & x, x - {1}, {1} - x, x ^ {1}),
    "set methods": lambda x: ({9}.union(x), {1, 9}.difference(x), {1}.issubset(x), {1}.isdisjoint(x)),
    "set update": lambda x: [kept := {1, 9}, kept.update(x)],
    "subset": lambda x: (x <= {1, 2, 3}, {1} < x, x > {1}),
    # Dates
    "date": lambda x: (x.year, x.isoformat(), x.weekday(), x.toordinal()),
    "date replaced": lambda x: x.replace(day=2),
    "strftime": lambda x: f"{x:%Y-%m} {x.strftime('%d')}",
    "date - date": lambda x: (x - datetime.date(2024, 1, 1), datetime.date(2024, 3, 1) - x),
    "date + timedelta": lambda x: (x + datetime.timedelta(1), datetime.timedelta(1) + x, x - datetime.timedelta(1)),
    "date <": lambda x: (x < datetime.date(2024, 1, 2), datetime.date(2024, 1, 2) < x),
    "date ==": lambda x: (x == datetime.date(2024, 1, 1), datetime.date(2024, 1, 1) == x),
    "combine": lambda x: datetime.datetime.combine(x, datetime.time(1)),
    "datetime - timedelta": lambda x: (datetime.datetime(2024, 1, 1) - x, datetime.datetime(2024, 1, 1) + x),
    "timedelta operators": lambda x: (x + datetime.timedelta(1), datetime.timedelta(1) - x, x * 2, x / x, x // 2),
    "timedelta compared": lambda x: (x < datetime.timedelta(2), datetime.timedelta(2) > x, x.total_seconds()),
    "strptime": lambda x: datetime.datetime.strptime("2024", x),
    "time.strftime": lambda x: datetime.date(2024, 1, 1).strftime(x),
    "fromisoformat": datetime.date.fromisoformat,
    "monthrange": lambda x: calendar.monthrange(x.year, x.month),
    # Dataclasses and other classes
    "is_dataclass": dataclasses.is_dataclass,
    "asdict": dataclasses.asdict,
    "fields": lambda x: [field.name for field in dataclasses.fields(x)],
    **{
        f"isinstance {kind.__name__}": lambda x, kind=kind: isinstance(x, kind)
        for kind in (datetime.date, datetime.timedelta, decimal.Decimal, frozenset, bytearray, type(None))
    },
    # Flags
    "flag bits": lambda x: (x | x, x & x, x ^ x, ~x, x in x),
    "flag with R": lambda x: [x | other for other in x.__class__] + [other & x for other in x.__class__],
    "flag contains": lambda x: [other in x for other in x.__class__],
    "flag in": lambda x: [x in other for other in x.__class__],
    "flag iterated": lambda x: list(x),
    "flag len": lambda x: (len(x), bool(x)),
}

OTHER_OPERANDS: dict[str, Callable[[], Any]] = {
    "2": lambda: 2,
    "1.5": lambda: 1.5,
    "Decimal": lambda: decimal.Decimal("2.5"),
    "''": lambda: "",
    "'A'": lambda: "A",
    "'idle'": lambda: "idle",
    "'%s'": lambda: "%s",
    "b'%d'": lambda: b"%d",
    "b'ab'": lambda: b"ab",
    "None": lambda: None,
    "list": lambda: [1, 2],
    "tuple": lambda: (1, "A"),
    "set": lambda: {1, 2},
    "dict": lambda: {1: 2},
    "bytearray": lambda: bytearray(b"ab"),
    "UserString": lambda: collections.UserString("low"),
    "date": lambda: datetime.date(2024, 1, 31),
    "timedelta": lambda: datetime.timedelta(1),
    "Path": lambda: pathlib.PurePosixPath("a"),
    "object": object,
}
