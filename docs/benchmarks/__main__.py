"""Run all benchmarks: `python docs/benchmarks --peer DIRECTORY`, or `tox -e bench`, which installs the peer first.

It measures with the C core and in pure Python, in turns, each beside the peer. The results go to this directory:
results.json, results.md, and the charts as SVG. With `--quick` it only measures what has a target, and writes nothing.
In both modes the exit code is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import BARE, CONTENDERS, MANAGER, OURS, PEER, PURE, VALUE
from flavours import both
from measurements import measurements
from paired import Finding
from report import HEAD, environment, line, markdown, miss
from waking import AIO, WAIT_FOR, WAYS, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flavours import Flavour

HERE = Path(__file__).resolve().parent

_ATTEMPTS = 4
"""How often to measure what misses its target: another program can make it miss, but hardly make it meet the target."""


def main() -> int:
    """Run what the command line selects, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Compare this library with its peer and others.")
    parser.add_argument("--peer", type=Path, help="where multiprocessing-intenum 1.1 is installed")
    parser.add_argument("--quick", action="store_true", help="only measure what has a target; write nothing")
    parser.add_argument("--redraw", action="store_true", help="only write tables and charts anew from results.json")
    arguments = parser.parse_args()
    results_file = HERE / "results.json"
    if arguments.redraw:
        _write(json.loads(results_file.read_text(encoding="utf-8")))
        return 0
    if arguments.peer is None:
        parser.error("--peer is missing: the directory in which multiprocessing-intenum 1.1 is installed")
    with both(arguments.peer) as (c, pure):
        findings = list(_findings(c, pure, quick=arguments.quick))
        if not arguments.quick:
            results = {"environment": environment(_version_in(arguments.peer))}
            results |= {"findings": [dataclasses.asdict(finding) for finding in findings]} | _tables(c, pure)
    if not arguments.quick:
        results_file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _write(results)
    missed = [finding for finding in findings if not finding.is_met]
    for finding in missed:
        print(f"missed: {finding.label}, {miss(finding)}")
    print(f"targets missed: {len(missed)}" if missed else "all targets are met")
    return bool(missed)


def _findings(c: Flavour, pure: Flavour, *, quick: bool) -> Iterator[Finding]:
    """Yield what each measurement finds, with the C core and then in pure Python."""
    print(HEAD)
    for name in measurements(quick=quick):
        tried: dict[Flavour, list[list[Finding]]] = {c: [], pure: []}
        for _ in range(_ATTEMPTS):
            for flavour, own in tried.items():
                if not own or not all(finding.is_met for finding in _best(own)):
                    found = flavour.ask("findings", name=name, quick=quick)
                    own.append([Finding(**row) for row in found])
        for pair in zip(*map(_best, tried.values()), strict=True):
            print(line(*pair), flush=True)
            yield from pair


def _best(tried: list[list[Finding]]) -> list[Finding]:
    """Return, of each finding, the first attempt that meets the target, or else the best."""
    return [
        next((finding for finding in attempts if finding.is_met), min(attempts, key=lambda finding: finding.excess))
        for attempts in zip(*tried, strict=True)
    ]


def _tables(c: Flavour, pure: Flavour) -> dict[str, Any]:
    """Return what the tables and charts show besides: this library in pure Python is one more contender."""
    print("memory, waking up", flush=True)
    sharing = [OURS, PEER, VALUE, BARE]
    memory = c.ask("memory", contenders=sharing) + _as_pure(pure.ask("memory", contenders=[OURS]))
    wake_ups = _wake_ups(c, pure)
    print("throughput", flush=True)
    rounds = [
        c.ask("throughput", contenders=[*sharing, MANAGER], seconds=0.15)
        + _as_pure(pure.ask("throughput", contenders=[OURS], seconds=0.15))
        for _ in range(3)
    ]
    throughput = [
        same[0] | {"per_second": statistics.median(row["per_second"] for row in same)}
        for same in zip(*rounds, strict=True)
    ]
    print("single operations of all contenders", flush=True)
    single = c.ask("single", contenders=list(CONTENDERS))
    for operation, times in pure.ask("single", contenders=[OURS]).items():
        single[operation][PURE] = times[OURS]
    return {"memory": memory, "wake_ups": wake_ups, "throughput": throughput, "single": single}


def _wake_ups(c: Flavour, pure: Flavour) -> list[dict[str, Any]]:
    """Return a row for each way to wait. Polling is Python with both flavours."""
    of_pure = f", {PURE}"
    measured = (c, list(WAYS), ""), (pure, [WAIT_FOR, AIO], of_pure)
    latencies: dict[str, list[float]] = {}
    for _ in range(4):
        for flavour, ways, suffix in measured:
            for way, times in flavour.ask("wake_ups", ways=ways, changes=50).items():
                latencies.setdefault(way + suffix, []).extend(times)
    used = {
        way + suffix: time
        for flavour, ways, suffix in measured
        for way, time in flavour.ask("idle_times", ways=ways).items()
    }
    return [
        {"way": way, "median": percentile(times, 50), "p99": percentile(times, 99), "processor_time": used[way]}
        for way, times in sorted(latencies.items(), key=lambda item: list(WAYS).index(item[0].removesuffix(of_pure)))
    ]


def _as_pure(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"contender": PURE} for row in rows]


def _write(results: dict[str, Any]) -> None:
    from charts import draw  # needs matplotlib, which the quick mode does without

    (HERE / "results.md").write_text(markdown(results), encoding="utf-8")
    draw(results, HERE)


def _version_in(directory: Path) -> str:
    return next(found.version for found in distributions(path=[str(directory)]))


if __name__ == "__main__":
    sys.exit(main())
