"""A multiprocessing-safe enum value: one integer in shared memory that looks like the enum member it names."""

from multiprocessing_intenum.attribute import IntEnumAttribute
from multiprocessing_intenum.cell import snapshot
from multiprocessing_intenum.change import Change, changes, history, last_change
from multiprocessing_intenum.mutator import compare_and_exchange, compare_and_set, exchange, update
from multiprocessing_intenum.proxy import IntEnumValue
from multiprocessing_intenum.robust import RobustRLock
from multiprocessing_intenum.waiting import wait_for

__all__ = [
    "Change",
    "IntEnumAttribute",
    "IntEnumValue",
    "RobustRLock",
    "changes",
    "compare_and_exchange",
    "compare_and_set",
    "exchange",
    "history",
    "last_change",
    "snapshot",
    "update",
    "wait_for",
]
