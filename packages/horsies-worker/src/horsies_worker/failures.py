"""Outcomes that the worker itself writes, because no run could report one."""

from horsies.codec.results import failure_envelope
from horsies.errors.codes import BuiltInTaskCode, OperationalErrorCode, OutcomeCode
from horsies.task_result import TaskError
from horsies_worker.flight import Flight, Outcome


def reported(outcome: Outcome, *, late: bool, is_forced: bool) -> Outcome:
    """How a run that did not complete has ended: what it says itself, unless it was cancelled by this worker.

    Args:
        outcome: What it says.
        late: Its time was up.
        is_forced: The worker ends by force.
    """
    if late:
        return timed_out(outcome.flight)
    if is_forced and outcome.flight.kind == "async":
        return crashed(outcome.flight, "was stopped")
    return outcome


def crashed(flight: Flight, how: str) -> Outcome:
    """The process that ran the task is gone (R-104)."""
    return _failed(
        flight, OperationalErrorCode.WORKER_CRASHED, f"the process that ran this task {how}", None, reason=how
    )


def timed_out(flight: Flight) -> Outcome:
    """The run took longer than its task allows (R-082)."""
    data = {"task_id": flight.id, "timeout_ms": flight.timeout_ms}
    message = f"the run took longer than timeout_ms={flight.timeout_ms} and was stopped"
    return _failed(flight, OutcomeCode.TASK_TIMEOUT, message, data, reason=message)


def expired(flight: Flight, worker_id: str) -> Outcome:
    """The deadline had passed before the task could begin (T-64)."""
    data = {"task_id": flight.id, "worker_id": worker_id}
    return _failed(
        flight,
        OutcomeCode.TASK_EXPIRED,
        "good_until passed before a worker could start this task",
        data,
        reason=None,
    )


def unstorable(flight: Flight, why: str) -> Outcome:
    """The database refuses the result for a reason that will not go away (R-076, K-32)."""
    message = f"the result of this task could not be stored: {why}"
    return _failed(flight, OperationalErrorCode.WORKER_SERIALIZATION_ERROR, message, None, reason=message)


def _failed(flight: Flight, code: BuiltInTaskCode, message: str, data: object, reason: str | None) -> Outcome:
    error = TaskError(error_code=code, message=message, data=data)
    return Outcome(flight, failure_envelope(error), code.value, message, failed_reason=reason, by_worker=True)
