"""`JsonValue`: plain JSON data that travels exactly as it is."""

import math
from typing import Annotated, Any, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from horsies.codec.problems import type_name

_SCALARS = frozenset((str, int, bool, type(None)))


class _PlainJson:
    """Makes Pydantic accept plain JSON data, unchanged, and nothing else."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.any_schema(),
            python_schema=core_schema.no_info_plain_validator_function(_check),
        )


type JsonValue = Annotated[
    bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None, _PlainJson()
]
"""`None`, `bool`, `int`, finite `float`, `str`, and lists and dicts (with text keys) of these. Nothing is converted."""


def _check(value: object) -> object:
    try:
        _refuse_others(value, "")
    except RecursionError:
        raise ValueError("the data is nested too deeply, or contains itself") from None
    return value


def _refuse_others(value: object, place: str) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is float:
        if not math.isfinite(cast("float", value)):
            raise PydanticCustomError(
                "finite_number", "JsonValue holds finite numbers only{place}", {"place": _at(place)}
            )
    elif kind is list:
        for index, item in enumerate(cast("list[object]", value)):
            _refuse_others(item, f"{place}[{index}]")
    elif kind is dict:
        for key, item in cast("dict[object, object]", value).items():
            if type(key) is not str:
                raise ValueError(f"JsonValue has text keys only, not {type_name(type(key))}{_at(place)}")
            _refuse_others(item, f"{place}[{key!r}]")
    else:
        raise ValueError(
            f"JsonValue holds plain JSON data only, not {type_name(kind)}{_at(place)}; "
            "convert the value, or declare its type"
        )


def _at(place: str) -> str:
    return f" at {place}" if place else ""
