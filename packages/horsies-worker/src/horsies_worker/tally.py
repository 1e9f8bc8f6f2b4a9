"""Counts what a cycle has brought, once the database has said what became of it (R-141)."""

from horsies_worker.answers import Answer
from horsies_worker.batch import Batch
from horsies_worker.flight import Outcome
from horsies_worker.metrics import WorkerMetrics


def count(metrics: WorkerMetrics, batch: Batch, answer: Answer) -> None:
    """Ends that are for good, ends followed by another run, and what was claimed."""
    for waited in answer.waits:
        metrics.task_claimed(waited)
    for outcome in batch.completed:
        _count_end(metrics, outcome, "COMPLETED", answer)
    for outcome in batch.ended:
        _count_end(metrics, outcome, _status(outcome), answer)


def _count_end(metrics: WorkerMetrics, outcome: Outcome, status: str, answer: Answer) -> None:
    flight = outcome.flight
    if flight.id in answer.lost or flight.id in answer.busy:
        return
    if flight.id in answer.retried:
        metrics.task_retried(flight.run_us * 1e-6)
    else:
        run_s = flight.run_us * 1e-6 if flight.run_us else None
        metrics.task_finished(flight.task_name, flight.queue_name, status, run_s)


def _status(outcome: Outcome) -> str:
    if outcome.is_expiry:
        return "EXPIRED"
    return "CANCELLED" if outcome.flight.is_cancelled else "FAILED"
