"""The libraries that users hand their state to: what each does with it, and that docs/compatibility.md says just that.

`python tests/compat/test_libraries.py` prints the tables for that page.
"""

import copy
import csv
import dataclasses
import datetime
import decimal
import enum
import functools
import io
import json
import logging.handlers
import os
import pickle
import queue
import re
import runpy
import sqlite3
import struct
import sys
import types
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import django
import loguru
import msgspec
import numpy as np
import orjson
import pandas as pd
import pydantic
import pydantic_core
import pytest
import sqlalchemy
import structlog
from django.conf import settings
from sqlalchemy import orm

from multiprocessing_intenum import EnumAttribute, EnumValue, IntEnumAttribute, IntEnumValue, snapshot

settings.configure()
django.setup()
loguru.logger.remove()  # its handler that writes to stderr

from django.db import models  # noqa: E402
from django.template import Context, Engine  # noqa: E402
from django.utils import translation  # noqa: E402
from rest_framework import renderers, serializers  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = ["with_attrs.py", "with_pydantic.py"]


class Status(models.IntegerChoices):
    """An IntEnum as any other; what it has beyond that is for the rows of Django."""

    UNAVAILABLE = 1, "Out of service"
    IDLE = 2, "Ready"
    CALCULATING = 3, "Busy"


class SharedStatus(IntEnumValue[Status]):
    pass


BEFORE, AFTER = Status.IDLE, Status.CALCULATING

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:

    class StrEnum(str, enum.Enum):
        __str__ = str.__str__


class Priority(StrEnum):
    LOW = "low"
    HIGH = "high"


class SharedPriority(EnumValue[Priority]):
    pass


class Size(models.TextChoices):
    SMALL = "S", "Small"
    LARGE = "L", "Large"


class SharedSize(EnumValue[Size]):
    pass


class Mood(enum.Enum):
    """An enum whose members are nothing else."""

    GOOD = "good"
    BAD = ("bad", 1)


class SharedMood(EnumValue[Mood]):
    pass


class State:
    status = IntEnumAttribute(SharedStatus)

    def __init__(self, member):
        self.status = member


class PriorityState(State):
    status = EnumAttribute(SharedPriority)


class SizeState(State):
    status = EnumAttribute(SharedSize)


class MoodState(State):
    status = EnumAttribute(SharedMood)


@dataclasses.dataclass(frozen=True)
class Kind:
    """An enum by the class of its shared values, a class with an attribute of it, and the states around a change."""

    shared: Any
    state: Any
    before: Any
    after: Any


NUMBERS = Kind(SharedStatus, State, BEFORE, AFTER)
TEXTS = Kind(SharedPriority, PriorityState, Priority.LOW, Priority.HIGH)
CHOICES = Kind(SharedSize, SizeState, Size.SMALL, Size.LARGE)
PLAIN = Kind(SharedMood, MoodState, Mood.GOOD, Mood.BAD)


# The three ways to hand a state over: the object whose `status` each row below takes, and how to change the state.


def attribute(kind):
    state = kind.state(kind.before)
    return state, kind.state.status.proxy_of(state)


def taken_by_snapshot(kind):
    status = kind.shared(kind.before)
    return types.SimpleNamespace(status=snapshot(status)), status


def bare(kind):
    status = kind.shared(kind.before)
    return types.SimpleNamespace(status=status), status


WAYS = {"attribute": attribute, "`snapshot()`": taken_by_snapshot, "bare shared value": bare}

WORKS = "works"
FOLLOWS = "works; follows the state"
DIFFERS = "differs: "
REFUSES = "refuses: "


@dataclasses.dataclass
class Row:
    """A line of the table: what a user writes, a function that does it, and what comes of it in each way."""

    library: str
    use: str
    call: Callable[[Any], Any]
    attribute: str = WORKS
    snapshot: str = WORKS
    bare: str = WORKS
    remedy: str = ""  # what makes a bare shared value work nevertheless, beside snapshot(); and a function that does it
    remedied_call: Callable[[Any], Any] | None = None
    expected_call: Callable[[Any], Any] | None = None  # with the member, where `call` refuses that
    kind: Kind = NUMBERS

    @property
    def cells(self):
        remedy = f"; works with {self.remedy}" if self.remedy else ""
        return {"attribute": self.attribute, "`snapshot()`": self.snapshot, "bare shared value": self.bare + remedy}


class Model(pydantic.BaseModel):
    status: Status


class IntModel(pydantic.BaseModel):
    status: int


class LiveModel(pydantic.BaseModel):
    status: SharedStatus


class TextModel(pydantic.BaseModel):
    status: Priority


class StrModel(pydantic.BaseModel):
    status: str


class LiveTextModel(pydantic.BaseModel):
    status: SharedPriority


class PlainModel(pydantic.BaseModel):
    status: Mood


class LivePlainModel(pydantic.BaseModel):
    status: SharedMood


