"""From the placeholders of the .sql files, `%(name)s`, to those of the server, `$1`."""

import re
from dataclasses import dataclass
from functools import cache

_PLACEHOLDER = re.compile(rb"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as the server takes it, the order of its parameters, and a name to prepare it under."""

    name: bytes
    text: bytes
    parameters: tuple[str, ...]


@cache
def prepared(statement: bytes) -> Prepared:
    """The server's form of a statement; the same object for the same text."""
    order = list(dict.fromkeys(match.decode() for match in _PLACEHOLDER.findall(statement)))
    text = _PLACEHOLDER.sub(lambda match: b"$%d" % (order.index(match[1].decode()) + 1), statement)
    return Prepared(b"h%x" % (hash(statement) & 0xFFFFFFFFFFFF), text.replace(b"%%", b"%"), tuple(order))


def encoded(value: object) -> bytes | None:
    """A parameter as text; the server knows its type from where it stands."""
    if value is None:
        return None
    if value is True or value is False:
        return b"t" if value else b"f"
    return str(value).encode()
