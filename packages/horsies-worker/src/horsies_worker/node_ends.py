"""Ends and returns of workflow tasks on their way to the cycle, which ends their nodes in its transaction (W-43)."""

import json
from collections.abc import Mapping
from typing import Any

from horsies.db import arrays
from horsies_worker.batch import Batch
from horsies_worker.ends import PolicyOf, ended
from horsies_worker.flight import Flight, Outcome

NO_NODES: Mapping[str, object] = {"workflows": "{}", "node_ends": None, "node_backs": None}
"""The parameters of a cycle that ends nothing of a workflow."""

_JSON = json.JSONEncoder(ensure_ascii=False)

type Executors = Mapping[int, tuple[int, str]]
"""Place to pid and process name."""


def node_params(batch: Batch, policy_of: PolicyOf, executors: Executors) -> Mapping[str, object]:
    """The parameters for a batch that holds workflow tasks only: JSON objects, and the workflows they belong to."""
    ends = [_completed(outcome, executors) for outcome in batch.completed]
    ends += [_fence(outcome.flight) | ended(outcome, policy_of, executors) for outcome in batch.ended]
    backs = [_fence(flight) for flight in batch.back]
    return {
        "workflows": arrays.plain({fence["workflow_id"] for fence in (*ends, *backs)}),
        "node_ends": _JSON.encode(ends) if ends else None,
        "node_backs": json.dumps(backs) if backs else None,
    }


def _completed(outcome: Outcome, executors: Executors) -> dict[str, Any]:
    pid, name = executors.get(outcome.flight.place, (None, None))
    return _fence(outcome.flight) | {
        "status": "COMPLETED",
        "result": outcome.envelope,
        "run_us": outcome.flight.run_us,
        "pid": pid,
        "name": name,
    }


def _fence(flight: Flight) -> dict[str, Any]:
    return {"id": flight.id, "generation": flight.generation, "workflow_id": flight.workflow_id}
