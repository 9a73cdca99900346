"""What a value shows of its member and what of its own: attributes, dir, dict, module and doc, with both wrapts."""

from __future__ import annotations

import abc
import enum
import functools
import inspect
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
from enums import LoggingStatus, WorkerStatus, WorkerStatusEnum
from typing_extensions import get_annotations

from multiprocessing_intenum import EnumValue, IntEnumValue, snapshot

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


# Attributes of its own


def test_what_is_no_attribute_of_it_can_not_be_set(status: WorkerStatus) -> None:
    for name in (
        "vaule",
        "_private",
        "set",
        "get_lock",
        "EnumType",
        "name",
        "__class__",
        "__dict__",
        "__doc__",
        "__eq__",
    ):
        with pytest.raises(AttributeError):
            setattr(status, name, CALCULATING)
    with pytest.raises(
        AttributeError, match=r"can not set 'vaule' on WorkerStatus: to change the state use set\(\) or"
    ):
        status.vaule = CALCULATING  # type: ignore[attr-defined]
    assert snapshot(status) is IDLE
    assert not hasattr(IDLE, "vaule")


def test_attributes_of_its_own_are_declared_or_begin_with_self() -> None:
    status = LoggingStatus(IDLE)
    status.label = "the first worker's"
    status._self_note = 1  # type: ignore[attr-defined]
    assert (status.label, status._self_note) == ("the first worker's", 1)  # type: ignore[attr-defined]
    assert not hasattr(IDLE, "label")


def test_an_enum_with_annotations_leaves_those_of_its_values_alone() -> None:
    # From Python 3.14 on the enum has a function for its annotations, unless its module has this `__future__` import.
    source = "class Labelled(enum.IntEnum):\n    label: str\n    A = 1\n"
    namespace: dict[str, Any] = {"enum": enum, "__name__": __name__}
    exec(compile(source, __file__, "exec", dont_inherit=True), namespace)

    class Point(typing.NamedTuple):
        x: int

    corners: Any = enum.Enum("Corners", {"A": Point(1)}, type=Point)
    for member in (namespace["Labelled"].A, corners.A):
        status: Any = EnumValue(member)
        assert get_annotations(type(status)) == {}
        with pytest.raises(AttributeError, match="can not set 'vaule'"):
            status.vaule = 1


def test_attributes_of_its_own_with_a_default_can_be_deleted() -> None:
    status = LoggingStatus(IDLE)
    status.log = []
    status.label, status._self_note = "the first worker's", 1  # type: ignore[attr-defined]
    del status.label, status._self_note  # type: ignore[attr-defined]
    assert status.label == "a worker's"
    assert not hasattr(status, "_self_note")
    for name in ("label", "_self_note", "log", "name", "set", "_self_cell", "vaule"):
        with pytest.raises(AttributeError, match=f"can not delete '{name}' of LoggingStatus"):
            delattr(status, name)


@pytest.mark.parametrize(
    "name", ["_self_view", "_self_cell", "_self_own", "_self_table", "_self_origin", "_self_transitions"]
)
def test_the_librarys_own_names_are_refused(name: str, status: WorkerStatus) -> None:
    with pytest.raises(AttributeError, match=f"can not set '{name}' on WorkerStatus: the library itself uses it"):
        setattr(status, name, None)
    with pytest.raises(AttributeError, match=f"can not delete '{name}'"):
        delattr(status, name)
    for slots in (False, True):
        namespace = {"__slots__": (name,)} if slots else {name: None}
        with pytest.raises(TypeError, match=f"Mine can not define {name}: the library itself uses it"):
            type(WorkerStatus)("Mine", (WorkerStatus,), {"__module__": __name__, **namespace})
    assert snapshot(status) is IDLE


def test_names_under_the_prefix_that_the_library_does_not_use_stay_free(status: WorkerStatus) -> None:
    status._self_note = "mine"  # type: ignore[attr-defined]
    assert status._self_note == "mine"  # type: ignore[attr-defined]


def test_what_is_not_yet_initialised_says_so() -> None:
    with pytest.raises(AttributeError, match=r"WorkerStatus.__init__\(\) has not been called, so there is no _self_"):
        snapshot(WorkerStatus.__new__(WorkerStatus))


