"""The public functions: K-44, K-45; the table of section 10."""

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

import horsies
from horsies.codec import StrictJsonError, decode_value, encode_value
from horsies.codec.typed import codec_for
from tests.core.codec.shapes import Order


def test_they_are_exported() -> None:
    """Section 10"""
    for name in (
        "encode_value",
        "decode_value",
        "encode_task_result",
        "decode_task_result",
        "decode_task_error",
    ):
        assert callable(getattr(horsies, name))
    assert callable(horsies.validate_task_result_envelope)
    assert horsies.StrictJsonError is StrictJsonError
    assert str(horsies.JsonValue) == "JsonValue"


def test_they_work_on_data_not_on_text() -> None:
    """K-44"""
    assert encode_value(Order(id=1), Order) == {"id": 1, "lines": [], "at": None}
    assert decode_value({"id": 1}, Order) == Order(id=1)
    assert encode_value(None, None) is None
    with pytest.raises(ValidationError):
        decode_value('{"id": 1}', Order)


@pytest.mark.parametrize("data", [(1,), {1: 2}, object(), {"a": {1}}, b"x", float("inf"), Order(id=1)])
def test_only_json_shaped_data_is_decoded(data: object) -> None:
    """K-44"""
    with pytest.raises(StrictJsonError):
        decode_value(data, Any)


def test_a_validator_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-45, also for a type that cannot be hashed"""
    unhashable = Annotated[int, Field(gt=1, json_schema_extra={"examples": [[]]}), []]
    built: list[object] = []
    build: Any = vars(TypeAdapter)["__init__"]

    def count(self: TypeAdapter[Any], *args: Any, **kwargs: Any) -> None:
        built.append(args)
        build(self, *args, **kwargs)

    monkeypatch.setattr(TypeAdapter, "__init__", count)
    for declared in (dict[str, list[set[int]]], unhashable):
        built.clear()
        for _ in range(3):
            assert (
                encode_value(5, declared) == 5 if declared is unhashable else encode_value({}, declared) == {}
            )
        assert len(built) == 1
        assert codec_for(declared) is codec_for(declared)
