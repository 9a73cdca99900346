"""A job is a row of the database.

It outlives the service; the state of the worker does not.
"""

from __future__ import annotations

from django.db import models


class Job(models.Model):
    class Status(models.TextChoices):
        ACCEPTED = "ACCEPTED"
        RUNNING = "RUNNING"
        DONE = "DONE"
        FAILED = "FAILED"

    seconds = models.FloatField()
    status = models.CharField(max_length=8, choices=Status, default=Status.ACCEPTED)
    accepted = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
