"""Step 3: four processes want the worker at the same moment, and one gets it."""

import multiprocessing

from tutorial_share import WorkerStatus, WorkerStatusEnum

from multiprocessing_intenum import compare_and_set

HANDLERS, ROUNDS = 4, 50


def claim(status, barrier, accepted):
    for _ in range(ROUNDS):
        barrier.wait()
        won = compare_and_set(status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING)
        barrier.wait()
        if won:
            accepted.value += 1  # only the winner of this round gets here
            status.set(WorkerStatusEnum.IDLE)


if __name__ == "__main__":
    status = WorkerStatus(WorkerStatusEnum.IDLE)
    barrier = multiprocessing.Barrier(HANDLERS)
    accepted = multiprocessing.Value("i", 0)
    handlers = [multiprocessing.Process(target=claim, args=(status, barrier, accepted)) for _ in range(HANDLERS)]
    for handler in handlers:
        handler.start()
    for handler in handlers:
        handler.join()
    print(f"{ROUNDS} rounds, {HANDLERS * ROUNDS} attempts, {accepted.value} accepted, now {status.name}")
