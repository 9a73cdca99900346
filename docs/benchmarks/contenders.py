"""What is compared: the same shared state, kept by each library in its own way.

Each function returns the names that the statements in `operations` use: `s` and `t`, two states that are CALCULATING,
and whatever else the statements of that contender need.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import multiprocessing
import sys
from http import HTTPStatus
from multiprocessing.sharedctypes import RawValue
from typing import TYPE_CHECKING, Any

from states import PlainStatus, TextStatus, WorkerStatusEnum

from multiprocessing_intenum import EnumAttribute, EnumValue, IntEnumValue, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

__all__ = ["CONTENDERS", "OURS", "PEER", "PURE", "VARIANTS", "import_peer", "names_of"]

OURS, PURE, PEER = "this library", "in pure Python", "multiprocessing-intenum"
VALUE, MANAGER, LOCAL_PROXY = "multiprocessing.Value", "Manager().Value", "werkzeug LocalProxy"
BARE, MEMBER = "bare pieces", "plain member"
# Variants of this library's value. `PLAIN_VALUE` is what they are compared with: the value that is measured as `OURS`.
PLAIN_VALUE = "IntEnumValue"
OF_ENUM, OF_STR_ENUM, WITH_TRANSITIONS = "EnumValue of an Enum", "EnumValue of a StrEnum", "with transitions"

_PEER_ALIAS = "peer_intenum"


def import_peer(directory: Path) -> ModuleType:
    """Import the peer from a separate directory under another name, because its package has this library's name."""
    package = directory / "multiprocessing_intenum"
    spec = importlib.util.spec_from_file_location(
        _PEER_ALIAS, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None or not package.is_dir():
        message = f"{package} is no package: pip install --no-deps --target {directory} multiprocessing-intenum"
        raise SystemExit(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PEER_ALIAS] = module
    spec.loader.exec_module(module)
    return module


def _ours() -> dict[str, Any]:
    class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
        pass

    class WorkerState:
        status = EnumAttribute(WorkerStatus)

        def __init__(self) -> None:
            self.status = WorkerStatusEnum.CALCULATING

    return {
        "s": WorkerStatus(WorkerStatusEnum.CALCULATING),
        "t": WorkerStatus(WorkerStatusEnum.CALCULATING),
        "r": WorkerStatus(WorkerStatusEnum.CALCULATING, lock=multiprocessing.RLock()),
        "http": IntEnumValue(HTTPStatus.OK),
        "state": WorkerState(),
        "Status": WorkerStatus,
        "snapshot": snapshot,
        "lock": multiprocessing.RLock(),
    }


def _peer() -> dict[str, Any]:
    peer = sys.modules[_PEER_ALIAS]

    class WorkerStatus(peer.IntEnumValue[WorkerStatusEnum]):  # type: ignore[name-defined,misc]
        pass

    class WorkerState:
        """The recipe from the peer's documentation."""

        def __init__(self) -> None:
            self._status = WorkerStatus(WorkerStatusEnum.CALCULATING)

        @property
        def status(self) -> Any:
            return self._status

        @status.setter
        def status(self, status: Any) -> None:
            self._status.set(status)

    return {
        "s": WorkerStatus(WorkerStatusEnum.CALCULATING),
        "t": WorkerStatus(WorkerStatusEnum.CALCULATING),
        "state": WorkerState(),
        "Status": WorkerStatus,
        "lock": multiprocessing.RLock(),
    }


def _value() -> dict[str, Any]:
    make = functools.partial(multiprocessing.Value, ctypes.c_int64)
    lock = multiprocessing.RLock()
    return {"s": make(3), "t": make(3), "make": make, "lock": lock}


def _manager() -> dict[str, Any]:
    manager = multiprocessing.Manager()
    return {"s": manager.Value("q", 3), "t": manager.Value("q", 3), "make": manager.Value, "_keeps_it_running": manager}


def _local_proxy() -> dict[str, Any]:
    from werkzeug.local import LocalProxy  # imported here, because only this contender needs it

    def over(cell: Any) -> Any:
        return LocalProxy(lambda: _TABLE[cell.value])

    return {"s": over(RawValue(ctypes.c_int64, 3)), "t": over(RawValue(ctypes.c_int64, 3))}


def _bare() -> dict[str, Any]:
    lock = multiprocessing.RLock()
    return {
        "s": RawValue(ctypes.c_int64, 3),
        "t": RawValue(ctypes.c_int64, 3),
        "table": _TABLE,
        "acquire": lock.acquire,
        "release": lock.release,
        "RawValue": RawValue,
        "c_int64": ctypes.c_int64,
        "RLock": multiprocessing.RLock,
    }


def _member() -> dict[str, Any]:
    return {"s": WorkerStatusEnum.CALCULATING, "t": WorkerStatusEnum.CALCULATING, "http": HTTPStatus.OK}


_TABLE = {int(member): member for member in WorkerStatusEnum}
_COMMON = {
    "member": WorkerStatusEnum.CALCULATING,
    "other": WorkerStatusEnum.IDLE,
    "E": WorkerStatusEnum,
    "HTTPStatus": HTTPStatus,
    "d": dict.fromkeys(WorkerStatusEnum),
}

CONTENDERS: dict[str, Callable[[], dict[str, Any]]] = {
    OURS: _ours,
    PEER: _peer,
    VALUE: _value,
    MANAGER: _manager,
    LOCAL_PROXY: _local_proxy,
    BARE: _bare,
    MEMBER: _member,
}


def _of(enum_type: Any) -> dict[str, Any]:
    member = enum_type.CALCULATING
    return {"s": EnumValue(member), "member": member, "snapshot": snapshot, "d": dict.fromkeys(enum_type)}


def _with_transitions() -> dict[str, Any]:
    class WorkerStatus(
        IntEnumValue[WorkerStatusEnum],
        transitions={"IDLE": ["CALCULATING", "UNAVAILABLE"], "CALCULATING": ["IDLE", "UNAVAILABLE"]},
    ):
        pass

    return {"s": WorkerStatus(WorkerStatusEnum.CALCULATING)}


VARIANTS: dict[str, Callable[[], dict[str, Any]]] = {
    OF_ENUM: functools.partial(_of, PlainStatus),
    OF_STR_ENUM: functools.partial(_of, TextStatus),
    WITH_TRANSITIONS: _with_transitions,
}


@functools.cache
def names_of(contender: str) -> dict[str, Any]:
    """Return the names for one contender's statements. They are made on demand, because a manager is a process."""
    return _COMMON | (CONTENDERS | VARIANTS)[contender]()
