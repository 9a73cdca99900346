"""The libraries that users hand their state to: what each does with it, and that docs/compatibility.md says just that.

`python tests/compat/test_libraries.py` prints the table for that page.
"""

import copy
import dataclasses
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
import msgspec
import numpy as np
import orjson
import pydantic
import pydantic_core
import pytest
import sqlalchemy
from django.conf import settings
from sqlalchemy import orm

from multiprocessing_intenum import IntEnumAttribute, IntEnumValue, snapshot

settings.configure()
django.setup()

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


def validated(serializer):
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class Array:
    """Of an array what counts: its type and its content."""

    def __init__(self, array):
        self.array = array

    def __eq__(self, other):
        return self.array.dtype == other.array.dtype and self.array.tolist() == other.array.tolist()

    def __repr__(self):
        return f"dtype={self.array.dtype}"


def templated(s):
    template = Engine().from_string("{{ s.status }}, {{ s.status.label }}{% if s.status == 2 %}, idle{% endif %}")
    return template.render(Context({"s": s}))


JSON = "`default=int`"

ROWS = [
    Row(
        "json",
        "`json.dumps({…: status})`",
        lambda s: json.dumps({"status": s.status}),
        bare=REFUSES + "`TypeError`",
        remedy=JSON,
        remedied_call=lambda s: json.dumps({"status": s.status}, default=int),
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
    Row("logging", '`logger.info("%s", status)`, `QueueHandler`', logged),
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
        return DIFFERS + f"`{result}`"
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
