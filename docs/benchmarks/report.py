"""The results as JSON and as the Markdown tables that the documentation includes."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import BARE, CONTENDERS, MEMBER, OURS, PEER, PLAIN_VALUE, PURE
from operations import OPERATIONS
from targets import FLAVOURS, OUT_OF_REACH
from waking import IDLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["environment", "is_met", "markdown", "pairs_of", "quantity", "rows_of"]


_COLUMNS = (OURS, PURE, *(each for each in CONTENDERS if each != OURS))


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


def quantity(seconds: float, unit: str = "s") -> str:
    """Return a time as text, in a suitable unit; or a number of bytes."""
    if unit == "B":
        return f"{seconds:,.0f} B"
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 100 else f"{seconds * factor:.0f} {unit}"
    return f"{seconds:.3g} s"


def is_met(row: dict[str, Any]) -> bool:
    """Whether a finding has met its target, or has none."""
    return row["target"] is None or row["figure"] <= row["target"]


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
            *_both("the peer", pairs_of(results, "peer")),
            "",
            "## What the peer cannot do",
            "",
            "The ratio is how much longer it takes than on the plain member, in units of the peer's `==`.",
            "",
            *_both("plain member", pairs_of(results, "member")),
            "",
            "## Enums of other kinds, and transitions",
            "",
            *_both("an `IntEnumValue` in C", pairs_of(results, "variants")),
            "",
            "## Waiting, writes by path, and memory",
            "",
            *_both("compared with", pairs_of(results, "waiting"), named=True),
            "",
            *(f"- {label}, in {flavour}: {why}." for (label, flavour), why in OUT_OF_REACH.items()),
            "",
            "## All contenders",
            "",
            *_table(
                ("operation", *_COLUMNS),
                (
                    (f"`{operation.label}`", *_cells(results["single"].get(operation.label, {})))
                    for operation in OPERATIONS
                ),
            ),
            "",
            "## Memory of one value",
            "",
            *_table(
                ("", OURS, PEER, "multiprocessing.Value", BARE, PURE),
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
        ]
    )


def pairs_of(results: dict[str, Any], group: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the findings of a group, each with the C core and in pure Python."""
    by_flavour = [[row for row in rows_of(results, group) if row["flavour"] == each] for each in FLAVOURS]
    return list(zip(*by_flavour, strict=True))


def _both(other: str, pairs: Iterable[tuple[dict[str, Any], dict[str, Any]]], *, named: bool = False) -> list[str]:
    def cells(row: dict[str, Any]) -> tuple[str, str]:
        figure, target = row["figure"], row["target"]
        verdict = "" if target is None else f" {'≤' if is_met(row) else '**>**'} {_ratio(target)}"
        return quantity(row["ours"], row["unit"]), _ratio(figure) + verdict

    def compared(row: dict[str, Any]) -> str:
        return quantity(row["other"], row["unit"]) + (f", {row['against']}" if named else "")

    return _table(
        ("", "C core", "ratio ≤ target", "pure Python", "ratio ≤ target", other),
        ((_named(c["label"]), *cells(c), *cells(pure), compared(c)) for c, pure in pairs),
    )


def _named(label: str) -> str:
    statement, comma, variant = label.partition(", ")
    is_code = any(each in statement for each in "().+=[")
    return f"`{statement}`{comma}{variant}" if is_code else label


def _ratio(figure: float) -> str:
    return f"{figure:.2f}" if figure >= 0.01 else f"{figure:.4f}"


def _cells(times: dict[str, float]) -> Iterable[str]:
    return (quantity(times[contender]) if contender in times else "" for contender in _COLUMNS)


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
