"""All measurements that have a target, and what the tables need besides: each runs in a process of one flavour."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from by_path import a_write_by_path
from contenders import OURS, PEER
from contention import beside_a_writer, of_four_writers
from footprint import footprint
from operations import OPERATIONS, OPERATIONS_OF_VARIANTS
from paired import against_member, against_peer, against_plain_value
from waking import beside_others, coroutine, idle, waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paired import Finding

__all__ = ["measurements", "single"]


def measurements(*, quick: bool) -> dict[str, Callable[[], list[Finding]]]:
    """Return the measurements by name, in the order of the tables."""
    rounds = 40 if quick else 100
    return {
        **{each.label: partial(against_peer, each, rounds) for each in OPERATIONS if PEER in each.statements},
        "readers": partial(beside_a_writer, seconds=0.15, rounds=5 if quick else 9),
        "writers": partial(of_four_writers, seconds=0.15, rounds=5 if quick else 9),
        "waiter": partial(waiter, blocks=3 if quick else 5),
        "coroutine": partial(coroutine, blocks=2 if quick else 3),
        "idle": idle,
        "others": partial(beside_others, rounds),
        "by path": partial(a_write_by_path, rounds),
        "memory": footprint,
        **{each.label: partial(against_member, each, rounds) for each in OPERATIONS if each.group == "masquerade"},
        **{
            f"{each.label}, {variant}": partial(against_plain_value, each, variant, rounds)
            for each in OPERATIONS_OF_VARIANTS
            for variant in each.statements
            if variant != OURS
        },
    }


def single(peer: Path, contenders: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the medians that pyperf measures, by operation and contender."""
    import pyperf  # the quick mode does without it

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "single.json")
        command = [sys.executable, str(Path(__file__).with_name("single.py"))]
        command += ["--peer", str(peer), "--contenders", ",".join(contenders), "--quiet", "-o", str(output)]
        command += ["--inherit-environ", "MULTIPROCESSING_INTENUM_PURE,TMPDIR"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        medians: dict[str, dict[str, float]] = {}
        for benchmark in pyperf.BenchmarkSuite.load(str(output)):
            operation, _, contender = benchmark.get_name().rpartition(" | ")
            medians.setdefault(operation, {})[contender] = benchmark.median()
    return medians
