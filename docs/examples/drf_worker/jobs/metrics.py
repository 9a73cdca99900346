"""What Prometheus is told. It is read from shared memory at each scrape, so it is right in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily, StateSetMetricFamily
from prometheus_client.registry import Collector

from jobs.state import WorkerStatusEnum, state
from multiprocessing_intenum import last_change, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable


class StatusCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        now = snapshot(state.shared_status)  # read once: exactly one of the series is 1
        states = {member.name: member is now for member in WorkerStatusEnum}
        yield StateSetMetricFamily(
            "worker_status",
            "What the worker does: 1 for this state, 0 for the others.",
            states,
        )
        since = last_change(state.shared_status).at.timestamp()
        yield GaugeMetricFamily(
            "worker_status_since_seconds",
            "When the state last changed, in Unix time.",
            since,
        )


registry = CollectorRegistry()
registry.register(StatusCollector())
