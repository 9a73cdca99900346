"""Step 5: one calculation process, three handlers that submit jobs, and a shutdown that loses none."""

from multiprocessing import Process, Value

from tutorial_share import WorkerStatusEnum
from tutorial_state import WorkerState

from multiprocessing_intenum import compare_and_set, wait_for

HANDLERS, JOBS_EACH = 3, 3


def calculate(state, done):
    status = WorkerState.status.proxy_of(state)
    while wait_for(status, {"CALCULATING", "UNAVAILABLE"}) is WorkerStatusEnum.CALCULATING:
        sum(number * number for number in range(100_000))
        done.value += 1
        state.status = WorkerStatusEnum.IDLE


def handle(state):
    accepted = 0
    while accepted < JOBS_EACH:
        if state.submit() is not None:
            accepted += 1
        else:
            wait_for(WorkerState.status.proxy_of(state), WorkerStatusEnum.IDLE)


def shut_down(state):
    status = WorkerState.status.proxy_of(state)
    while not compare_and_set(status, WorkerStatusEnum.IDLE, WorkerStatusEnum.UNAVAILABLE):
        wait_for(status, WorkerStatusEnum.IDLE)


if __name__ == "__main__":
    state = WorkerState()
    done = Value("i", 0)
    worker = Process(target=calculate, args=(state, done))
    handlers = [Process(target=handle, args=(state,)) for _ in range(HANDLERS)]
    for process in (worker, *handlers):
        process.start()
    for process in handlers:
        process.join()
    shut_down(state)
    worker.join()
    print(f"{state.job_id.value} jobs accepted, {done.value} calculated, the worker is {state.describe()}")
