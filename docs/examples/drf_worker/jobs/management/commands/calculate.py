"""`python manage.py calculate`: the process that does the jobs. SIGTERM ends it after the job that it is doing."""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections

from jobs import work
from jobs.models import Job
from jobs.parent import end_with
from jobs.state import state
from multiprocessing_intenum import changes, compare_and_set

LOOK_AGAIN = (
    0.5  # seconds until it looks whether it has to end; a claim wakes it at once
)

log = logging.getLogger("calculation")


def calculate(seconds: float) -> None:
    """Put your calculation here."""
    time.sleep(seconds)


class Command(BaseCommand):
    help = "Do the jobs that the web API accepts, one at a time."
    stopping = False

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--parent",
            type=int,
            help="the process that started this one: end when it has ended",
        )

    def handle(self, *, parent: int | None, **_: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)
        if parent:
            end_with(parent)
        # Only one at a time does jobs. If that one ends, in whatever way, the next one takes its place.
        while not self.stopping:
            if compare_and_set(state.calculation, "NONE", "RUNS", on_death="NONE"):
                self.do_jobs()
            else:
                time.sleep(LOOK_AGAIN)

    def stop(self, *_: object) -> None:
        self.stopping = True

    def do_jobs(self) -> None:
        log.info("ready")
        # Before the first look, so that it misses no claim.
        feed = changes(state.shared_status, timeout=LOOK_AGAIN)
        look = True  # at the start, in any case: the last calculation may have left something behind
        while not self.stopping:
            if look:
                close_old_connections()
                if job := work.take():
                    self.do(job)
            look = next(feed, None) is not None
        log.info("ends")

    def do(self, job: Job) -> None:
        log.info("job %d begins", job.pk)
        result = Job.Status.DONE
        try:
            calculate(job.seconds)
        except Exception:
            log.exception("job %d", job.pk)
            result = Job.Status.FAILED
        close_old_connections()  # the database may have hung up during a long job
        work.finish(job, result)
        log.info("job %d is %s", job.pk, result)