class Struct(msgspec.Struct):
    status: Any


@dataclasses.dataclass
class Data:
    status: Any


@dataclasses.dataclass
class DataState:
    status: IntEnumAttribute[SharedStatus] = IntEnumAttribute(SharedStatus)  # noqa: RUF009 - a descriptor


@attrs.define
class Attrs:
    status: Any = attrs.field(validator=attrs.validators.instance_of(Status))


class Table(orm.DeclarativeBase):
    pass


class Record(Table):
    __tablename__ = "record"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    by_name = orm.mapped_column(sqlalchemy.Enum(Status))
    by_number = orm.mapped_column(sqlalchemy.Integer)
    by_name_of_text = orm.mapped_column(sqlalchemy.Enum(Priority))
    by_text = orm.mapped_column(sqlalchemy.String)
    by_name_of_plain = orm.mapped_column(sqlalchemy.Enum(Mood))


class StatusSerializer(serializers.Serializer):
    number = serializers.IntegerField(source="status")
    choice = serializers.ChoiceField(Status.choices, source="status")


class ChoiceSerializer(serializers.Serializer):
    status = serializers.ChoiceField(Status.choices)


class SizeSerializer(serializers.Serializer):
    text = serializers.CharField(source="status")
    choice = serializers.ChoiceField(Size.choices, source="status")


class SizeChoiceSerializer(serializers.Serializer):
    status = serializers.ChoiceField(Size.choices)


class Instance(models.Model):
    status = models.IntegerField(choices=Status.choices)
    size = models.CharField(choices=Size.choices)

    class Meta:
        app_label = "tests"


STATUS_FIELD = Instance._meta.get_field("status")
SIZE_FIELD = Instance._meta.get_field("size")


@functools.singledispatch
def dispatched(argument):
    return "object"


@dispatched.register
def _(argument: Status):
    return f"a Status: {argument.name}"


@dispatched.register
def _(argument: Mood):
    return f"a Mood: {argument.name}"


def stored(column):
    """Store in a column and read back in another session, where a query for the same finds it."""

    def call(s):
        engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
        try:
            Table.metadata.create_all(engine)
            with orm.Session(engine) as session:
                session.add(Record(**{column: s.status}))
                session.commit()
            with orm.Session(engine) as session:
                [found] = session.scalars(sqlalchemy.select(Record).where(getattr(Record, column) == s.status))
                return getattr(found, column)
        finally:
            engine.dispose()

    return call


def sqlite(s):
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute("SELECT ?, typeof(?)", (s.status, s.status)).fetchone()


def logged(s):
    """What a logger writes, and what its record is when another process has it from a QueueHandler."""
    records = queue.SimpleQueue()
    stream = io.StringIO()
    logger = logging.Logger("compat")
    logger.addHandler(logging.StreamHandler(stream))
    logger.addHandler(logging.handlers.QueueHandler(records))
    logger.info("%s %d %r", s.status, s.status, s.status)
    return stream.getvalue(), pickle.loads(pickle.dumps(records.get_nowait())).getMessage()


def from_queue(s):
    """What another process has of a record with the status among its attributes."""
    records = queue.SimpleQueue()
    logger = logging.Logger("compat")
    logger.addHandler(logging.handlers.QueueHandler(records))
    logger.info("changed", extra={"status": s.status})
    return pickle.loads(pickle.dumps(records.get_nowait())).status


def handler_level(s):
    handler = logging.NullHandler()
    handler.setLevel(s.status)
    return handler.level


def by_structlog(**options):
    """What structlog writes as JSON."""

    def call(s):
        stream = io.StringIO()
        renderer = structlog.processors.JSONRenderer(**options)
        structlog.wrap_logger(structlog.PrintLogger(stream), processors=[renderer]).info("changed", status=s.status)
        return json.dumps({"status": json.loads(stream.getvalue())["status"]})

    return call


def by_loguru(read, **options):
    """What `read` makes of the text that loguru writes."""

    def call(s):
        stream = io.StringIO()
        handler = loguru.logger.add(stream.write, catch=False, **options)
        try:
            loguru.logger.bind(status=s.status).info("changed")
        finally:
            loguru.logger.remove(handler)  # which waits until a queue is written
        return read(stream.getvalue())

    return call


def validated(serializer):
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class Array:
    """Of an array what counts: its type and its content."""

    def __init__(self, array):
        self.array = array

    def __eq__(self, other):
        return self.array.dtype == other.array.dtype and self.array.tolist() == other.array.tolist()

    @property
    def words(self):
        return f"`dtype={self.array.dtype}`"


class Replaced:
    """Of `replace()` what counts: the result, and whether it is another one than before."""

    def __init__(self, series, status):
        self.before, self.after = series.tolist(), series.replace(status, 9).tolist()

    def __eq__(self, other):
        return self.after == other.after

    @property
    def words(self):
        assert self.after == self.before
        return "nothing is replaced"


