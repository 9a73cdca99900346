"""Step 4: the state of the worker as one object, with a job id that changes together with the status."""

import multiprocessing

from tutorial_share import WorkerStatusEnum

from multiprocessing_intenum import EnumAttribute, IntEnumValue, TransitionError

TRANSITIONS = {
    "IDLE": ["CALCULATING", "UNAVAILABLE"],
    "CALCULATING": ["IDLE", "UNAVAILABLE"],
}  # nothing leads out of UNAVAILABLE


class WorkerStatus(IntEnumValue[WorkerStatusEnum], transitions=TRANSITIONS):
    """The state of a worker. Once it is unavailable, it stays so."""


class WorkerState:
    status = EnumAttribute(WorkerStatus)

    def __init__(self) -> None:
        self.status = WorkerStatusEnum.IDLE
        self.lock = WorkerState.status.proxy_of(self).get_lock()
        self.job_id = multiprocessing.Value("i", 0, lock=self.lock)

    def submit(self) -> int | None:
        """Claim the worker and return the id of the new job, or None if the worker is not idle."""
        with self.lock:  # status and job id change together
            if self.status is not WorkerStatusEnum.IDLE:
                return None
            self.job_id.value += 1
            self.status = WorkerStatusEnum.CALCULATING
            return self.job_id.value

    def describe(self) -> str:
        with self.lock:  # and are read together
            status, job_id = self.status, self.job_id.value
        match status:
            case WorkerStatusEnum.IDLE:
                return "ready for a job"
            case WorkerStatusEnum.CALCULATING:
                return f"busy with job {job_id}"
            case WorkerStatusEnum.UNAVAILABLE:
                return "shutting down"


if __name__ == "__main__":
    state = WorkerState()
    print(state.describe())
    print(state.submit(), state.submit())
    print(state.describe())
    state.status = WorkerStatusEnum.UNAVAILABLE
    print(state.describe())
    try:
        state.status = WorkerStatusEnum.IDLE
    except TransitionError as error:
        print(error)
