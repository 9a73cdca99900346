"""Memory: how much each value adds to a process, including its own lock."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

from contenders import OURS, names_of
from operations import OPERATIONS
from paired import Finding
from targets import Target

__all__ = ["footprint", "footprints"]

_TARGET = Target(5_000, 8_000)
_COUNT = 2000
_CREATIONS = [operation for operation in OPERATIONS if operation.group == "creation"]


def footprints(contenders: list[str]) -> list[dict[str, Any]]:
    """Return the bytes of resident memory per value, with its own lock and with a shared one, by contender."""
    return [
        {
            "label": operation.label,
            "contender": contender,
            "bytes": _bytes_each(operation.statements[contender], contender),
        }
        for operation in _CREATIONS
        for contender in contenders
    ]


def footprint() -> list[Finding]:
    """Measure the memory of one value with a lock of its own."""
    used = _bytes_each("Status(member)", OURS)
    return [Finding("memory of a value with its own lock", "", used, None, used, _TARGET.here, unit="B")]


def _bytes_each(statement: str, contender: str) -> float:
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_grow, args=(statement, contender, theirs))  # its memory is freed when it ends
    process.start()
    grown: int = ours.recv()
    process.join()
    return grown / _COUNT


def _grow(statement: str, contender: str, theirs: Any) -> None:
    expression = compile("(" + statement.replace(";", ",") + ")", contender, "eval")
    names = names_of(contender)
    kept = [eval(expression, names) for _ in range(100)]  # the first values use memory that is already free
    before = _resident()
    kept += [eval(expression, names) for _ in range(_COUNT)]
    theirs.send(_resident() - before)


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
