"""Untyped positions and tags: K-23 to K-27, and section 5 of the codec's specification."""

import enum
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from horsies.codec import StrictJsonError, decode_value, encode_value
from horsies.codec.typed import codec_for
from tests.core.codec.shapes import (
    Anyhow,
    BigOrder,
    Box,
    Color,
    Counted,
    Level,
    Order,
    Outer,
    Point,
    Raw,
    Strict,
    WithJson,
)

HERE = "tests.core.codec.shapes"
UNTYPED = [Any, object, Any | None]

text = st.text(alphabet=st.characters(codec="utf-8")).filter(lambda key: not key.startswith("__"))
offsets = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
zones = st.none() | st.just(UTC) | offsets
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    text,
    st.datetimes(timezones=zones),
    st.dates(),
    st.times(timezones=zones),
    st.builds(Order, id=st.integers(), at=st.none() | st.datetimes()),
    st.builds(Point, x=st.integers(), raw=st.binary()),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)


@given(value=values)
def test_what_goes_in_comes_out(value: Any) -> None:
    """Section 5: plain JSON data, moments, models and dataclasses; also reached through containers."""
    for declared in UNTYPED:
        codec = codec_for(declared)
        back = codec.decode(codec.encode(value))
        assert back == value
        assert type(back) is type(value)
        assert decode_value(encode_value(value, declared), declared) == value
    for declared in (dict, dict[str, Any], dict[str, Any] | None):
        assert decode_value(encode_value({"k": value}, declared), declared) == {"k": value}
    for declared in (list, list[Any], list[object]):
        assert decode_value(encode_value([value], declared), declared) == [value]
    assert decode_value(encode_value((1, value), tuple), tuple) == (1, value)
    assert decode_value(encode_value((1, value), tuple[int, Any]), tuple[int, Any]) == (1, value)
    nested = {"a": {"b": [value]}}
    assert decode_value(encode_value(nested, Anyhow), Anyhow) == nested
    assert decode_value(
        encode_value([{"a": [value]}], list[dict[str, list[Any]]]), list[dict[str, list[Any]]]
    ) == [{"a": [value]}]


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (datetime(2026, 1, 2, 3), {"__h_tag__": "datetime", "v": "2026-01-02T03:00:00"}),
        (datetime(2026, 1, 2, tzinfo=UTC), {"__h_tag__": "datetime", "v": "2026-01-02T00:00:00+00:00"}),
        (date(2026, 1, 2), {"__h_tag__": "date", "v": "2026-01-02"}),
        (time(1, 2), {"__h_tag__": "time", "v": "01:02:00"}),
        (Order(id=1), {"__h_tag__": "model", "c": f"{HERE}:Order", "v": {"id": 1, "lines": [], "at": None}}),
        (BigOrder(id=1).lines, []),
        (Outer.Inner(), {"__h_tag__": "model", "c": f"{HERE}:Outer.Inner", "v": {"a": 1}}),
        (Point(1), {"__h_tag__": "dataclass", "c": f"{HERE}:Point", "v": {"x": 1, "y": 0.0, "raw": "_w=="}}),
        ({"a": [1, None, "x"]}, {"a": [1, None, "x"]}),
    ],
)
def test_wire_forms(value: object, wire: object) -> None:
    """Section 5's table; K-23: fields are encoded as at typed positions."""
    assert encode_value(value, Any) == wire
    assert decode_value(wire, Any) == value


def test_the_concrete_class_travels() -> None:
    """K-19 is about declared classes; without one the value's own class decides."""
    assert decode_value(encode_value([BigOrder(id=1, surplus=2)], list), list) == [BigOrder(id=1, surplus=2)]


def test_fields_that_no_constructor_takes_are_not_restored() -> None:
    """K-21, K-23"""
    for kind in (Counted, Strict):
        value = kind(1)
        value.seen = 3
        assert decode_value(encode_value(value, Any), Any) == kind(1)


def test_any_inside_a_model_follows_pydantic() -> None:
    """K-20, K-23"""
    wire = encode_value(Raw(body=b"x", anything=date(2026, 1, 2)), Any)
    assert wire["v"] == {"body": "x", "anything": "2026-01-02"}


class Mine:
    pass


class Tuple2(NamedTuple):
    a: int
    b: int


class Text(enum.StrEnum):
    A = "a"


REFUSED: list[object] = [
    (1, 2),
    Tuple2(1, 2),
    {1},
    frozenset((1,)),
    b"x",
    bytearray(b"x"),
    Decimal(1),
    uuid4(),
    timedelta(1),
    Color.RED,
    Level.LOW,
    Text.A,
    Mine(),
    Mine,
    Order,
    Point,
    len,
    Path("x"),
    1j,
    ValueError("x"),
]