class Dumped:
    """What a JSON text says of the status."""

    def __init__(self, text):
        [self.content] = json.loads(text).values()

    def __eq__(self, other):
        return self.content == other.content

    @property
    def words(self):
        assert {"name", "value", "real"} <= self.content.keys()
        return "an object of its attributes"


def labelled():
    """A series and a frame whose labels are the numbers of the members."""
    numbers = [member.value for member in Status]
    return pd.Series([10, 20, 30], index=numbers), pd.DataFrame([[10, 20, 30]], columns=numbers)


def templated(s):
    template = Engine().from_string("{{ s.status }}, {{ s.status.label }}{% if s.status == 2 %}, idle{% endif %}")
    return template.render(Context({"s": s}))


def templated_text(s):
    template = Engine().from_string("{{ s.status }}, {{ s.status.label }}{% if s.status == 'S' %}, small{% endif %}")
    return template.render(Context({"s": s}))


def logged_text(s):
    records = queue.SimpleQueue()
    stream = io.StringIO()
    logger = logging.Logger("compat")
    logger.addHandler(logging.StreamHandler(stream))
    logger.addHandler(logging.handlers.QueueHandler(records))
    logger.info("%s %r", s.status, s.status)
    return stream.getvalue(), pickle.loads(pickle.dumps(records.get_nowait())).getMessage()


def environment(s):
    os.environ["PRIORITY"] = s.status
    return os.environ.pop("PRIORITY")


