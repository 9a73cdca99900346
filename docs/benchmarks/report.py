"""The results as JSON and as the Markdown tables that the documentation includes."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import BARE, CONTENDERS, MEMBER, OURS, PEER, PLAIN_VALUE
from operations import OPERATIONS
from waking import IDLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["environment", "markdown", "quantity", "rows_of"]


def environment(peer_version: str) -> dict[str, str]:
    """Return the date, and the machine and versions that this runs on."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": ", ".join(
            [
                f"this library {version('multiprocessing-intenum')}",
                f"multiprocessing-intenum {peer_version} (the peer)",
                *(f"{name} {version(name)}" for name in ("wrapt", "werkzeug", "pyperf")),
            ]
        ),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "processor unknown"


def quantity(seconds: float) -> str:
    """Return a time as text, in a suitable unit."""
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 100 else f"{seconds * factor:.0f} {unit}"
    return f"{seconds:.3g} s"


def rows_of(results: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """Return the findings against the "peer" or the "member", those of "variants" of the value, or on "waiting"."""
    groups = {PEER: "peer", MEMBER: "member", PLAIN_VALUE: "variants"}
    return [found for found in results["findings"] if groups.get(found["against"], "waiting") == group]


def markdown(results: dict[str, Any]) -> str:
    """Return the tables."""
    where = results["environment"]
    return "\n".join(
        [
            f"Measured on {where['date']} with {where['python']} on {where['machine']}; {where['versions']}.",
            "",
            "## Against multiprocessing-intenum",
            "",
            *_table(
                ("operation", "this library", "the peer", "ratio", "target", "met"),
                (
                    (
                        f"`{row['label']}`" if row["label"][:2] != "a " else row["label"],
                        quantity(row["ours"]),
                        quantity(row["other"]),
                        *_verdict(row),
                    )
                    for row in rows_of(results, "peer")
                ),
            ),
            "",
            "## What the peer cannot do",
            "",
            *_table(
                (
                    "operation",
                    "shared value",
                    "plain member",
                    "longer by",
                    "in units of the peer's `==`",
                    "target",
                    "met",
                ),
                (
                    (
                        f"`{row['label']}`",
                        quantity(row["ours"]),
                        quantity(row["other"]),
                        quantity(row["ours"] - row["other"]),
                        *_verdict(row),
                    )
                    for row in rows_of(results, "member")
                ),
            ),
            "",
            "## Enums of other kinds, and transitions",
            "",
            *_table(
                ("operation", "of", "its time", "an `IntEnumValue`", "ratio", "target", "met"),
                (
                    (
                        *_statement_and_variant(row["label"]),
                        quantity(row["ours"]),
                        quantity(row["other"]),
                        *_verdict(row),
                    )
                    for row in rows_of(results, "variants")
                ),
            ),
            "",
            "## All contenders",
            "",
            *_table(
                ("operation", *CONTENDERS),
                (
                    (f"`{operation.label}`", *_cells(results["single"].get(operation.label, {})))
                    for operation in OPERATIONS
                ),
            ),
            "",
            "## Memory of one value",
            "",
            *_table(
                ("", OURS, PEER, "multiprocessing.Value", BARE),
                (
                    (text, *(f"{row['bytes']:.0f} B" for row in results["memory"] if row["label"] == label))
                    for text, label in (
                        ("with a lock of its own", "Status(member)"),
                        ("with a common lock", "Status(member, lock)"),
                    )
                ),
            ),
            "",
            "## Throughput",
            "",
            *_throughput(results["throughput"]),
            "",
            "## Waking up",
            "",
            *_table(
                ("", "median", "99 % within", f"processor time of {IDLE_SECONDS:g} s of waiting"),
                (
                    (f"`{row['way']}`", *(quantity(row[key]) for key in ("median", "p99", "processor_time")))
                    for row in results["wake_ups"]
                ),
            ),
            "",
            *_table(
                ("", "`wait_for`", "compared with", "ratio", "target", "met"),
                (
                    (
                        row["label"],
                        quantity(row["ours"]),
                        f"{quantity(row['other'])}, {row['against']}",
                        *_verdict(row),
                    )
                    for row in rows_of(results, "waiting")
                ),
            ),
            "",
        ]
    )


def _statement_and_variant(label: str) -> tuple[str, str]:
    statement, _, variant = label.partition(", ")
    return f"`{statement}`", variant


def _verdict(row: dict[str, Any]) -> tuple[str, str, str]:
    figure, target = row["figure"], row["target"]
    if target is None:
        return _ratio(figure), "none", ""
    return _ratio(figure), f"≤ {_ratio(target)}", "yes" if figure <= target else "**no**"


def _ratio(figure: float) -> str:
    return f"{figure:.2f}" if figure >= 0.01 else f"{figure:.4f}"


def _cells(times: dict[str, float]) -> Iterable[str]:
    return (quantity(times[contender]) if contender in times else "" for contender in CONTENDERS)


def _throughput(rows: Sequence[dict[str, Any]]) -> list[str]:
    counts = sorted({row["processes"] for row in rows})
    lines = {}
    for row in rows:
        beside = ", beside a writer" if row["writer"] else ""
        key = (f"{row['what']}{beside}", row["contender"])
        lines.setdefault(key, []).append(f"{row['per_second'] / 1e6:.3g}")
    return _table(
        ("million a second", "", *(f"{count} process{'es' * (count > 1)}" for count in counts)),
        ((*key, *cells) for key, cells in lines.items()),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
