"""Twenty jobs in a pool of four processes.

Each has a phase of its own, which the parent follows.
"""

import enum
from concurrent.futures import ProcessPoolExecutor

from multiprocessing_intenum import EnumValue, changes, snapshot


class Phase(enum.Enum):
    WAITS = "waits"
    LOADS = "loads"
    CALCULATES = "calculates"
    DONE = "done"


class PhaseValue(EnumValue[Phase]):
    """The phase of one job."""


phases: list[PhaseValue] = []


def share(given: list[PhaseValue]) -> None:
    """Run in each process of the pool, when it starts."""
    phases.extend(given)


def work(number: int) -> int:
    phase = phases[number]  # a task has the number of the value, not the value
    phase.set(Phase.LOADS)
    phase.set(Phase.CALCULATES)
    result = sum(range(number))
    phase.set(Phase.DONE)
    return result


def main() -> None:
    values = [PhaseValue(Phase.WAITS) for _ in range(20)]
    feeds = [changes(value, timeout=0) for value in values]
    with ProcessPoolExecutor(4, initializer=share, initargs=(values,)) as pool:
        results = list(pool.map(work, range(20)))
    print("results:", sum(results))
    print(
        "done:",
        sum(snapshot(value) is Phase.DONE for value in values),
        "of",
        len(values),
    )
    print("job 7:", *(change.after.value for change in feeds[7]))


if __name__ == "__main__":
    main()
