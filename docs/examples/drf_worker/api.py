"""The web API. Each of its processes and threads reads and writes the same state."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

import worker_state
from worker_state import WorkerStatusEnum

if worker_state.shared is None:
    message = (
        "the state was not made before the web processes were forked, so that each would have a state of its own: "
        "start with the gunicorn.conf.py of this directory"
    )
    raise RuntimeError(message)
state = worker_state.shared


class JobSerializer(serializers.Serializer):
    seconds = serializers.FloatField(min_value=0, max_value=3600, default=1.0)


@api_view(["GET"])
def status(request):
    return Response({"status": state.status.name, "answered_by": os.getpid()})


@api_view(["POST"])
def jobs(request):
    serializer = JobSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    found, job_id = state.accept(**serializer.validated_data)
    match found:
        case WorkerStatusEnum.IDLE:
            return Response({"job": job_id}, status=202)
        case WorkerStatusEnum.CALCULATING:
            return Response({"status": found.name}, status=409)
        case WorkerStatusEnum.UNAVAILABLE:
            return Response({"status": found.name}, status=503)


@api_view(["GET"])
def job(request, job_id):
    job_status = state.job(job_id)
    if job_status is None:
        raise NotFound
    return Response({"job": job_id, "status": job_status.name})


@api_view(["POST"])
def drain(request):
    state.drain()
    return Response({"status": state.status.name})


urlpatterns = [
    path("status", status),
    path("jobs", jobs),
    path("jobs/<int:job_id>", job),
    path("drain", drain),
]
application = get_wsgi_application()
