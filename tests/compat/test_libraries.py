"""The libraries that users hand their state to: what each does with it, and that docs/compatibility.md says just that.

`python tests/compat/test_libraries.py` prints the table for that page.
"""

import copy
import dataclasses
import datetime
import decimal
import functools
import io
import json
import logging.handlers
import pickle
import queue
import runpy
import sqlite3
import struct
import types
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

from multiprocessing_intenum import IntEnumAttribute, IntEnumValue, snapshot

settings.configure()
django.setup()
loguru.logger.remove()  # its handler that writes to stderr

from django.db import models  # noqa: E402
from django.template import Context, Engine  # noqa: E402
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


class State:
    status = IntEnumAttribute(SharedStatus)

    def __init__(self, member):
        self.status = member


# The three ways to hand a state over: the object whose `status` each row below takes, and how to change the state.


def attribute():
    state = State(BEFORE)
    return state, State.status.proxy_of(state)


def taken_by_snapshot():
    status = SharedStatus(BEFORE)
    return types.SimpleNamespace(status=snapshot(status)), status


def bare():
    status = SharedStatus(BEFORE)
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


class StatusSerializer(serializers.Serializer):
    number = serializers.IntegerField(source="status")
    choice = serializers.ChoiceField(Status.choices, source="status")


class ChoiceSerializer(serializers.Serializer):
    status = serializers.ChoiceField(Status.choices)


class Instance(models.Model):
    status = models.IntegerField(choices=Status.choices)

    class Meta:
        app_label = "tests"


STATUS_FIELD = Instance._meta.get_field("status")


@functools.singledispatch
def dispatched(argument):
    return "object"


@dispatched.register
def _(argument: Status):
    return f"a Status: {argument.name}"


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


def what_comes_of(call, way, expected_call=None):
    """What the table says of it: by comparison with the member itself, then and after the state has changed."""
    before, after = ((expected_call or call)(types.SimpleNamespace(status=member)) for member in (BEFORE, AFTER))
    assert before != after
    state, status = WAYS[way]()
    try:
        result = call(state)
    except Exception as error:
        return REFUSES + f"`{type(error).__name__}`"
    if result != before:
        return DIFFERS + getattr(result, "words", f"`{result}`")
    status.set(AFTER)
    if result == after:
        return FOLLOWS
    assert result == before
    return WORKS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.library} {row.use}")
def test_the_library_does_what_the_table_says(row, way):
    if row.remedied_call and way == "bare shared value":
        assert what_comes_of(row.remedied_call, way) == WORKS
    assert what_comes_of(row.call, way, row.expected_call) == row.cells[way].partition("; works with")[0]


@pytest.mark.parametrize("make", [lambda s: np.array([s]), lambda s: np.full(5, s), lambda s: pd.Series([s])])
def test_an_array_of_objects_holds_the_shared_value(make):
    status = SharedStatus(BEFORE)
    assert make(status)[0] is status


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


def table():
    lines = [["library", "use", *WAYS], ["---"] * 5, *([row.library, row.use, *row.cells.values()] for row in ROWS)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def test_the_page_has_this_table():
    assert table() in (DOCS / "compatibility.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", EXAMPLES)
def test_the_examples_of_the_page_run(script):
    runpy.run_path(str(DOCS / "examples" / script))
    assert script in (DOCS / "compatibility.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    print(table(), end="")
