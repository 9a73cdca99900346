"""What Prometheus is told of a shared value.

It is read at each scrape, so each process tells the same.
"""

import enum
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from multiprocessing_intenum import IntEnumValue, last_change


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class StatusCollector(Collector):
    def __init__(self, status: IntEnumValue[WorkerStatusEnum]) -> None:
        self.status = status

    def collect(self) -> Iterable[Metric]:
        change = last_change(self.status)  # read once
        states = GaugeMetricFamily(
            "worker_status",
            "What the worker does: 1 for this state, 0 for the others.",
            labels=["worker_status"],
        )
        for member in WorkerStatusEnum:
            states.add_metric([member.name], member is change.after)
        yield states
        yield GaugeMetricFamily(
            "worker_status_since_seconds",
            "When the state last changed, in Unix time.",
            change.at.timestamp(),
        )
        yield CounterMetricFamily(
            "worker_changes", "How often the state has changed.", change.number
        )


if __name__ == "__main__":
    status = IntEnumValue(WorkerStatusEnum.IDLE)
    registry = CollectorRegistry()
    registry.register(StatusCollector(status))
    status.set("UNAVAILABLE")
    status.set("CALCULATING")
    print(generate_latest(registry).decode(), end="")
