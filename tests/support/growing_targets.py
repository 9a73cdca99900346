"""What the processes of a rolling deploy run: they open a value again and again, and change it."""

from __future__ import annotations

import csv
import os
import random
import time
from typing import TYPE_CHECKING, Any

from helpers import DEADLINE

from multiprocessing_intenum import UnknownMemberError, exchange, value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BEHIND = 8
"""How many changes a writer lets the follower be behind. With the changes of the other writers it stays below 16."""


def change_often(kinds: Sequence[Any], path: str, seen_path: str, changes: int) -> tuple[int, int]:
    """Change the value this often, with the classes in turn.

    Returns:
        How many changes were made, and how often a state was found that the class does not know.
    """
    seen: Any = value_at(seen_path, "q", 0)
    made = unknown = 0
    deadline = time.monotonic() + DEADLINE
    for turn in range(10**9):
        kind = kinds[turn % len(kinds)]
        status = kind("IDLE", at=path)  # it describes the file, if it has to
        cell = status._self_cell
        count = cell.words.count
        for _ in range(10):
            if made == changes:
                return made, unknown
            while count[()] - seen.value > BEHIND:
                assert time.monotonic() < deadline, "the follower does not follow"
                time.sleep(0)
            new = random.choice(list(kind.EnumType))
            try:
                made += exchange(status, new) is not new
            except UnknownMemberError:
                unknown += 1
                with status.get_lock():
                    if cell.known() is None:
                        status.set("IDLE")  # this version goes on from what it knows
                        made += 1
        del status, cell, count
    raise AssertionError


def open_alternately(kinds: Sequence[Any], path: str, has_begun: int) -> None:
    """Open the value with the classes in turn, until this process is killed. Write to `has_begun` at the beginning."""
    for turn in range(10**9):
        status = kinds[turn % len(kinds)]("IDLE", at=path)
        if turn == 1:
            os.write(has_begun, b".")
        status.set("IDLE")
        del status


def write_csv(feed: Iterator[Any], path: str, last: str) -> int:
    """Write a row for each change into a file, until the state has this name. Return how many there were."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        for count, change in enumerate(feed, 1):
            before = None if change.before is None else change.before.name
            rows.writerow([change.number, before, change.after.name])
            file.flush()
            if change.after.name == last:
                return count
    raise AssertionError
