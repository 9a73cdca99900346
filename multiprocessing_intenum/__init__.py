"""A multiprocessing-safe enum value: one number in shared memory that looks like the enum member it names."""

from sys import maxsize as _maxsize
from typing import TYPE_CHECKING, Any

if _maxsize < 2**32:
    _message = (
        "multiprocessing_intenum needs a Python of 64 bits, because its states have 64: one of 32 bits stores them in "
        "two pieces, and another process could read a half"
    )
    raise ImportError(_message)

from multiprocessing_intenum.attribute import EnumAttribute, IntEnumAttribute
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.change import Change, changes, history, last_change
from multiprocessing_intenum.enums.members import UnknownMemberError
from multiprocessing_intenum.enums.transitions import TransitionError, mermaid
from multiprocessing_intenum.locks.robust import RobustRLock
from multiprocessing_intenum.mutator import compare_and_exchange, compare_and_set, exchange, update
from multiprocessing_intenum.owner import adopt, reap
from multiprocessing_intenum.proxy import EnumValue, IntEnumValue
from multiprocessing_intenum.value import snapshot
from multiprocessing_intenum.waiting import wait_for

if TYPE_CHECKING:
    from multiprocessing_intenum.by_path.value_at import value_at

__all__ = [
    "Change",
    "EnumAttribute",
    "EnumValue",
    "IntEnumAttribute",
    "IntEnumValue",
    "RobustRLock",
    "SharedFile",
    "TransitionError",
    "UnknownMemberError",
    "adopt",
    "changes",
    "compare_and_exchange",
    "compare_and_set",
    "exchange",
    "history",
    "last_change",
    "mermaid",
    "reap",
    "snapshot",
    "update",
    "value_at",
    "wait_for",
]


def __getattr__(name: str) -> Any:
    # A program without values by path does not load the modules for them.
    if name == "value_at":
        from multiprocessing_intenum.by_path.value_at import value_at

        return value_at
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
