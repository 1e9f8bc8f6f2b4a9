"""From outcomes to what the finishing statement is given: arrays for successes, JSON objects for every other end."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from horsies.db import arrays
from horsies.errors.codes import OperationalErrorCode
from horsies.retry import RetryPolicy, retry_delay
from horsies_worker.flight import Flight, Outcome

_OUT_OF_REACH = frozenset(
    {
        OperationalErrorCode.WORKER_RESOLUTION_ERROR.value,
        OperationalErrorCode.WORKER_SERIALIZATION_ERROR.value,
    }
)

type PolicyOf = Callable[[Flight], RetryPolicy | None]


def completed_params(outcomes: list[Outcome]) -> dict[str, object]:
    """The arrays for runs that ended COMPLETED."""
    flights = [outcome.flight for outcome in outcomes]
    return {
        "ids": arrays.plain(f.id for f in flights),
        "generations": arrays.plain(f.generation for f in flights),
        "results": arrays.texts(outcome.envelope for outcome in outcomes),
        "run_us": arrays.plain(f.run_us for f in flights),
        "ran_at": arrays.plain(f.place for f in flights),
    }


def ended_json(
    outcomes: list[Outcome], policy_of: PolicyOf, executors: Mapping[int, tuple[int, str]]
) -> str | None:
    """The JSON text for all other ends; None when there is none. `executors`: place -> (pid, process name)."""
    if not outcomes:
        return None
    return json.dumps([ended(outcome, policy_of, executors) for outcome in outcomes])


def ended(outcome: Outcome, policy_of: PolicyOf, executors: Mapping[int, tuple[int, str]]) -> dict[str, Any]:
    """One end other than COMPLETED, as JSON data."""
    flight = outcome.flight
    status = "EXPIRED" if outcome.is_expiry else "FAILED"
    policy = policy_of(flight) if status == "FAILED" else None
    retry_s = (
        retry_delay(policy, flight.retry_count, outcome.error_code)
        if policy and (flight.max_retries is None or flight.retry_count < flight.max_retries)
        else None
    )
    # Where no run could report, its process is gone and perhaps replaced: the row knows when and where it began.
    reported = status == "FAILED" and flight.run_us > 0
    pid, name = executors.get(flight.place, (None, None)) if reported else (None, None)
    return {
        "id": flight.id,
        "generation": flight.generation,
        "status": status,
        "result": _storable(outcome.envelope),
        "error_code": _storable(outcome.error_code),
        "message": _storable(outcome.message),
        "failed_reason": _storable(outcome.failed_reason),
        "outcome": "WORKER_FAILURE" if outcome.error_code in _OUT_OF_REACH else "FAILED",
        "retry_s": retry_s,
        "trace_context": None if retry_s is None else flight.trace_for_retry,
        "max_retries": policy.max_retries if policy and flight.max_retries is None else None,
        "run_us": flight.run_us or None,
        "pid": pid,
        "name": name,
    }


def _storable(text: str | None) -> str | None:
    """Text as a column can hold it: no U+0000, no lone surrogates (D-018). JSON text has both escaped already."""
    if text is None or (text.isascii() and "\x00" not in text):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
