"""What a worker counts, as Prometheus reads it (R-141)."""

from prometheus_client.parser import text_string_to_metric_families

from horsies_worker.exposition import MetricsText
from horsies_worker.metrics import UNREGISTERED, Histogram, WorkerMetrics


def samples(metrics: WorkerMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, sorted labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(MetricsText(metrics)().decode())
        for sample in family.samples
    }


def counted() -> WorkerMetrics:
    metrics = WorkerMetrics({"resize"}, lambda: {"busy": 3, "free": 1})
    for wait in (0.004, 0.2, 9_999.0, -1.0):
        metrics.task_claimed(wait)
    metrics.task_finished("resize", "mail", "COMPLETED", 0.003)
    metrics.task_finished("resize", "mail", "COMPLETED", 2.0)
    metrics.task_finished("resize", "mail", "EXPIRED", None)
    metrics.task_finished("anything 018f", "mail", "FAILED", 0.1)
    metrics.task_retried(0.5)
    metrics.pass_took(0.002)
    metrics.executor_restarted("crash")
    metrics.executor_restarted("crash")
    metrics.executor_restarted("memory")
    metrics.database_failed()
    return metrics


def test_the_metrics_of_the_specification_are_there() -> None:
    """R-141: names, labels and values."""
    found = samples(counted())
    mail = (("outcome", "COMPLETED"), ("queue", "mail"), ("task", "resize"))
    assert found["horsies_tasks_finished_total", mail] == 2
    assert found["horsies_tasks_finished_total", (("outcome", "EXPIRED"), *mail[1:])] == 1
    assert found["horsies_task_duration_seconds_count", ()] == 4
    assert found["horsies_task_duration_seconds_sum", ()] == 0.003 + 2.0 + 0.1 + 0.5
    assert found["horsies_task_queue_wait_seconds_count", ()] == 4
    assert found["horsies_worker_slots", (("state", "busy"),)] == 3
    assert found["horsies_worker_slots", (("state", "free"),)] == 1
    assert found["horsies_claim_pass_seconds_count", ()] == 1
    assert found["horsies_retries_total", ()] == 1
    assert found["horsies_executor_restarts_total", (("reason", "crash"),)] == 2
    assert found["horsies_executor_restarts_total", (("reason", "memory"),)] == 1
    assert found["horsies_db_errors_total", ()] == 1


def test_no_label_holds_what_anybody_may_send() -> None:
    """R-141: names of tasks that are not registered share one label; ids are nowhere."""
    labels = {dict(labels).get("task") for (_, labels) in samples(counted())}
    assert labels == {None, "resize", UNREGISTERED}


def test_buckets_are_cumulative_and_hold_their_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    metrics = counted()
    found = samples(metrics)
    waits = [value for (name, _), value in found.items() if name == "horsies_task_queue_wait_seconds_bucket"]
    assert waits == sorted(waits)
    assert found["horsies_task_queue_wait_seconds_bucket", (("le", "+Inf"),)] == 4
    assert found["horsies_task_queue_wait_seconds_bucket", (("le", "0.005"),)] == 2