@pytest.mark.parametrize("value", REFUSED)
def test_what_would_not_come_back_the_same_is_refused(value: object) -> None:
    """K-24: with the type, the place and what to do about it"""
    for declared, inner in (
        (Any, value),
        (list, [1, value]),
        (dict, {"a": [value]}),
        (dict[str, Any], {"a": value}),
        (Anyhow, {"a": {"b": [value]}}),
    ):
        with pytest.raises(StrictJsonError) as caught:
            encode_value(inner, declared)
        assert type(value).__name__ in str(caught.value)
        assert "declare the type" in str(caught.value)
        assert "convert the value" in str(caught.value)
    with pytest.raises(StrictJsonError, match=r"\['a'\]\[1\]"):
        encode_value({"a": [1, value]}, dict)


def test_an_offset_with_fractions_of_a_second_is_refused() -> None:
    """Section 5: a moment comes back the same, or is not sent."""
    odd = timezone(timedelta(microseconds=1))
    for value in (datetime(2026, 1, 1, tzinfo=odd), time(1, tzinfo=odd)):
        with pytest.raises(StrictJsonError, match="offset"):
            encode_value([value], Any)


def test_enum_members_are_no_keys() -> None:
    """K-24"""
    with pytest.raises(StrictJsonError, match="text keys"):
        encode_value({Text.A: 1}, Any)


def test_subclasses_of_plain_data_travel_as_plain_data() -> None:
    """Section 5: plain JSON data."""
    assert encode_value({"a": OrderedDict([("b", 1)])}, Any) == {"a": {"b": 1}}


def test_classes_that_others_cannot_find_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-24"""

    class Local(BaseModel):
        a: int = 1

    @dataclass
    class LocalToo:
        a: int = 1

    for value in (Local(), LocalToo()):
        with pytest.raises(StrictJsonError, match="inside a function"):
            encode_value(value, Any)
        assert encode_value(value, type(value)) == {"a": 1}, "K-01: a declared class needs no name"
    main = type("InMain", (BaseModel,), {"__module__": "__main__", "__annotations__": {"a": int}})
    with pytest.raises(StrictJsonError, match="__main__"):
        encode_value(main(a=1), Any)
    assert encode_value(main(a=1), main) == {"a": 1}
    with pytest.raises(StrictJsonError, match="cannot be found"):
        encode_value(Box[date](value=date(2026, 1, 1)), Any)


def test_bare_containers_are_restored() -> None:
    """K-25"""
    for declared, value in (
        (tuple, (1, "a", datetime(2026, 1, 1))),
        (set, {1, date(2026, 1, 1)}),
        (frozenset, frozenset((time(1), "x"))),
        (list[set[Any]], [{1, date(2026, 1, 1)}]),
    ):
        back = decode_value(encode_value(value, declared), declared)
        assert back == value
        assert type(back) is type(value)
    for declared in (tuple, set, frozenset):
        with pytest.raises(StrictJsonError):
            encode_value([(1, 2)], declared)


Either: Any = list | dict | int | None  # pyright: ignore[reportMissingTypeArgument]
UNIONS: list[tuple[Any, Any, Any]] = [
    (list[Any] | Order, Order(id=1), [(1,)]),
    (list[Any] | Order, [Order(id=1), date(2026, 1, 1)], [{1}]),
    (dict[str, Any] | datetime, datetime(2026, 1, 1), {"a": b"x"}),
    (dict[str, Any] | datetime, {"a": datetime(2026, 1, 1)}, {"a": {1: 2}}),
    (Either, {"a": [date(2026, 1, 1)]}, [Decimal(1)]),
    (Either, 5, {"a": Color.RED}),
    (
        int | datetime | list[int],
        datetime(2026, 1, 1),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=1))),
    ),
    (
        list[datetime | int],
        [5, datetime(2026, 1, 1)],
        [datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=1)))],
    ),
    (list[tuple[Any, ...] | str], [(1, date(2026, 1, 1)), "x"], [(1, (2,))]),
]


@pytest.mark.parametrize(("declared", "value", "bad"), UNIONS)
def test_untyped_positions_within_unions(declared: Any, value: object, bad: object) -> None:
    """Section 5, K-15, K-24: each member keeps to its own values, and a refusal stays a refusal"""
    wire = encode_value(value, declared)
    back = decode_value(wire, declared)
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, Order):
        assert wire == {"id": 1, "lines": [], "at": None}
    with pytest.raises(StrictJsonError, match=r"declare the type|text keys|offset"):
        encode_value(bad, declared)


def _tag(name: str, class_name: object, value: object) -> dict[str, object]:
    return {"__h_tag__": name, "c": class_name, "v": value}


@pytest.mark.parametrize(
    "data",
    [
        _tag("model", "no.such.module:Order", {"id": 1}),
        _tag("model", f"{HERE}:NoSuch", {}),
        _tag("model", f"{HERE}:Outer.NoSuch", {}),
        _tag("model", f"{HERE}:Point", {"x": 1}),
        _tag("dataclass", f"{HERE}:Order", {"id": 1}),
        _tag("model", "pydantic:BaseModel", {}),
        _tag("model", "pydantic.main:BaseModel", {}),
        _tag("model", f"{HERE}:BaseModel", {}),
        _tag("model", "builtins:dict", {}),
        _tag("model", "os:environ", {}),
        _tag("model", HERE, {}),
        _tag("model", "", {}),
        _tag("model", ":", {}),
        _tag("model", f"{HERE}:Order.__class__", {"id": 1}),
        _tag("dataclass", "builtins:type", {}),
    ],
)
def test_a_class_tag_must_lead_to_a_loaded_class_of_that_name(data: dict[str, object]) -> None:
    """K-26: the error names the class"""
    with pytest.raises(StrictJsonError) as caught:
        decode_value({"a": [data]}, Any)
    assert repr(data["c"]) in str(caught.value)


def test_decoding_a_class_tag_never_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-26: neither by the module's name nor through a module's own __getattr__."""
    unused = "xml.dom.pulldom"
    monkeypatch.delitem(sys.modules, unused, raising=False)
    with pytest.raises(StrictJsonError):
        decode_value(_tag("model", f"{unused}:DOMEventStream", {}), Any)
    assert unused not in sys.modules
    lazy = types.ModuleType("lazy_module_of_a_test")
    asked: list[str] = []

    def find(name: str) -> type:
        asked.append(name)
        return Order

    vars(lazy)["__getattr__"] = find
    monkeypatch.setitem(sys.modules, lazy.__name__, lazy)
    with pytest.raises(StrictJsonError):
        decode_value(_tag("model", f"{lazy.__name__}:Order", {"id": 1}), Any)
    assert asked == []


