"""Names of the notification channels, the same in every process and in the schema's own functions.

The rule: the full name is `<schema>:<suffix>`. PostgreSQL cuts identifiers at 63 bytes, so a full name that
has more in UTF-8 is replaced by its longest prefix of whole characters within 46 bytes, a colon, and the
first 16 hexadecimal digits of the MD5 of the full name's UTF-8 text (46 + 1 + 16 = 63).
"""

from hashlib import md5

_MAX_BYTES = 63
_HASH_DIGITS = 16
_PREFIX_BYTES = _MAX_BYTES - 1 - _HASH_DIGITS


def channel_name(schema: str, *parts: str) -> str:
    """The channel `<schema>:<part>:<part>...`, shortened by the rule above if it is too long."""
    full = ":".join((schema, *parts))
    encoded = full.encode()
    if len(encoded) <= _MAX_BYTES:
        return full
    # What "ignore" drops is at most the beginning of one character that the cut went through.
    prefix = encoded[:_PREFIX_BYTES].decode(errors="ignore")
    return f"{prefix}:{md5(encoded, usedforsecurity=False).hexdigest()[:_HASH_DIGITS]}"


def queue_channel(schema: str, queue: str) -> str:
    """Something may be claimable in `queue`; the payload is empty."""
    return channel_name(schema, "q", queue)


def task_done(schema: str) -> str:
    """An awaited task became terminal; the payload is its id."""
    return channel_name(schema, "task_done")


def workflow_done(schema: str) -> str:
    """An awaited workflow became terminal; the payload is its id."""
    return channel_name(schema, "workflow_done")


def control(schema: str) -> str:
    """Cancel requests, pause, resume, the presence of a monitor; the payload is short JSON."""
    return channel_name(schema, "ctl")


def task_hints(schema: str) -> str:
    """Tasks changed; the payload is up to 50 ids."""
    return channel_name(schema, "task")


def workflow_hints(schema: str) -> str:
    """Workflows changed; the payload is up to 50 ids."""
    return channel_name(schema, "workflow")


def worker_hints(schema: str) -> str:
    """Workers changed; the payload is up to 50 ids."""
    return channel_name(schema, "worker")


def ping(schema: str) -> str:
    """Somebody asks which workers are alive; the payload is JSON."""
    return channel_name(schema, "ping")


def pong(schema: str, correlation: str) -> str:
    """Answers to the ping with this correlation id; the payload is JSON."""
    return channel_name(schema, "pong", correlation)