def equal_in_pandas(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas 4 will take a shared value for one thing
        return (pd.Series(["low", "high", ""]) == text).tolist()


def csv_line(s):
    stream = io.StringIO()
    csv.writer(stream).writerow([s.status])
    return stream.getvalue()


def json_file(s):
    stream = io.StringIO()
    json.dump({"status": s.status}, stream)
    return stream.getvalue()


def added_in_place(s):
    array = np.arange(5)
    array += s.status
    return Array(array)


JSON = "`default=int`"

ROWS = [
    Row(
        "json",
        "`json.dumps({…: status})`",
        lambda s: json.dumps({"status": s.status}),
        bare=REFUSES + "`TypeError`",
        remedy="`default=int`, before Python 3.13 without `indent=`",
        remedied_call=lambda s: json.dumps({"status": s.status}, default=int),
    ),
    Row(
        "",
        "`json.dump({…: status}, file)`",
        json_file,
        bare=REFUSES + "`TypeError`",
    ),
    Row(
        "",
        "`json.dumps({status: …})`",
        lambda s: json.dumps({s.status: "ready"}),
        bare=REFUSES + "`TypeError`",
    ),
    Row(
        "orjson",
        "`orjson.dumps({…: status})`",
        lambda s: orjson.dumps({"status": s.status}),
        bare=REFUSES + "`TypeError`",
        remedy=JSON,
        remedied_call=lambda s: orjson.dumps({"status": s.status}, default=int),
    ),
    Row(
        "msgspec",
        "`msgspec.json.encode(struct)`",
        lambda s: msgspec.json.encode(Struct(s.status)),
        bare=REFUSES + "`TypeError`",
        remedy="`enc_hook=int`",
        remedied_call=lambda s: msgspec.json.encode(Struct(s.status), enc_hook=int),
    ),
    Row(
        "",
        "`msgspec.msgpack.encode(struct)`",
        lambda s: msgspec.msgpack.encode(Struct(s.status)),
        bare=REFUSES + "`TypeError`",
        remedy="`enc_hook=int`",
        remedied_call=lambda s: msgspec.msgpack.encode(Struct(s.status), enc_hook=int),
    ),
    Row(
        "",
        "`msgspec.convert(status, Status)`",
        lambda s: msgspec.convert(s.status, Status),
        bare=REFUSES + "`ValidationError`",
    ),
    Row("pydantic", "a field of type `Status`", lambda s: Model(status=s.status)),
    Row("", "a field of type `int`", lambda s: IntModel(status=s.status)),
    Row(
        "",
        "a field of type `Status`, strict",
        lambda s: Model.model_validate({"status": s.status}, strict=True),
        bare=REFUSES + "`ValidationError`",
    ),
    Row("", "`from_attributes=True`", lambda s: Model.model_validate(s, from_attributes=True)),
    Row(
        "",
        "a field of type `SharedStatus`",
        lambda s: LiveModel(status=s.status),
        attribute=REFUSES + "`ValidationError`",
        snapshot=REFUSES + "`ValidationError`",
        bare=FOLLOWS,
        expected_call=lambda s: LiveModel.model_construct(status=s.status),
    ),
    Row("", "`pydantic_core.to_json({…: status})`", lambda s: pydantic_core.to_json({"status": s.status})),
    Row("SQLAlchemy", "a column of `Enum(Status)`, SQLite", stored("by_name")),
    Row("", "a column of `Integer`, SQLite", stored("by_number")),
    Row("sqlite3", "`execute(sql, [status])`", sqlite),
    Row("REST framework", "`Serializer(state).data`", lambda s: dict(StatusSerializer(s).data)),
    Row(
        "",
        "`Serializer(data={…: status})`",
        lambda s: validated(ChoiceSerializer(data={"status": s.status})),
    ),
    Row(
        "",
        "`Response({…: status})`, as JSON",
        lambda s: renderers.JSONRenderer().render({"status": s.status}),
        bare=REFUSES + "`TypeError`",
        remedy="a serializer",
        remedied_call=lambda s: renderers.JSONRenderer().render(ChoiceSerializer(s).data),
    ),
    Row("Django", "`status.label` of `IntegerChoices`", lambda s: (s.status.label, dict(Status.choices)[s.status])),
    Row("", "a template", templated),
    Row("", "an `IntegerField`, in the database", lambda s: STATUS_FIELD.get_prep_value(s.status)),
    Row("", "an `IntegerField`, in the instance", lambda s: Instance(status=s.status).status, bare=FOLLOWS),
    Row("built-in", "`range(status)`, `bytes([status])`", lambda s: (list(range(s.status)), bytes([s.status]))),
    Row(
        "datetime",
        "`timedelta(seconds=status)`",
        lambda s: datetime.timedelta(seconds=s.status),
        bare=REFUSES + "`TypeError`",
        remedy="`int(status)`",
        remedied_call=lambda s: datetime.timedelta(seconds=int(s.status)),
    ),
    Row(
        "decimal",
        "`Decimal(status)`",
        lambda s: decimal.Decimal(s.status),
        bare=REFUSES + "`TypeError`",
        remedy="`int(status)`",
        remedied_call=lambda s: decimal.Decimal(int(s.status)),
    ),
    Row("struct", '`struct.pack("<q", status)`', lambda s: struct.pack("<q", s.status)),
    Row("numpy", "`array[status]`", lambda s: np.arange(5)[s.status].item()),
    Row("", "`array == status`", lambda s: (np.arange(5) == s.status).tolist()),
    Row("", "`numpy.int64(status)`", lambda s: np.int64(s.status)),
    Row(
        "",
        "`numpy.array([status])`",
        lambda s: Array(np.array([s.status])),
        bare=DIFFERS + "`dtype=object`",
        remedy="`dtype=int`",
        remedied_call=lambda s: Array(np.array([s.status], dtype=int)),
    ),
    Row(
        "",
        "`array + status`",
        lambda s: Array(np.arange(5) + s.status),
        bare=DIFFERS + "`dtype=object`",
        remedy="`int(status)`",
        remedied_call=lambda s: Array(np.arange(5) + int(s.status)),
    ),
    Row(
        "",
        "`array += status`",
        added_in_place,
        bare=REFUSES + "`UFuncTypeError`",
    ),
    Row(
        "",
        "`numpy.full(5, status)`",
        lambda s: Array(np.full(5, s.status)),
        bare=DIFFERS + "`dtype=object`",
        remedy="`dtype=int`",
        remedied_call=lambda s: Array(np.full(5, s.status, dtype=int)),
    ),
    Row(
        "",
        "`numpy.where(condition, status, 0)`",
        lambda s: Array(np.where(np.arange(5) > 2, s.status, 0)),
        bare=DIFFERS + "`dtype=object`",
        remedy="`int(status)`",
        remedied_call=lambda s: Array(np.where(np.arange(5) > 2, int(s.status), 0)),
    ),
    Row("pandas", "`series == status`", lambda s: (pd.Series([1, 2, 3]) == s.status).tolist()),
    Row("", "`series.isin([status])`", lambda s: pd.Series([1, 2, 3]).isin([s.status]).tolist()),
    Row(
        "",
        "`series[status]`, a label",
        lambda s: labelled()[0][s.status].item(),
        bare=REFUSES + "`KeyError`",
        remedy="`int(status)`",
        remedied_call=lambda s: labelled()[0][int(s.status)].item(),
    ),
    Row(
        "",
        "`frame[status]`, a label",
        lambda s: labelled()[1][s.status].tolist(),
        bare=REFUSES + "`KeyError`",
        remedy="`int(status)`",
        remedied_call=lambda s: labelled()[1][int(s.status)].tolist(),
    ),
    Row(
        "",
        "`series.get(status)`, a label",
        lambda s: str(labelled()[0].get(s.status)),
        bare=DIFFERS + "`None`",
        remedy="`int(status)`",
        remedied_call=lambda s: str(labelled()[0].get(int(s.status))),
    ),
    Row(
        "",
        "`series.iloc[status]`, a position",
        lambda s: pd.Series([10, 20, 30, 40]).iloc[s.status].item(),
        bare=REFUSES + "`TypeError`",
        remedy="`int(status)`",
        remedied_call=lambda s: pd.Series([10, 20, 30, 40]).iloc[int(s.status)].item(),
    ),
    Row(
        "",
        "`series.replace(status, 9)`",
        lambda s: Replaced(pd.Series([1, 2, 3]), s.status),
        bare=DIFFERS + "nothing is replaced",
        remedy="`int(status)`",
        remedied_call=lambda s: Replaced(pd.Series([1, 2, 3]), int(s.status)),
    ),
    Row(
        "",
        "`pandas.Series([status])`",
        lambda s: Array(pd.Series([s.status])),
        bare=DIFFERS + "`dtype=object`",
        remedy="`dtype=int`",
        remedied_call=lambda s: Array(pd.Series([s.status], dtype=int)),
    ),
    Row(
        "",
        "`pandas.Series([status]).to_json()`",
        lambda s: Dumped(pd.Series([s.status]).to_json()),
        bare=DIFFERS + "an object of its attributes",
        remedy="`dtype=int`",
        remedied_call=lambda s: Dumped(pd.Series([s.status], dtype=int).to_json()),
    ),
    Row("logging", '`logger.info("%s", status)`, `QueueHandler`', logged),
    Row("", "`extra={…: status}`, `QueueHandler`", from_queue, bare=REFUSES + "`RuntimeError`"),
    Row("", "`handler.setLevel(status)`", handler_level, bare=FOLLOWS),
    Row(
        "structlog",
        "`JSONRenderer()`",
        by_structlog(),
        bare=DIFFERS + '`{"status": "Status.IDLE"}`',
        remedy="`JSONRenderer(default=int)`",
        remedied_call=by_structlog(default=int),
    ),
    Row("loguru", "`bind(status=status)`, a text", by_loguru(str, format="{extra[status]}")),
    Row(
        "",
        "`bind(status=status)`, `serialize=True`",
        by_loguru(lambda text: json.dumps(json.loads(text)["record"]["extra"]), serialize=True),
        bare=DIFFERS + '`{"status": "2"}`',
    ),
    Row(
        "",
        "`bind(status=status)`, `enqueue=True`",
        by_loguru(str, format="{extra[status]}", enqueue=True),
        bare=REFUSES + "`RuntimeError`",
    ),
    Row("pickle", "`pickle.dumps(status)`", lambda s: pickle.dumps(s.status), bare=REFUSES + "`RuntimeError`"),
    Row(
        "",
        "`pickle.dumps(state)`",
        lambda s: pickle.loads(pickle.dumps(s)).status,
        attribute=REFUSES + "`RuntimeError`",
        bare=REFUSES + "`RuntimeError`",
    ),
    Row("copy", "`copy.deepcopy(state)`", lambda s: copy.deepcopy(s).status),
    Row("dataclasses", "`asdict(state)`", lambda s: dataclasses.asdict(Data(s.status))),
    Row("", "`asdict(state)`, the attribute as a field", lambda s: dataclasses.asdict(DataState(s.status))),
    Row("attrs", "`instance_of(Status)`", lambda s: Attrs(s.status).status.name),
    Row("", "`attrs.asdict(state)`", lambda s: attrs.asdict(Attrs(s.status)), bare=FOLLOWS),
    Row("functools", "`@singledispatch`, registered for `Status`", lambda s: dispatched(s.status)),
]

TEXT_ROWS = [
    Row(
        "json",
        "`json.dumps({…: priority})`",
        lambda s: json.dumps({"status": s.status}),
        bare=REFUSES + "`TypeError`",
        remedy="`default=str`, before Python 3.13 without `indent=`",
        remedied_call=lambda s: json.dumps({"status": s.status}, default=str),
    ),
    Row("", "`json.dump({…: priority}, file)`", json_file, bare=REFUSES + "`TypeError`"),
    Row("", "`json.dumps({priority: …})`", lambda s: json.dumps({s.status: "ready"}), bare=REFUSES + "`TypeError`"),
    Row(
        "orjson",
        "`orjson.dumps({…: priority})`",
        lambda s: orjson.dumps({"status": s.status}),
        bare=REFUSES + "`TypeError`",
        remedy="`default=str`",
        remedied_call=lambda s: orjson.dumps({"status": s.status}, default=str),
    ),
    Row(
        "msgspec",
        "`msgspec.json.encode(struct)`",
        lambda s: msgspec.json.encode(Struct(s.status)),
        bare=REFUSES + "`TypeError`",
        remedy="`enc_hook=str`",
        remedied_call=lambda s: msgspec.json.encode(Struct(s.status), enc_hook=str),
    ),
    Row(
        "",
        "`msgspec.msgpack.encode(struct)`",
        lambda s: msgspec.msgpack.encode(Struct(s.status)),
        bare=REFUSES + "`TypeError`",
        remedy="`enc_hook=str`",
        remedied_call=lambda s: msgspec.msgpack.encode(Struct(s.status), enc_hook=str),
    ),
    Row(
        "",
        "`msgspec.convert(priority, Priority)`",
        lambda s: msgspec.convert(s.status, Priority),
        bare=REFUSES + "`ValidationError`",
    ),
    Row("pydantic", "a field of type `Priority`", lambda s: TextModel(status=s.status)),
    Row(
        "",
        "a field of type `str`",
        lambda s: StrModel(status=s.status),
        bare=REFUSES + "`ValidationError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: StrModel(status=str(s.status)),
    ),
    Row(
        "",
        "a field of type `Priority`, strict",
        lambda s: TextModel.model_validate({"status": s.status}, strict=True),
        bare=REFUSES + "`ValidationError`",
    ),
    Row("", "`from_attributes=True`", lambda s: TextModel.model_validate(s, from_attributes=True)),
    Row("", "`model_dump_json()`", lambda s: TextModel(status=s.status).model_dump_json()),
    Row(
        "",
        "a field of type `SharedPriority`",
        lambda s: LiveTextModel(status=s.status),
        attribute=REFUSES + "`ValidationError`",
        snapshot=REFUSES + "`ValidationError`",
        bare=FOLLOWS,
        expected_call=lambda s: LiveTextModel.model_construct(status=s.status),
    ),
    Row("", "`pydantic_core.to_json({…: priority})`", lambda s: pydantic_core.to_json({"status": s.status})),
    Row(
        "",
        "a field of type `Mood`",
        lambda s: PlainModel(status=s.status),
        bare=REFUSES + "`ValidationError`",
        remedy="`mood.value`",
        remedied_call=lambda s: PlainModel(status=s.status.value),
        kind=PLAIN,
    ),
    Row(
        "",
        "a field of type `SharedMood`",
        lambda s: LivePlainModel(status=s.status),
        attribute=REFUSES + "`ValidationError`",
        snapshot=REFUSES + "`ValidationError`",
        bare=FOLLOWS,
        expected_call=lambda s: LivePlainModel.model_construct(status=s.status),
        kind=PLAIN,
    ),
    Row("", "`pydantic_core.to_json({…: mood})`", lambda s: pydantic_core.to_json({"status": s.status}), kind=PLAIN),
    Row("SQLAlchemy", "a column of `Enum(Priority)`, SQLite", stored("by_name_of_text")),
    Row("", "a column of `String`, SQLite", stored("by_text")),
    Row("", "a column of `Enum(Mood)`, SQLite", stored("by_name_of_plain"), kind=PLAIN),
    Row("sqlite3", "`execute(sql, [priority])`", sqlite),
    Row("REST framework", "`Serializer(state).data`", lambda s: dict(SizeSerializer(s).data), kind=CHOICES),
    Row(
        "",
        "`Serializer(data={…: size})`",
        lambda s: validated(SizeChoiceSerializer(data={"status": s.status})),
        kind=CHOICES,
    ),
    Row(
        "",
        "`Response({…: size})`, as JSON",
        lambda s: renderers.JSONRenderer().render({"status": s.status}),
        bare=REFUSES + "`TypeError`",
        remedy="a serializer",
        remedied_call=lambda s: renderers.JSONRenderer().render(SizeChoiceSerializer(s).data),
        kind=CHOICES,
    ),
    Row(
        "Django",
        "`size.label` of `TextChoices`",
        lambda s: (s.status.label, dict(Size.choices)[s.status]),
        kind=CHOICES,
    ),
    Row("", "a template", templated_text, kind=CHOICES),
    Row(
        "", "a `CharField`, in the database", lambda s: SIZE_FIELD.get_prep_value(s.status), bare=FOLLOWS, kind=CHOICES
    ),
    Row("", "a `CharField`, in the instance", lambda s: Instance(size=s.status).size, bare=FOLLOWS, kind=CHOICES),
    Row("", "`instance.get_size_display()`", lambda s: Instance(size=s.status).get_size_display(), kind=CHOICES),
    Row(
        "built-in",
        '`"text" + priority`, `f"{priority}"`, `priority[0]`',
        lambda s: ("text" + s.status, f"{s.status:>8}", s.status[0], "ow" in s.status),
    ),
    Row(
        "",
        '`priority in "text"`, `"text".startswith(priority)`',
        lambda s: (s.status in "a low text", "lower".startswith(s.status)),
        bare=REFUSES + "`TypeError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: (str(s.status) in "a low text", "lower".startswith(str(s.status))),
    ),
    Row(
        "",
        '`", ".join([priority])`',
        lambda s: ", ".join([s.status]),
        bare=REFUSES + "`TypeError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: ", ".join([str(s.status)]),
    ),
    Row(
        "",
        "`getattr(thing, priority)`",
        lambda s: getattr(types.SimpleNamespace(low=1, high=2), s.status),
        bare=REFUSES + "`TypeError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: getattr(types.SimpleNamespace(low=1, high=2), str(s.status)),
    ),
    Row(
        "re",
        '`re.match("l", priority)`',
        lambda s: re.match("l", s.status) is None,
        bare=REFUSES + "`TypeError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: re.match("l", str(s.status)) is None,
    ),
    Row(
        "os, pathlib",
        "`os.path.join(priority)`, `Path(priority)`",
        lambda s: (os.path.join("a", s.status), str(Path(s.status))),
        bare=REFUSES + "`TypeError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: (os.path.join("a", str(s.status)), str(Path(str(s.status)))),
    ),
    Row("", "`os.environ[…] = priority`", environment),
    Row("csv", "`writer.writerow([priority])`", csv_line),
    Row(
        "numpy",
        "`numpy.array([priority])`",
        lambda s: Array(np.array([s.status])),
        bare=DIFFERS + "`dtype=<U1`",
        remedy="`str(priority)`",
        remedied_call=lambda s: Array(np.array([str(s.status)])),
    ),
    Row(
        "",
        "`array == priority`",
        lambda s: (np.array(["low", "high", ""]) == s.status).tolist(),
        bare=DIFFERS + "`[False, False, False]`",
        remedy="`str(priority)`",
        remedied_call=lambda s: (np.array(["low", "high", ""]) == str(s.status)).tolist(),
    ),
    Row(
        "pandas",
        "`series == priority`",
        lambda s: equal_in_pandas(s.status),
        bare=DIFFERS + "`[False, False, False]`",
        remedy="`str(priority)`",
        remedied_call=lambda s: equal_in_pandas(str(s.status)),
    ),
    Row(
        "",
        "`series.isin([priority])`",
        lambda s: pd.Series(["low", "high"]).isin([s.status]).tolist(),
        bare=REFUSES + "`ValueError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: pd.Series(["low", "high"]).isin([str(s.status)]).tolist(),
    ),
    Row(
        "",
        "`series[priority]`, a label",
        lambda s: pd.Series([1, 2], index=["low", "high"])[s.status].item(),
        bare=REFUSES + "`KeyError`",
        remedy="`str(priority)`",
        remedied_call=lambda s: pd.Series([1, 2], index=["low", "high"])[str(s.status)].item(),
    ),
    Row("logging", '`logger.info("%s", priority)`, `QueueHandler`', logged_text),
    Row(
        "structlog",
        "`JSONRenderer()`",
        by_structlog(),
        bare=DIFFERS + """`{"status": "<Priority.LOW: 'low'>"}`""",
        remedy="`JSONRenderer(default=str)`",
        remedied_call=by_structlog(default=str),
    ),
    Row("loguru", "`bind(status=priority)`, a text", by_loguru(str, format="{extra[status]}")),
    Row(
        "",
        "`bind(status=priority)`, `serialize=True`",
        by_loguru(lambda text: json.dumps(json.loads(text)["record"]["extra"]), serialize=True),
    ),
    Row("pickle", "`pickle.dumps(priority)`", lambda s: pickle.dumps(s.status), bare=REFUSES + "`RuntimeError`"),
    Row("copy", "`copy.deepcopy(state)`", lambda s: copy.deepcopy(s).status),
    Row("dataclasses", "`asdict(state)`", lambda s: dataclasses.asdict(Data(s.status))),
    Row("functools", "`@singledispatch`, registered for `Mood`", lambda s: dispatched(s.status), kind=PLAIN),
]
for row in TEXT_ROWS:
    row.kind = TEXTS if row.kind is NUMBERS else row.kind


def what_comes_of(row, call, way):
    """What the table says of it: by comparison with the member itself, then and after the state has changed."""
    expected_call = row.expected_call if row.expected_call and call is row.call else call
    members = row.kind.before, row.kind.after
    before, after = (expected_call(types.SimpleNamespace(status=member)) for member in members)
    assert before != after
    state, status = WAYS[way](row.kind)
    try:
        result = call(state)
    except Exception as error:
        return REFUSES + f"`{type(error).__name__}`"
    if result != before:
        return DIFFERS + getattr(result, "words", f"`{result}`")
    status.set(row.kind.after)
    if result == after:
        return FOLLOWS
    assert result == before
    return WORKS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", ROWS + TEXT_ROWS, ids=lambda row: f"{row.library} {row.use}")
def test_the_library_does_what_the_table_says(row, way):
    if row.remedied_call and way == "bare shared value":
        assert what_comes_of(row, row.remedied_call, way) == WORKS
    assert what_comes_of(row, row.call, way) == row.cells[way].partition("; works with")[0]


@pytest.mark.parametrize("make", [lambda s: np.array([s]), lambda s: np.full(5, s), lambda s: pd.Series([s])])
def test_an_array_of_objects_holds_the_shared_value(make):
    status = SharedStatus(BEFORE)
    assert make(status)[0] is status


def test_numpy_and_pandas_take_a_text_for_its_letters():
    priority = SharedPriority("LOW")
    assert np.array(priority).tolist() == ["l", "o", "w"]
    for make in (np.array, pd.Series):
        texts = make(["low", "high"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match=r"2.* 3|\(3,\)"):
                texts == priority  # noqa: B015


class Mixed(str, enum.Enum):
    LOW = "low"


def test_a_text_whose_str_is_another_is_written_by_its_value():
    mixed = EnumValue(Mixed.LOW)
    for write in (json.dumps, orjson.dumps):
        assert json.loads(write({"status": mixed}, default=str)) == {"status": "Mixed.LOW"}
        assert json.loads(write({"status": mixed.value})) == {"status": "low"} == {"status": Mixed.LOW}


class Paint(enum.Flag):
    RED = 1
    LIME = 2


def test_pydantic_takes_flags_that_are_no_ints_as_members_and_as_live_values():
    paint = EnumValue(Paint.RED | Paint.LIME)
    data = pydantic.TypeAdapter(Paint)
    live = pydantic.TypeAdapter(EnumValue[Paint])
    with pytest.raises(pydantic.ValidationError):
        data.validate_python(paint)
    assert data.validate_python(snapshot(paint)) is Paint.RED | Paint.LIME
    assert live.validate_python(paint) is paint
    assert live.dump_python(paint) is Paint.RED | Paint.LIME
    assert live.dump_json(paint) == b"3"
    with pytest.raises(pydantic.ValidationError):
        live.validate_python(Paint.RED)


def test_pydantic_dumps_values_of_each_kind_as_their_members():
    for kind, text in ((TEXTS, b'"high"'), (PLAIN, b'["bad",1]'), (CHOICES, b'"L"')):
        live = pydantic.TypeAdapter(kind.shared)
        status = kind.shared(kind.after)
        assert live.dump_python(status) is kind.after
        assert live.dump_json(status) == text
        schema = pydantic.TypeAdapter(type(kind.after)).json_schema(mode="serialization")
        assert live.json_schema(mode="serialization") == schema
        for data in (kind.after, kind.after.name, kind.after.value):
            with pytest.raises(pydantic.ValidationError):
                live.validate_python(data)
    bound_later = pydantic.TypeAdapter(EnumValue)
    assert bound_later.dump_json(EnumValue(Mood.GOOD)) == b'"good"'


def test_sqlite_takes_and_refuses_values_of_each_kind_as_their_members():
    with closing(sqlite3.connect(":memory:")) as connection:
        for kind in (NUMBERS, TEXTS, CHOICES):
            assert connection.execute("SELECT ?", [kind.shared(kind.after)]).fetchone() == (kind.after.value,)
        for status in (SharedMood("GOOD"), Mood.GOOD):
            with pytest.raises(sqlite3.Error, match=r"not supported|unsupported type"):
                connection.execute("SELECT ?", [status])


def test_pandas_does_not_find_a_shared_value_among_its_labels():
    series, frame = labelled()
    for labels in (series.index, frame.columns):
        assert BEFORE in labels
        assert SharedStatus(BEFORE) not in labels


def test_loguru_loses_a_message_with_a_shared_value_for_its_queue(capsys):
    texts = []
    handler = loguru.logger.add(texts.append, enqueue=True, format="{message}")
    loguru.logger.bind(status=SharedStatus(BEFORE)).info("with the shared value")
    loguru.logger.bind(status=BEFORE).info("with the member")
    loguru.logger.remove(handler)
    assert texts == ["with the member\n"]
    assert "RuntimeError" in capsys.readouterr().err


def test_a_file_with_lazy_translations_is_opened_under_every_language(tmp_path):
    """A German request makes the file, an English command opens it."""
    with translation.override("de"):
        assert repr(translation.gettext_lazy("Yes")) == "'Ja'"  # as if it were a str
        status = EnumValue(Answer.YES, at=tmp_path / "answer")
    with translation.override("en"):
        other = EnumValue[Answer](at=tmp_path / "answer")
        other.set(Answer.NO)
    assert status == Answer.NO
    assert b"Ja" not in (tmp_path / "answer").read_bytes()


class Answer(enum.Enum):
    """An enum whose values have the texts for a page in them."""

    YES = "y", translation.gettext_lazy("Yes")
    NO = translation.gettext_lazy("No")


def table(rows):
    lines = [["library", "use", *WAYS], ["---"] * 5, *([row.library, row.use, *row.cells.values()] for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


@pytest.mark.parametrize("rows", [ROWS, TEXT_ROWS], ids=["numbers", "others"])
def test_the_page_has_this_table(rows):
    assert table(rows) in (DOCS / "compatibility.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", EXAMPLES)
def test_the_examples_of_the_page_run(script):
    runpy.run_path(str(DOCS / "examples" / script))
    assert script in (DOCS / "compatibility.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    print(table(ROWS), table(TEXT_ROWS), sep="\n", end="")
