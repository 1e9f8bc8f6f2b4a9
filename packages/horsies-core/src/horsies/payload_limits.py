"""How large arguments and results are, and what their size leads to."""

import logging
from typing import Literal

from horsies.config.payload import PayloadPolicy

_logger = logging.getLogger("horsies.payload")
_warned: set[tuple[str, str]] = set()


def oversize(
    task_name: str, what: Literal["kwargs", "result"], text: str | None, policy: PayloadPolicy
) -> int | None:
    """Measure a text that is about to be stored; warn once per task and kind in this process.

    Args:
        task_name: The task it belongs to.
        what: Arguments or result.
        text: The JSON text.
        policy: The app's limits.

    Returns:
        Its UTF-8 length if that is over `reject_bytes` (binding for arguments only), else `None`.
    """
    warn, reject = policy.warn_bytes, policy.reject_bytes
    # A character takes at most four bytes, so most texts are cleared without being encoded.
    longest = 4 * len(text) if text is not None else 0
    if (warn is None or longest <= warn) and (reject is None or longest <= reject):
        return None
    size = len(text.encode("utf-8", "surrogatepass")) if text is not None else 0
    if warn is not None and size > warn and (task_name, what) not in _warned:
        _warned.add((task_name, what))
        _logger.warning(
            "%s of task %r: %d bytes of JSON, over payload.warn_bytes=%d;"
            " store large data elsewhere and send a reference",
            what,
            task_name,
            size,
            warn,
        )
    return size if reject is not None and size > reject else None
