"""Fields of older programs that have nothing left to set: accepted, ignored, named in the log."""

import logging
import os
from collections.abc import Mapping
from threading import Lock

RETIRED_FIELDS: Mapping[str, frozenset[str]] = {
    "RecoveryConfig": frozenset({"finalizing_stale_threshold_ms", "crashed_worker_recovery_grace_ms"}),
    "PostgresConfig": frozenset(
        {
            "worker_pool_size",
            "worker_max_overflow",
            "worker_child_pool_min_size",
            "worker_child_pool_max_size",
            "worker_child_pool_check",
        }
    ),
}

_logger = logging.getLogger("horsies.config")
_named: set[str] = set()
_named_lock = Lock()


def drop_retired_fields(model: str, data: object) -> object:
    """Take the retired fields out of the values given to a model; each is named in the log once per process.

    Args:
        model: class name of the model.
        data: what the model was given.

    Returns:
        The values that are left.
    """
    if not isinstance(data, Mapping):
        return data
    values: dict[object, object] = dict(data)  # pyright: ignore[reportUnknownArgumentType]
    given = sorted(RETIRED_FIELDS[model].intersection(name for name in values if isinstance(name, str)))
    for name in given:
        del values[name]
    with _named_lock:
        new = [name for name in (f"{model}.{field}" for field in given) if name not in _named]
        _named.update(new)
    if new:
        is_executor = os.environ.get("HORSIES_CHILD_PROCESS") == "1"
        _logger.log(
            logging.DEBUG if is_executor else logging.WARNING,
            "%s: no longer used and ignored; remove from the configuration",
            ", ".join(new),
        )
    return values
