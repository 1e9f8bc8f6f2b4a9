"""Strict JSON: K-03 to K-09 and the reserved keys of K-28."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypedDict

import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    SerializeAsAny,
    ValidationError,
    field_serializer,
    model_serializer,
)

from horsies.codec import JsonValue, StrictJsonError, decode_value, encode_value
from horsies.codec.strict import parse_json
from horsies.codec.typed import codec_for
from horsies.errors.codes import OutcomeCode
from horsies.task_result import TaskError

NAN, INFINITY = float("nan"), float("inf")


class Weight(BaseModel):
    grams: float | None = 0.0
    note: str | None = None
    more: Any = None


@dataclass
class Mass:
    grams: float
    note: str | None = None


class OpenModel(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int = 1


class OpenDict(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    x: int


class ConfiguredDict(TypedDict):
    __pydantic_config__ = ConfigDict(title="its own")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    x: float


class Parcel(BaseModel):
    content: SerializeAsAny[OpenModel] | None = None


class Scale(NamedTuple):
    shown: Annotated[float, AllowInfNan()]


class Readings(RootModel[list[Annotated[float, AllowInfNan()]]]):
    pass


class WritesItsField(BaseModel):
    x: Any

    @field_serializer("x")
    def _write(self, value: Any) -> Any:
        return value


class WritesItself(BaseModel):
    x: str = ""

    @model_serializer
    def _write(self) -> dict[str, Any]:
        return {"x": float(self.x)}


class HeavyParcel(OpenModel):
    grams: float


class HoldsPydanticJson(BaseModel):
    data: pydantic.JsonValue


type Wrap = Callable[[Any], Any]

NUMBERS: list[tuple[Any, Wrap]] = [
    (float, lambda bad: bad),
    (list[float], lambda bad: [1.0, bad]),
    (dict[str, list[float | None]], lambda bad: {"a": [None, bad]}),
    (Any, lambda bad: bad),
    (dict, lambda bad: {"a": [{"b": bad}]}),
    (JsonValue, lambda bad: [bad]),
    (Weight, lambda bad: Weight(grams=bad)),
    (Weight, lambda bad: Weight(grams=1, more=[bad])),
    (list[Weight | None], lambda bad: [None, Weight(grams=bad)]),
    (Mass, Mass),
    (Any, lambda bad: Weight(grams=bad)),
    (Any, lambda bad: [Mass(bad)]),
    (OpenModel, lambda bad: OpenModel.model_validate({"x": 1, "score": bad})),
    (list[OpenModel], lambda bad: [OpenModel.model_validate({"score": [None, {"a": bad}]})]),
    (Any, lambda bad: OpenModel.model_validate({"score": bad})),
    (OpenDict, lambda bad: {"x": 1, "score": bad}),
    (ConfiguredDict, lambda bad: {"x": bad}),
    (Parcel, lambda bad: Parcel(content=HeavyParcel(grams=bad))),
    (SerializeAsAny[OpenModel], lambda bad: HeavyParcel(grams=bad)),
    (SerializeAsAny[list[OpenModel]], lambda bad: [HeavyParcel(grams=bad)]),
    (Annotated[float, AllowInfNan()], lambda bad: bad),
    (list[Annotated[float, AllowInfNan()]], lambda bad: [bad]),
    (dict[str, Annotated[float | None, Field(allow_inf_nan=True)]], lambda bad: {"a": None, "b": bad}),
    (Scale, Scale),
    (Readings, lambda bad: Readings([bad])),
    (list[Annotated[str, PlainSerializer(float)]], lambda bad: [str(bad)]),
    (list[Annotated[Any, AfterValidator(float)]], lambda bad: [str(bad)]),
    (WritesItsField, lambda bad: WritesItsField(x=bad)),
    (WritesItself, lambda bad: WritesItself(x=str(bad))),
    (pydantic.JsonValue, lambda bad: [None, bad]),
    (HoldsPydanticJson, lambda bad: HoldsPydanticJson(data=[None, bad])),
]


@pytest.mark.parametrize("bad", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize(("declared", "wrap"), NUMBERS)
def test_numbers_that_are_none_are_refused_at_any_depth(bad: float, declared: Any, wrap: Any) -> None:
    """K-04, encoding"""
    with pytest.raises(StrictJsonError):
        encode_value(wrap(bad), declared)


def test_nothing_else_that_is_null_is_refused() -> None:
    """K-04: None in a model is not NaN."""
    value = Weight(grams=None, note=None, more=[None, {"a": None}])
    assert decode_value(encode_value(value, Weight), Weight) == value
    assert decode_value(encode_value(Mass(1.5), Mass), Mass) == Mass(1.5)
    loose: Any = Annotated[float | None, AllowInfNan()]
    samples: list[tuple[Any, Any]] = [
        (list[loose], [None, 1.5]),
        (OpenDict, {"x": 1, "score": [None]}),
        (OpenModel, OpenModel.model_validate({"score": None, "more": {"a": None}})),
        (Parcel, Parcel(content=None)),
    ]
    for declared, fine in samples:
        assert decode_value(encode_value(fine, declared), declared) == fine


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("declared", [float, Any, dict, Weight, JsonValue, list[JsonValue]])
def test_bare_words_are_refused(word: str, declared: Any) -> None:
    """K-04, decoding; inside a text they are harmless."""
    with pytest.raises((StrictJsonError, ValidationError)):
        codec_for(declared).decode(f'{{"grams":{word}}}' if declared is Weight else word)
    with pytest.raises((StrictJsonError, ValidationError)):
        codec_for(declared).decode(f'{{"more":[{word}]}}')
    assert codec_for(str).decode(f'"{word}"') == word
    with pytest.raises(StrictJsonError):
        decode_value(NAN, declared)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (str, "\ud800"),
        (list[str], ["a", "\udfff"]),
        (dict[str, int], {"\ud800": 1}),
        (dict, {"\ud800": 1}),
        (dict, {"a": ["\ud800"]}),
        (JsonValue, {"\ud800": 1}),
        (pydantic.JsonValue, {"\ud800": 1}),
        (Weight, Weight(note="\ud800")),
        (Weight, Weight(more={"\ud800": 1})),
    ],
)
def test_lone_surrogates_are_refused(declared: Any, value: Any) -> None:
    """K-05, in keys as well"""
    with pytest.raises(StrictJsonError):
        encode_value(value, declared)


def test_the_replacement_character_itself_may_travel() -> None:
    """K-05: it is what a lone surrogate would silently become, but text of its own right."""
    assert encode_value({"\ufffd": "\ufffd"}, dict[str, str]) == {"\ufffd": "\ufffd"}


@pytest.mark.parametrize("key", [1, 1.5, None, True, b"x", (1,)])
@pytest.mark.parametrize("declared", [Any, dict, list[Any], dict[str, Any], dict[Any, Any]])
def test_keys_are_text_at_untyped_positions(declared: Any, key: Any) -> None:
    """K-06"""
    value: Any = {key: 1}
    if declared == list[Any]:
        value = [value]
    elif declared == dict[str, Any]:
        value = {"a": value}
    with pytest.raises(StrictJsonError, match="text keys"):
        encode_value(value, declared)


@pytest.mark.parametrize("key", [1, None, Decimal(1), b"x"])
def test_keys_without_a_type_are_text(key: Any) -> None:
    """K-06, where only the key has no type"""
    assert decode_value(encode_value({"a": 1}, dict[Any, int]), dict[Any, int]) == {"a": 1}
    for declared in (dict[Any, int], dict[object, list[int]], Mapping[Any, int], Mapping[Any, Any]):
        with pytest.raises((StrictJsonError, ValidationError)):
            encode_value({key: 1}, declared)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[1,]", "nope", '{"a":1} x'])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    """K-07"""
    with pytest.raises((StrictJsonError, ValidationError)):
        codec_for(Any).decode(text)
    with pytest.raises(StrictJsonError, match="not JSON"):
        parse_json(text)


RESERVED = ["__h_", "__h_x", "__h_tag__", "__horsies_", "__horsies_y", "__builtin_task_code__"]


PLACES: list[tuple[Any, Wrap]] = [
    (dict[str, int], lambda key: {key: 1}),
    (dict[str, dict[str, Any]], lambda key: {"a": {key: 1}}),
    (list[dict[str, int]], lambda key: [{}, {key: 1}]),
    (dict, lambda key: {"a": [{key: 1}]}),
    (Any, lambda key: {key: {}}),
    (JsonValue, lambda key: [{key: 1}]),
    (pydantic.JsonValue, lambda key: [{key: 1}]),
    (Weight, lambda key: {"more": {key: 1}}),
]


@pytest.mark.parametrize("key", RESERVED)
@pytest.mark.parametrize(("declared", "wrap"), PLACES)
def test_reserved_keys_are_refused_at_any_depth(key: str, declared: Any, wrap: Any) -> None:
    """K-08, K-28, encoding and decoding, however the key is spelled"""
    with pytest.raises(StrictJsonError, match=r"reserved|tag"):
        encode_value(wrap(key), declared)
    with pytest.raises(StrictJsonError, match=r"reserved|tag"):
        decode_value(wrap(key), declared)
    escaped = json.dumps(wrap(key)).replace(key, "".join(f"\\u{ord(char):04x}" for char in key))
    with pytest.raises(StrictJsonError, match=r"reserved|tag"):
        codec_for(declared).decode(escaped)


@pytest.mark.parametrize("key", ["_h_", "__h", "__init__", "h_", "x__h_", "__horsie", "__builtin_task_code"])
def test_other_keys_travel(key: str) -> None:
    """K-28"""
    for declared in (dict[str, int], dict, Any, JsonValue):
        assert decode_value(encode_value({key: 1}, declared), declared) == {key: 1}


def test_reserved_words_as_values_travel() -> None:
    """K-28 is about keys."""
    for declared in (dict[str, str], dict, Any, JsonValue):
        assert decode_value(encode_value({"a": "__h_tag__"}, declared), declared) == {"a": "__h_tag__"}


def test_a_task_error_keeps_its_built_in_code() -> None:
    """K-28: the error_code slot of a TaskError is the library's own use, and only that one."""
    error = TaskError(error_code=OutcomeCode.TASK_TIMEOUT, message="late")
    declared: Any
    for declared in (TaskError, list[TaskError], Any, dict):
        value: Any = [error] if declared == list[TaskError] else {"e": error} if declared is dict else error
        assert decode_value(encode_value(value, declared), declared) == value
    slot = {"error_code": {"__builtin_task_code__": "TASK_TIMEOUT"}}
    for declared in (Any, dict[str, dict[str, str]], JsonValue):
        with pytest.raises(StrictJsonError):
            encode_value(slot, declared)
    with pytest.raises((StrictJsonError, ValidationError)):
        decode_value({"error_code": {"__builtin_task_code__": "TASK_TIMEOUT", "x": 1}}, TaskError)
    with pytest.raises((StrictJsonError, ValidationError)):
        decode_value({"error_code": {"__builtin_task_code__": "NO_SUCH_CODE"}}, TaskError)


