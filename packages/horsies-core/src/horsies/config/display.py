"""A configuration as lines of text for the log, without secrets."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import cast

from pydantic import BaseModel, SecretStr

from horsies.urls import mask_password


def config_lines(config: BaseModel, *, mask: str = "***", indent: str = "  ") -> Iterator[str]:
    """Write each field as `name: value`, nested models indented.

    Args:
        config: the configuration.
        mask: stands in for every secret.
        indent: put before each line, once more for each level.
    """
    for name in type(config).model_fields:
        yield from _lines(name, getattr(config, name), mask, indent, indent)


def _lines(name: str, value: object, mask: str, indent: str, prefix: str) -> Iterator[str]:
    leaf, items = value, list[tuple[str, object]]()
    if isinstance(value, BaseModel):
        items = [(field, getattr(value, field)) for field in type(value).model_fields]
    elif isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        items = [(_text(key, mask), item) for key, item in entries.items()]
    elif isinstance(value, list | tuple):
        items = [(str(index), item) for index, item in enumerate(cast("Sequence[object]", value))]
    if not items:
        yield f"{prefix}{name}: {_text(leaf, mask)}"
        return
    yield f"{prefix}{name}:"
    for key, item in items:
        yield from _lines(key, item, mask, indent, prefix + indent)


def _text(value: object, mask: str) -> str:
    if isinstance(value, SecretStr):
        return mask_password(value.get_secret_value(), mask)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, type):
        return value.__qualname__
    return str(value)
