"""The scheduler's counters as Prometheus text. The import costs a tenth of a second: only `--http-port` brings it."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from horsies_scheduler.metrics import SchedulerMetrics

CONTENT_TYPE = CONTENT_TYPE_LATEST


class MetricsText:
    """Makes the text of `/metrics`."""

    def __init__(self, metrics: SchedulerMetrics) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Families(metrics))

    def __call__(self) -> bytes:
        """The text."""
        return generate_latest(self._registry)


class _Families(Collector):
    def __init__(self, metrics: SchedulerMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics as prometheus-client wants them."""
        metrics = self._metrics
        yield GaugeMetricFamily("horsies_scheduler_leader", "1 while it leads.", value=int(metrics.leader))
        yield _by_schedule("horsies_schedule_fired", "Tasks enqueued.", metrics.fired)
        yield _by_schedule("horsies_schedule_missed", "Slots dropped for being late.", metrics.missed)
        errors = CounterMetricFamily("horsies_schedule_errors", "Failures.", labels=("schedule", "kind"))
        for labels, number in metrics.errors.items():
            errors.add_metric(labels, number)
        yield errors
        yield GaugeMetricFamily(
            "horsies_schedule_lag_seconds",
            "How late the oldest due slot was when the last tick began.",
            value=metrics.lag_s,
        )


def _by_schedule(name: str, text: str, counts: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=("schedule",))
    for schedule, number in counts.items():
        family.add_metric((schedule,), number)
    return family
