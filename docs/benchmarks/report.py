"""The results as JSON and as the Markdown tables that the documentation includes."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import BARE, CONTENDERS, MEMBER, OURS, PEER, PLAIN_VALUE, PURE, VALUE
from operations import OPERATIONS
from paired import Finding
from targets import AT_LEAST, AT_MOST, PURE_PYTHON, WHERE_IT_GOES, C
from waking import IDLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["HEAD", "environment", "line", "markdown", "miss", "other_of", "pairs_of", "quantity"]

_COLUMNS = (OURS, PURE, *(each for each in CONTENDERS if each != OURS))
_WITH = {C: "with the C core", PURE_PYTHON: "in pure Python"}
_AGAINST = {PEER: "the peer", MEMBER: "plain member", PLAIN_VALUE: "an `IntEnumValue`"}


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


def quantity(number: float, unit: str = "s") -> str:
    """Return a time as text, in a suitable unit; or a number of bytes, or how many a second."""
    if unit == "B":
        return f"{number:,.0f} B"
    if unit == "/s":
        return f"{number / 1e6:.3g} M"
    for suffix, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if number * factor < 1000:
            return f"{number * factor:.3g} {suffix}" if number * factor < 100 else f"{number * factor:.0f} {suffix}"
    return f"{number:.3g} s"


HEAD = f"{'':46} {'with the C core':27} {'in pure Python':27} compared with"
"""What stands above the lines of the terminal."""


def line(c: Finding, pure: Finding) -> str:
    """Return what a measurement has found, as a line of the terminal."""
    cells = [f"{quantity(each.ours, each.unit):>8} {_verdict(each):18}" for each in (c, pure)]
    missed = "" if c.is_met and pure.is_met else "   MISSED"
    return f"{c.label:46} {' '.join(cells)} {other_of(c):>8}{missed}".rstrip()


def miss(found: Finding) -> str:
    """Return with which flavour a target is missed, and where the time goes."""
    return ": ".join(filter(None, (_WITH[found.flavour], _why(found))))


def _why(found: Finding) -> str:
    return WHERE_IT_GOES.get((found.label, found.flavour), "")


def pairs_of(results: dict[str, Any], *groups: str) -> list[tuple[Finding, Finding]]:
    """Return the findings against the "peer" or the "member", those of "variants" of the value, or all "others".

    Each comes with the C core and in pure Python.
    """
    of_contender = {PEER: "peer", MEMBER: "member", PLAIN_VALUE: "variants"}
    found = [each for each in map(_finding, results["findings"]) if of_contender.get(each.against, "others") in groups]
    by_flavour = [[each for each in found if each.flavour == flavour] for flavour in (C, PURE_PYTHON)]
    return list(zip(*by_flavour, strict=True))


def markdown(results: dict[str, Any]) -> str:
    """Return the tables."""
    where = results["environment"]
    memory = {(row["label"], row["contender"]): row["bytes"] for row in results["memory"]}
    return "\n".join(
        [
            f"Measured on {where['date']} with {where['python']} on {where['machine']}; {where['versions']}.",
            "",
            "## The targets",
            "",
            *_both(pairs_of(results, "peer", "others")),
            "",
            *_missed(results),
            "## What the peer cannot do",
            "",
            "The ratio is how much longer it takes than on the plain member, in units of the peer's `==`.",
            "",
            *_both(pairs_of(results, "member")),
            "",
            "## Enums of other kinds, and transitions",
            "",
            *_both(pairs_of(results, "variants")),
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
                ("", OURS, PURE, PEER, VALUE, BARE),
                (
                    (text, *(quantity(memory[label, each], "B") for each in (OURS, PURE, PEER, VALUE, BARE)))
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


def _finding(row: dict[str, Any]) -> Finding:
    return Finding(**row)


def _both(pairs: Iterable[tuple[Finding, Finding]]) -> list[str]:
    return _table(
        ("", "C core", "ratio, target", "pure Python", "ratio, target", "compared with"),
        (
            (
                _named(c),
                *(cell for each in (c, pure) for cell in (quantity(each.ours, each.unit), _verdict(each, "**"))),
                ", ".join(filter(None, (other_of(c), _AGAINST.get(c.against, c.against)))),
            )
            for c, pure in pairs
        ),
    )


def _verdict(found: Finding, mark: str = "") -> str:
    """Return the ratio and the target. The sign between them says what is true, marked where that is a miss."""
    figure = "" if found.other is None else _ratio(found.figure, digits=2 if found.is_met else 3)
    if found.target is None:
        return figure
    limit = quantity(found.target, found.unit) if found.other is None else f"{found.target:.2f}".rstrip("0").rstrip(".")
    opposite = {AT_MOST: ">", AT_LEAST: "<"}[found.sense]
    return f"{figure} {found.sense if found.is_met else f'{mark}{opposite}{mark}'} {limit}".strip()


def _missed(results: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each target that is missed, with where the time goes."""
    flavours: dict[tuple[str, str], list[str]] = {}
    for each in map(_finding, results["findings"]):
        if not each.is_met:
            flavours.setdefault((_named(each), _why(each)), []).append(_WITH[each.flavour])
    if flavours:
        yield from ("These miss their targets:", "")
    for (name, why), both in flavours.items():
        yield f"- {name}, {' and '.join(both)}{': ' * bool(why)}{why}."
    if flavours:
        yield ""


def other_of(found: Finding) -> str:
    """Return what a finding is compared with as text, if there is anything."""
    return "" if found.other is None else quantity(found.other, found.unit)


def _named(found: Finding) -> str:
    if found.against == PLAIN_VALUE:
        statement, _, variant = found.label.rpartition(", ")
        return f"`{statement}`, {variant}"
    is_code = found.label in {operation.label for operation in OPERATIONS}
    return f"`{found.label}`" if is_code else found.label


def _ratio(figure: float, digits: int) -> str:
    return f"{figure:.{digits}f}"


def _cells(times: dict[str, float]) -> Iterable[str]:
    return (quantity(times[contender]) if contender in times else "" for contender in _COLUMNS)


def _throughput(rows: Sequence[dict[str, Any]]) -> list[str]:
    counts = sorted({row["processes"] for row in rows})
    lines: dict[tuple[str, str], list[str]] = {}
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