def test_a_class_under_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-26: its own module and qualified name must equal the tag."""
    other = types.ModuleType("other_module_of_a_test")
    vars(other)["Order"] = Order
    monkeypatch.setitem(sys.modules, other.__name__, other)
    with pytest.raises(StrictJsonError, match="other_module_of_a_test:Order"):
        decode_value(_tag("model", f"{other.__name__}:Order", {"id": 1}), Any)


@pytest.mark.parametrize(
    "data",
    [
        {"__h_tag__": "date"},
        {"__h_tag__": "date", "v": "2026-01-01", "x": 1},
        {"__h_tag__": "date", "c": "a:b", "v": "2026-01-01"},
        {"__h_tag__": "date", "v": 5},
        {"__h_tag__": "date", "v": "soon"},
        {"__h_tag__": "datetime", "v": None},
        {"__h_tag__": "time", "v": "25:00"},
        {"__h_tag__": "bytes", "v": "eA=="},
        {"__h_tag__": None, "v": 1},
        {"__h_tag__": 0},
        {"__h_tag__": ["date"], "v": 1},
        {"__h_tag__": "model", "v": {"id": 1}},
        _tag("model", None, {"id": 1}),
        _tag("model", f"{HERE}:Order", {"id": "x"}),
        _tag("model", f"{HERE}:Order", {}),
        _tag("model", f"{HERE}:Order", None),
        _tag(
            "model", f"{HERE}:Order", {"id": 1, "lines": [], "at": {"__h_tag__": "date", "v": "2026-01-01"}}
        ),
        _tag("model", f"{HERE}:WithJson", {"data": {"__h_tag__": "date", "v": "2026-01-01"}}),
        {**_tag("model", f"{HERE}:Order", {"id": 1}), "x": 1},
    ],
)
def test_malformed_tags_are_refused(data: object) -> None:
    """K-27"""
    for declared, whole in ((Any, data), (dict, {"a": data}), (list[Any], [data])):
        with pytest.raises(StrictJsonError):
            decode_value(whole, declared)


TYPED: list[tuple[Any, Callable[[Any], Any]]] = [
    (dict[str, dict[str, str]], lambda tag: {"a": tag}),
    (WithJson, lambda tag: {"data": tag}),
    (tuple[dict[str, str], Any], lambda tag: [tag, 1]),
    (tuple[dict[str, str], Any], lambda tag: [tag, tag]),
    (Raw, lambda tag: {"body": "", "anything": tag}),
]


@pytest.mark.parametrize(("declared", "wrap"), TYPED)
def test_tags_count_at_untyped_positions_only(declared: Any, wrap: Any) -> None:
    """K-27"""
    with pytest.raises((StrictJsonError, ValidationError)):
        decode_value(wrap({"__h_tag__": "date", "v": "2026-01-01"}), declared)
