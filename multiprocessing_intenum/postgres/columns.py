"""The columns of a record's row: as SQL, and as what they hold."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from multiprocessing_intenum.by_path.mirror import Claim, Row, RowChange

__all__ = ["COLUMNS", "NOW", "TOKEN", "TOKENS", "added", "change_of", "row_of", "sql_of"]

_KEPT = 16
"""Changes in the history, besides the one before them."""

TOKENS = range(10**17, 10**18)
"""Owners choose their tokens from these. The keys of other advisory locks are small, or hashes of 64 bits."""

TOKEN = "(history -> -1 -> 4 ->> 0)"
"""The token of the owner of the state, as text; NULL if nobody owns the state."""

# The server gives this lock back at once, at the end of the transaction. It is a shared one, so that two processes that
# ask at the same time do not take each other for the owner. A standby does not know the locks of its primary. The CASE
# keeps the server from taking for a token what another program has written.
_LIVES = (
    f"CASE WHEN {TOKEN} ~ '^[0-9]{{18}}$' AND NOT pg_is_in_recovery() "
    f"THEN NOT pg_try_advisory_xact_lock_shared({TOKEN}::bigint) END"
)

COLUMNS = f"enum, state, version, history, {_LIVES}"
"""What `row_of` takes."""

NOW = "extract(epoch FROM clock_timestamp())"

_SHORTENED = f"CASE WHEN jsonb_array_length(history) > {_KEPT} THEN history - 0 ELSE history END"


def added(entry: str, kept: str = _SHORTENED) -> str:
    """Return the SQL that adds an entry to the history, or to what is kept of it."""
    return f"history = {kept} || jsonb_build_array(jsonb_build_array({entry}))"


def sql_of(claim: Claim | None) -> str:
    """Return the end of an entry."""
    return "" if claim is None else f", jsonb_build_array({claim.token}, ({claim.on_death})::bigint, {claim.pid})"


def change_of(version: int, state: int, at: float, pid: int, claim: Sequence[int] | None = None) -> RowChange:
    """Return an entry of the history. A mirror has 32 bits for a process id."""
    if claim is None:
        return RowChange(version, state, at, pid & 0xFFFFFFFF)
    token, on_death, owner = claim
    return RowChange(version, state, at, pid & 0xFFFFFFFF, Claim(int(token), int(on_death), owner & 0xFFFFFFFF))


def row_of(rows: list[list[Any]]) -> Row | None:
    """Return the only row of an answer, or None if it has none."""
    if not rows:
        return None
    ((description, state, version, history, lives),) = rows
    changes = [change_of(*each) for each in json.loads(history)]
    row = Row(json.loads(description), int(state), int(version), changes, lives != b"f")
    if [(each.version, each.state) for each in row.history[-1:]] != [(row.version, row.state)]:
        # The state was written by hand, at an unknown time.
        row.history.append(RowChange(row.version, row.state, time.time(), 0))
    return row
