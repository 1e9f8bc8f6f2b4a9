"""The worker's counters as Prometheus text. The import costs a tenth of a second: only `--http-port` brings it."""

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from horsies_worker.metrics import Histogram, WorkerMetrics

CONTENT_TYPE = CONTENT_TYPE_LATEST


class MetricsText:
    """Makes the text of `/metrics`."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Families(metrics))

    def __call__(self) -> bytes:
        """The text."""
        return generate_latest(self._registry)


class _Families(Collector):
    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics as prometheus-client wants them (R-141)."""
        metrics = self._metrics
        finished = CounterMetricFamily(
            "horsies_tasks_finished", "Tasks ended for good.", labels=("task", "queue", "outcome")
        )
        for labels, number in metrics.finished.items():
            finished.add_metric(labels, number)
        yield finished
        yield _histogram("horsies_task_duration_seconds", "Runs of user code.", metrics.duration)
        yield _histogram(
            "horsies_task_queue_wait_seconds", "From the due time to the claim.", metrics.queue_wait
        )
        slots = GaugeMetricFamily("horsies_worker_slots", "Places for tasks, by state.", labels=("state",))
        for state, number in metrics.slots().items():
            slots.add_metric((state,), number)
        yield slots
        yield _histogram(
            "horsies_claim_pass_seconds", "Round trips that finish and claim.", metrics.claim_pass
        )
        yield CounterMetricFamily("horsies_retries", "Runs followed by another.", value=metrics.retries)
        restarts = CounterMetricFamily(
            "horsies_executor_restarts", "Executor processes replaced, by reason.", labels=("reason",)
        )
        for reason, number in metrics.restarts.items():
            restarts.add_metric((reason,), number)
        yield restarts
        yield CounterMetricFamily("horsies_db_errors", "Failed statements.", value=metrics.db_errors)


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.total)
