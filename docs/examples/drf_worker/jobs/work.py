"""How a job is accepted, taken and finished: the state and the database have to agree.

Each function changes both while it holds the lock of the state. Any process may be
killed between two of its lines. The kernel then frees the lock, and the calculation,
which a claim wakes, finds what is half done and repairs it.
"""

from __future__ import annotations

from django.utils import timezone

from jobs.models import Job
from jobs.state import S, WorkerStatusEnum, state
from multiprocessing_intenum import compare_and_exchange, compare_and_set

OPEN = [Job.Status.ACCEPTED, Job.Status.RUNNING]


def accept(seconds: float) -> tuple[WorkerStatusEnum, Job | None]:
    """Claim the worker for a new job.

    Return the status that was found, and the job if that was IDLE.
    """
    with state.lock:
        found = compare_and_exchange(state.shared_status, S.IDLE, S.CALCULATING)
        if found is not S.IDLE:
            return found, None
        # Killed here, or no database: a claim without a job. The calculation, awake by
        # now, waits for the lock to see.
        job = Job.objects.create(seconds=seconds)
        # Killed here: a row that the state does not name. Its client got no answer, and
        # the job is FAILED.
        state.job_id.value = job.pk
        return found, job


def take() -> Job | None:
    """Return the job that is to be done now, or None.

    What a killed process has left behind is repaired before.

    Only the one calculation process calls this, and only when it runs no job. So a job
    that is RUNNING in the database is that of a calculation which was killed.
    """
    with state.lock:
        job = Job.objects.filter(
            pk=state.job_id.value, status=Job.Status.ACCEPTED
        ).first()
        lost = Job.objects.filter(status__in=OPEN).exclude(pk=job.pk if job else 0)
        lost.update(status=Job.Status.FAILED, ended=timezone.now())
        if job is None:
            _release()
        else:
            job.status, job.started = Job.Status.RUNNING, timezone.now()
            job.save()
            # If this process is killed from here on, the worker is idle. (If it was
            # killed before, the next calculation does the job, or finds it RUNNING.)
            # Not adopt(): a drain must last.
            compare_and_set(
                state.shared_status, S.CALCULATING, S.CALCULATING, on_death=S.IDLE
            )
        return job


def finish(job: Job, status: Job.Status) -> None:
    """Write the result of the job, and make the worker idle, unless it was drained."""
    with state.lock:
        job.status, job.ended = status, timezone.now()
        job.save()
        # Killed here: the job is done, and the state still names it. take() sees that
        # it is not to be done again.
        # Not so if somebody undid a drain while the job ran: the next one waits.
        if state.job_id.value == job.pk:
            _release()


def _release() -> None:
    state.job_id.value = 0
    # Not set("IDLE"): a drain meanwhile must last.
    compare_and_set(state.shared_status, S.CALCULATING, S.IDLE)
