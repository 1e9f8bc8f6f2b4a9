"""What a cycle is to write, as parameters of its statement."""

import json
from collections.abc import Mapping

from horsies.db import arrays
from horsies_worker.batch import Batch
from horsies_worker.ends import PolicyOf, completed_params, ended_json
from horsies_worker.node_ends import NO_NODES, Executors, node_params

NOTHING: Mapping[str, object] = {
    **dict.fromkeys(
        ("ids", "generations", "results", "run_us", "ran_at", "back_ids", "back_generations", "freed"), "{}"
    ),
    **dict.fromkeys(("ends", "starts", "spans")),
    **NO_NODES,
}
"""A cycle that writes nothing and claims from the front."""


def written(batch: Batch, policy_of: PolicyOf, executors: Executors) -> dict[str, object]:
    """Those parameters of a batch that differ from `NOTHING`, but for `freed`."""
    plain, nodes = batch.split()
    params: dict[str, object] = {}
    if plain.completed:
        params = completed_params(plain.completed)
    if plain.ended:
        params["ends"] = ended_json(plain.ended, policy_of, executors)
    if plain.back:
        params["back_ids"] = arrays.plain(flight.id for flight in plain.back)
        params["back_generations"] = arrays.plain(flight.generation for flight in plain.back)
    if batch.starts:
        params["starts"] = json.dumps(
            [
                {"id": f.id, "generation": f.generation, "place": executor.place}
                for f, executor in batch.starts
            ]
        )
    if batch.spans is not None:
        params["spans"] = batch.spans
    if nodes.flights():
        params.update(node_params(nodes, policy_of, executors))
    return params
