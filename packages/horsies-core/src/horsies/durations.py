"""Durations as text: exact and short (`7d`, `90m`) for keys, readable (`1.5s`, `2m30s`) for people."""

from datetime import timedelta

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def format_exact(duration: timedelta) -> str:
    """Write a duration of whole seconds as one number in the largest unit that holds it exactly.

    Args:
        duration: positive, whole seconds.

    Returns:
        For example `7d`, `36h`, `90m` or `45s`.
    """
    seconds = duration // timedelta(seconds=1)
    suffix, size = next(unit for unit in _UNITS if seconds % unit[1] == 0)
    return f"{seconds // size}{suffix}"


def format_milliseconds(milliseconds: int) -> str:
    """Write a duration for people: `500ms`, `1.5s`, `30s`, `2m30s`, `1h5m`.

    Args:
        milliseconds: zero or more.

    Returns:
        Hours, minutes and seconds without the zero parts; below one second, milliseconds.
    """
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    seconds, fraction = divmod(rest, 1000)
    if rest:
        parts.append(f"{seconds}.{fraction:03}".rstrip("0").rstrip(".") + "s" if fraction else f"{seconds}s")
    return "".join(parts)