def test_output_is_compact_and_unescaped() -> None:
    """K-09"""
    assert codec_for(dict[str, list[str]]).encode({"ä": ["日本", "\x00"]}) == '{"ä":["日本","\\u0000"]}'


@pytest.mark.parametrize("declared", [Any, dict, dict[str, list[int | str | float]], JsonValue])
def test_text_survives_unchanged(declared: Any) -> None:
    """K-03: U+0000, integers of any size, float text"""
    value = {"a": [2**300, -(10**1000), "x\x00y", 1e300, 5e-324, -0.0, 0.1]}
    codec = codec_for(declared)
    text = codec.encode(value)
    assert codec.decode(text) == value
    assert codec.encode(codec.decode(text)) == text


LONG = 10**4299
"""4300 digits; one more cannot be read back."""

INTEGERS: list[tuple[Any, Wrap]] = [
    (int, lambda number: number),
    (Any, lambda number: number),
    (JsonValue, lambda number: [number]),
    (dict[str, list[int]], lambda number: {"a": [1, number]}),
    (dict, lambda number: {"a": number}),
    (Weight, lambda number: Weight(more=number)),
    (Any, lambda number: [Weight(more=number)]),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shift", [0, 1, 4299, 4300, 4301])
@pytest.mark.parametrize(("declared", "wrap"), INTEGERS)
def test_integers_that_could_not_be_read_back_are_not_sent(
    declared: Any, wrap: Wrap, shift: int, sign: int
) -> None:
    """K-03, K-44: what travels arrives as it was; what no reader takes is refused at the send, wherever it stands."""
    codec = codec_for(tuple[str, declared])
    fill = "x" * shift
    value = (fill, wrap(sign * LONG))
    assert codec.decode(codec.encode(value)) == value
    for number in (10 * LONG, LONG * LONG):
        with pytest.raises(StrictJsonError, match="4300"):
            codec.encode((fill, wrap(sign * number)))


@pytest.mark.parametrize("declared", [str, Any, JsonValue])
def test_digits_in_a_text_may_be_many(declared: Any) -> None:
    """K-03"""
    text = "7" * 20_000
    codec = codec_for(declared)
    assert codec.decode(codec.encode(text)) == text


def test_integers_that_could_not_be_read_back_are_not_taken_as_data() -> None:
    """K-03, K-44"""
    with pytest.raises(StrictJsonError):
        decode_value(10 * LONG, int)
    with pytest.raises(StrictJsonError):
        encode_value({10 * LONG: 1}, dict[int, int])


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("declared", [Any, list, JsonValue, pydantic.JsonValue])
def test_what_could_not_be_read_back_is_not_sent(declared: Any) -> None:
    """K-44: nesting that Pydantic's reader refuses is refused at the send."""
    assert decode_value(encode_value(_nested(150), declared), declared) == _nested(150)
    for depth in (230, 5000, 100_000):
        with pytest.raises((StrictJsonError, ValidationError)):
            encode_value(_nested(depth), declared)


def test_a_list_that_contains_itself_is_refused() -> None:
    """K-24"""
    loop: list[Any] = []
    loop.append(loop)
    for declared in (Any, list, list[Any]):
        with pytest.raises(StrictJsonError, match="contains itself"):
            encode_value(loop, declared)
