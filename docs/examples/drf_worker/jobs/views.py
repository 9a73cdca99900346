"""The web API, but for the event stream. Each web worker reads and writes the same state."""

from __future__ import annotations

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.response import Response

from jobs import work
from jobs.metrics import registry
from jobs.models import Job
from jobs.state import WorkerStatusEnum, state
from multiprocessing_intenum import last_change, reap

PAGE = Path(__file__).parents[1] / "page"


def _page() -> str:
    """Return the page in one piece. It needs no other address, no build step, and nothing from elsewhere."""
    files = ("index.html", "style.css", "draw.js", "live.js")
    html, style, *scripts = (
        (PAGE / name).read_text(encoding="utf-8") for name in files
    )
    return html.replace("/* style.css */", style).replace(
        "/* draw.js live.js */", "\n".join(scripts)
    )


class NewJob(serializers.Serializer):
    seconds = serializers.FloatField(min_value=0, max_value=3600)


class JobSerializer(serializers.ModelSerializer):
    job = serializers.IntegerField(source="pk")

    class Meta:
        model = Job
        fields = ("job", "status", "seconds", "accepted", "started", "ended")


def _status() -> dict[str, object]:
    with state.lock:  # so that the three belong together
        # Not CALCULATING if the calculation was killed.
        found = reap(state.shared_status)
        since = last_change(state.shared_status).at.isoformat()
        return {"status": found.name, "since": since, "job": state.job_id.value or None}


@api_view(["GET"])
def status(request):
    return Response(_status())


@api_view(["POST"])
def jobs(request):
    new = NewJob(data=request.data)
    new.is_valid(raise_exception=True)
    found, accepted = work.accept(**new.validated_data)
    match found:
        case WorkerStatusEnum.IDLE:
            return Response({"job": accepted.pk}, status=202)
        case WorkerStatusEnum.CALCULATING:
            return Response({"status": found.name}, status=409)
        case WorkerStatusEnum.UNAVAILABLE:
            return Response({"status": found.name}, status=503)


@api_view(["GET"])
def job(request, job_id):
    return Response(JobSerializer(get_object_or_404(Job, pk=job_id)).data)


@api_view(["POST"])
def drain(request):
    state.drain()
    return Response(_status())


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Tell a load balancer whether to send requests here. It needs neither the lock nor the database."""
    now = state.status
    drained = now is WorkerStatusEnum.UNAVAILABLE
    return HttpResponse(
        f"{now.name}\n", status=503 if drained else 200, content_type="text/plain"
    )


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_page())
