"""Run all benchmarks: `python docs/benchmarks --peer DIRECTORY`, or `tox -e bench`, which installs the peer first.

It measures with the C core and in pure Python, each beside the peer. The results go to this directory: results.json,
results.md, and the charts as SVG. With `--quick` it only measures the ratios, and writes nothing. In both modes the
exit code is 1 if a target is missed, but for those in `targets.OUT_OF_REACH`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from by_path import a_write_by_path
from contenders import OURS, PURE, import_peer
from contention import beside_a_writer, of_four_writers, throughput
from footprint import footprint, footprints
from paired import best_of, best_of_all, findings
from report import environment, is_met, markdown, quantity
from targets import FLAVOURS, OUT_OF_REACH
from waking import AIO, POLLING, WAIT_FOR, beside_others, cost, latency, wake_ups

from multiprocessing_intenum import core

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
    parser.add_argument("--flavour", type=Path, help=argparse.SUPPRESS)  # the file for what one flavour has measured
    arguments = parser.parse_args()
    import_peer(arguments.peer)
    results_file = HERE / "results.json"
    if arguments.flavour is not None:
        arguments.flavour.write_text(json.dumps(_measured(arguments.peer, quick=arguments.quick)), encoding="utf-8")
        return 0
    if arguments.redraw:
        _write(json.loads(results_file.read_text(encoding="utf-8")))
        return 0
    if core.core is None:
        parser.error("there is no C core here: install the library with a compiler")
    results = _both(arguments.peer, quick=arguments.quick)
    if not arguments.quick:
        results["environment"] = environment(_version_in(arguments.peer))
        results_file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _write(results)
    missed = [(found["label"], found["flavour"]) for found in results["findings"] if not is_met(found)]
    print("missed:", ", ".join(map(" with ".join, missed)) or "no target")
    return not OUT_OF_REACH.keys() >= set(missed)


def _both(peer: Path, *, quick: bool) -> dict[str, Any]:
    """Measure with the C core and in pure Python, and return the results: the latter is one more contender."""
    found: list[dict[str, Any]] = []
    for flavour in FLAVOURS:
        print(f"\n{flavour}", flush=True)
        with tempfile.TemporaryDirectory() as directory:
            output = Path(directory, "flavour.json")
            command = [sys.executable, str(HERE), "--peer", str(peer), "--flavour", str(output)]
            environ = os.environ | {"MULTIPROCESSING_INTENUM_PURE": "0" if flavour == FLAVOURS[0] else "1"}
            subprocess.run(command + quick * ["--quick"], check=True, env=environ)
            found.append(json.loads(output.read_text(encoding="utf-8")))
    results, pure = found
    results["findings"] += pure["findings"]
    if not quick:
        for operation, times in pure["single"].items():
            results["single"][operation] |= {PURE: times[OURS]} if OURS in times else {}
        for table in ("memory", "throughput"):
            results[table] += [row | {"contender": PURE} for row in pure[table] if row["contender"] == OURS]
        ours = {WAIT_FOR, AIO, POLLING}
        results["wake_ups"] += [
            row | {"way": row["way"] + ", Python"} for row in pure["wake_ups"] if row["way"] in ours
        ]
    return results


def _measured(peer: Path, *, quick: bool) -> dict[str, Any]:
    found = list(_report(_all_findings(rounds=40 if quick else 100)))
    results: dict[str, Any] = {"findings": [dataclasses.asdict(finding) for finding in found]}
    if not quick:
        results |= {
            "memory": footprints(),
            "wake_ups": wake_ups(changes=300),
            "throughput": throughput(seconds=0.25, rounds=3),
            "single": _single(peer),
        }
    return results


def _all_findings(rounds: int) -> Iterator[Finding]:
    yield from findings(rounds)
    yield best_of(6, functools.partial(beside_a_writer, seconds=0.2, rounds=5))
    yield best_of(6, functools.partial(of_four_writers, seconds=0.2, rounds=5))
    yield from best_of_all(4, functools.partial(latency, changes=40, rounds=5))
    yield best_of(4, cost)
    yield from best_of_all(4, functools.partial(beside_others, changes=2000, rounds=10))
    yield best_of(4, functools.partial(a_write_by_path, rounds=20))
    yield best_of(4, footprint)


def _report(found: Iterator[Finding]) -> Iterator[Finding]:
    for finding in found:
        times = f"{quantity(finding.ours, finding.unit):>8} {quantity(finding.other, finding.unit):>8}"
        target = "" if finding.target is None else f"<= {finding.target:.3g}"
        verdict = "" if finding.is_met else "MISSED"
        if not finding.is_met and (finding.label, finding.flavour) in OUT_OF_REACH:
            verdict = f"missed: {OUT_OF_REACH[finding.label, finding.flavour]}"
        line = f"{finding.label:50} {times}   {finding.figure:8.3g} {target} {verdict}"
        print(line.rstrip(), flush=True)
        yield finding


def _single(peer: Path) -> dict[str, dict[str, float]]:
    """Return the medians that pyperf measures, by operation and contender."""
    import pyperf  # the quick mode does without it

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "single.json")
        command = [sys.executable, str(HERE / "single.py"), "--peer", str(peer), "--quiet", "-o", str(output)]
        command += ["--inherit-environ", "MULTIPROCESSING_INTENUM_PURE"]
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
