"""The retry policy that travels with a task, as it stands in the row's options."""

import json
from functools import lru_cache

from horsies.retry import RetryPolicy


def policy_of_options(options: str | None) -> RetryPolicy | None:
    """The policy in a row's options; None when it has none or it cannot be read (R-103)."""
    return None if options is None else _parsed(options)


@lru_cache(maxsize=1024)
def _parsed(options: str) -> RetryPolicy | None:
    try:
        policy = json.loads(options).get("retry_policy")
        return RetryPolicy.from_options(policy) if policy else None
    except (ValueError, AttributeError):
        return None
