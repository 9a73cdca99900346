"""The process in which one flavour is measured. `flavours.py` starts it, asks it line by line, and reads its answers.

The end of its input is its own end, and that of all processes that it has started, whatever they do just then. So
nothing is left when the program that asks is interrupted, or killed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import queue
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import import_peer
from contention import rates
from footprint import footprints
from measurements import measurements, single
from waking import idle_times, wake_ups

from multiprocessing_intenum import core

if TYPE_CHECKING:
    from collections.abc import Callable


def _read(lines: queue.SimpleQueue[str]) -> None:
    # A descriptor of its own: multiprocessing closes sys.stdin in each child, and must not wait for this thread there.
    with os.fdopen(os.dup(0), encoding="utf-8") as requests:
        for line in requests:
            lines.put(line)
    os.killpg(os.getpid(), signal.SIGKILL)  # it leads its process group: see `flavours.py`


def _answer(peer: Path, request: str, arguments: dict[str, Any]) -> Any:
    if request == "kind":
        return core.kind
    if request == "findings":
        measure = measurements(quick=arguments["quick"])[arguments["name"]]
        return [dataclasses.asdict(finding) for finding in measure()]
    if request == "single":
        return single(peer, **arguments)
    tables: dict[str, Callable[..., Any]] = {
        "memory": footprints,
        "wake_ups": wake_ups,
        "idle_times": idle_times,
        "throughput": rates,
    }
    return tables[request](**arguments)


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", type=Path, required=True)
    peer = parser.parse_args().peer
    import_peer(peer)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        print(json.dumps(_answer(peer, *json.loads(lines.get()))), flush=True)


if __name__ == "__main__":
    main()