def test_a_property_of_a_subclass_can_be_set() -> None:
    class Inverted(IntEnumValue[WorkerStatusEnum]):
        @property
        def busy(self) -> bool:
            return self == CALCULATING

        @busy.setter
        def busy(self, busy: bool) -> None:
            self.set(CALCULATING if busy else IDLE)

    status = Inverted(IDLE)
    status.busy = True
    assert snapshot(status) is CALCULATING
    assert status.busy
    assert not status._self_own  # a child would get it through the state only


def test_what_a_subclass_sets_before_its_init_is_its_own_too() -> None:
    class Labelled(IntEnumValue[WorkerStatusEnum]):
        label: str

        def __init__(self, label: str) -> None:
            self.label = label
            super().__init__(IDLE)

    one, two = Labelled("one"), Labelled("two")
    assert (one.label, two.label, one._self_own) == ("one", "two", {"label"})


def test_a_cached_property_of_a_subclass_leaves_the_member_alone() -> None:
    class Cached(IntEnumValue[WorkerStatusEnum]):
        @functools.cached_property
        def token(self) -> object:
            return object()

    one, two = Cached(IDLE), Cached(IDLE)
    assert one.token is not two.token
    assert "token" not in vars(IDLE)
    assert vars(one) == vars(IDLE)
    assert vars(one) is not vars(IDLE)
    assert one.__getattr__("__dict__") is not vars(IDLE)  # wrapt in pure Python looks it up this way


def test_dir_is_the_members_with_set_and_get_lock(status: WorkerStatus) -> None:
    assert set(dir(status)) == {*dir(IDLE), "set", "get_lock"}


# The class's own text, and wrapt's


def test_its_class_has_none_of_its_members_attributes() -> None:
    assert not hasattr(WorkerStatus, "__wrapped__")
    assert not hasattr(WorkerStatus, "IDLE")
    assert WorkerStatus.__name__ == "WorkerStatus"
    assert WorkerStatus.__module__ == "enums"
    assert LoggingStatus.__doc__
    assert LoggingStatus.__doc__.startswith("The seeds' example")


def test_a_class_keeps_its_own_module_doc_and_source_where_its_values_show_their_members(status: WorkerStatus) -> None:
    assert (WorkerStatus.__module__, status.__module__) == ("enums", WorkerStatusEnum.__module__)
    assert (IntEnumValue.__doc__ or "").startswith("An integer in shared memory")
    assert status.__doc__ == WorkerStatusEnum.IDLE.__doc__
    if type(WorkerStatus) is type:  # wrapt's pure-Python metaclass puts its own line number into every class
        assert inspect.getsource(WorkerStatus).startswith("class WorkerStatus(")


def test_so_it_is_with_the_other_implementation_of_wrapt() -> None:
    program = (
        "from enums import *\n"
        "status = WorkerStatus('IDLE')\n"
        "member = WorkerStatusEnum.IDLE\n"
        "print(WorkerStatus.__module__, status.__module__ == member.__module__, status.__doc__ == member.__doc__)"
    )
    other = "" if os.environ.get("WRAPT_DISABLE_EXTENSIONS") else "1"
    support = str(Path(__file__).parent / "support")
    environment = {**os.environ, "WRAPT_DISABLE_EXTENSIONS": other, "PYTHONPATH": support}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "enums True True\n"


def test_a_class_that_is_abstract_answers_as_its_member_too() -> None:
    # wrapt in pure Python has its own metaclass
    metaclasses = (abc.ABCMeta,) if type(IntEnumValue) is type else (type(IntEnumValue), abc.ABCMeta)

    class Abstract(IntEnumValue[WorkerStatusEnum], metaclass=type("Both", metaclasses, {})):
        """Text of the subclass."""

    status = Abstract(IDLE)
    assert (status.__doc__, status.__module__) == (IDLE.__doc__, IDLE.__module__)


def test_the_class_is_no_wrapper_to_inspect() -> None:
    assert list(inspect.signature(IntEnumValue.__init__).parameters) == ["self", "value", "lock", "ctx", "at"]
    assert inspect.unwrap(WorkerStatus) is WorkerStatus
