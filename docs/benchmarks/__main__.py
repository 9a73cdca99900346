"""Run all benchmarks: `python docs/benchmarks --peer DIRECTORY`, or `tox -e bench`, which installs the peer first.

The results go to this directory: results.json, results.md, and the charts as SVG. With `--quick` it only measures
the ratios, takes less than two minutes, and writes nothing. In both modes the exit code is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import import_peer
from contention import beside_a_writer, throughput
from footprint import footprints
from paired import best_of, findings
from report import environment, markdown, quantity
from waking import cost, latency, wake_ups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paired import Finding

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run what the command line selects, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Compare this library with its peer and others.")
    parser.add_argument("--peer", type=Path, required=True, help="where multiprocessing-intenum 1.1 is installed")
    parser.add_argument("--quick", action="store_true", help="only measure the ratios; write nothing")
    parser.add_argument("--redraw", action="store_true", help="only write tables and charts anew from results.json")
    arguments = parser.parse_args()
    import_peer(arguments.peer)
    results_file = HERE / "results.json"
    if arguments.redraw:
        _write(json.loads(results_file.read_text(encoding="utf-8")))
        return 0
    found = list(_report(_all_findings(rounds=40 if arguments.quick else 100)))
    if not arguments.quick:
        results = {
            "environment": environment(_version_in(arguments.peer)),
            "findings": [dataclasses.asdict(finding) for finding in found],
            "memory": footprints(),
            "wake_ups": wake_ups(changes=300),
            "throughput": throughput(seconds=0.25, rounds=3),
            "single": _single(arguments.peer),
        }
        results_file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _write(results)
    missed = [finding.label for finding in found if not finding.is_met]
    print(f"missed: {', '.join(missed)}" if missed else "all targets are met")
    return bool(missed)


def _all_findings(rounds: int) -> Iterator[Finding]:
    yield from findings(rounds)
    yield best_of(6, functools.partial(beside_a_writer, seconds=0.2, rounds=5))
    yield best_of(4, functools.partial(latency, changes=40, rounds=5))
    yield best_of(4, cost)


def _report(found: Iterator[Finding]) -> Iterator[Finding]:
    for finding in found:
        times = f"{quantity(finding.ours):>8} {quantity(finding.other):>8}"
        target = "" if finding.target is None else f"<= {finding.target:.3g}"
        verdict = "" if finding.is_met else "MISSED"
        line = f"{finding.label:35} {times}   {finding.figure:8.3g} {target} {verdict}"
        print(line.rstrip(), flush=True)
        yield finding


def _single(peer: Path) -> dict[str, dict[str, float]]:
    """Return the medians that pyperf measures, by operation and contender."""
    import pyperf  # the quick mode does without it

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "single.json")
        command = [sys.executable, str(HERE / "single.py"), "--peer", str(peer), "--quiet", "-o", str(output)]
        subprocess.run(command, check=True)
        medians: dict[str, dict[str, float]] = {}
        for benchmark in pyperf.BenchmarkSuite.load(str(output)):
            operation, _, contender = benchmark.get_name().rpartition(" | ")
            medians.setdefault(operation, {})[contender] = benchmark.median()
    return medians


def _write(results: dict[str, Any]) -> None:
    from charts import draw  # needs matplotlib, which the quick mode does without

    (HERE / "results.md").write_text(markdown(results), encoding="utf-8")
    draw(results, HERE)


def _version_in(directory: Path) -> str:
    return next(found.version for found in distributions(path=[str(directory)]))


if __name__ == "__main__":
    sys.exit(main())
