"""Memory reuse: a process drops a value while its child writes to it. Does the write show up in another value?"""

from __future__ import annotations

import gc
import multiprocessing
from typing import Any

from common import DEADLINE, FORBIDDEN, LOCKS, METHODS, PEER, Report, State, load_peer, reap

from multiprocessing_intenum import IntEnumValue

OTHERS = 20


class OurState(IntEnumValue[State]):
    pass


def write_when_told(status: Any, pipe: Any) -> None:
    pipe.send("ready")
    pipe.recv()
    for _ in range(100):
        status.set(State.UNAVAILABLE)
        pipe.send(status.name)


def trial(ctx: Any, make: Any) -> tuple[bool, bool]:
    """Return whether the child failed, and whether its writes changed another value."""
    ours, theirs = ctx.Pipe()
    status = make(ctx)
    child = ctx.Process(target=write_when_told, args=(status, theirs))
    child.start()
    theirs.close()
    # Drop the value at once: with spawn, the child has not opened its arguments yet.
    del status
    gc.collect()
    others = [make(ctx) for _ in range(OTHERS)]
    try:
        assert ours.poll(DEADLINE)
        ours.recv()
        ours.send("go")
        for _ in range(100):
            assert ours.poll(DEADLINE)
            assert ours.recv() == "UNAVAILABLE"
    except EOFError:
        pass
    failed = reap(child) != 0
    return failed, any(other.name != "IDLE" for other in others)


def main() -> None:
    report = Report("Memory reuse")

    class PeerState(load_peer().IntEnumValue[State]):
        pass

    makers = [
        *((column, lambda ctx, lock=lock: OurState(State.IDLE, lock=lock(ctx))) for column, lock in LOCKS),
        (PEER, lambda ctx: PeerState(State.IDLE)),
    ]
    for method in METHODS:
        ctx = multiprocessing.get_context(method)
        times = report.count(50 if method == "fork" else 20, 3)
        for column, make in makers:
            if column == PEER and method != "fork":
                continue  # its default value cannot be passed to such a process
            results = [trial(ctx, make) for _ in range(times)]
            verdict = "" if column == PEER else FORBIDDEN
            check = f"dropped by its maker while a child writes, {method}"
            report.seen(check, "the child fails", sum(failed for failed, _ in results), times, verdict, column)
            changed = sum(changed for _, changed in results)
            report.seen(check, "another value changes", changed, times, verdict, column)
    report.finish()


if __name__ == "__main__":
    main()
