"""Time the single operations with pyperf, which starts processes. `measurements.py` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyperf
from contenders import import_peer
from operations import OPERATIONS
from paired import UNROLL, timer

if TYPE_CHECKING:
    import argparse

    from operations import Operation


def measure(loops: int, operation: Operation, contender: str) -> float:
    """Return the seconds that so many loops take."""
    return timer(operation, contender).timeit(loops)


def pass_on(command: list[str], arguments: argparse.Namespace) -> None:
    """Pass the arguments on to the processes that pyperf starts."""
    command.extend(("--peer", str(arguments.peer), "--contenders", arguments.contenders))


def main() -> None:
    """Time each operation of each contender."""
    runner = pyperf.Runner(processes=2, values=4, warmups=1, min_time=0.02, add_cmdline_args=pass_on)
    runner.argparser.add_argument("--peer", type=Path, required=True)
    runner.argparser.add_argument("--contenders", required=True, help="separated by commas")
    arguments = runner.parse_args()
    import_peer(arguments.peer)
    contenders = arguments.contenders.split(",")
    for operation in OPERATIONS:
        for contender in filter(operation.statements.__contains__, contenders):
            runner.bench_time_func(
                f"{operation.label} | {contender}", measure, operation, contender, inner_loops=UNROLL
            )


if __name__ == "__main__":
    main()
