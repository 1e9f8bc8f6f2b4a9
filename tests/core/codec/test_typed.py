"""Typed positions: K-01, K-16, K-18 to K-22 and the table of section 4 of the codec's specification."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import GenericAlias
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from horsies.codec import JsonValue, StrictJsonError, decode_value, encode_value
from horsies.codec.typed import codec_for
from tests.core.codec.shapes import (
    Access,
    BigOrder,
    Box,
    Cat,
    Color,
    Computed,
    Counted,
    Dog,
    Json,
    Kennel,
    Level,
    Line,
    Mixed,
    Nested,
    Numbers,
    Open,
    Options,
    Order,
    Pair,
    Pet,
    Place,
    Point,
    Point3,
    Raw,
    Renamed,
    Rights,
    Strict,
    Tree,
    WithJson,
)

type Sample = tuple[Any, st.SearchStrategy[Any]]

type PerhapsLevel = Level | None

text = st.text(alphabet=st.characters(codec="utf-8"))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
zones = st.none() | st.just(UTC) | offsets
finite = st.floats(allow_nan=False, allow_infinity=False)

_literals = st.sampled_from([Mixed.TEXT, Mixed.NUMBER, Mixed.FRACTION, "y", None])

SCALARS: dict[str, Sample] = {
    "None": (None, st.none()),
    "bool": (bool, st.booleans()),
    "int": (int, st.integers()),
    "float": (float, finite),
    "str": (str, text),
    "Literal": (Literal["a", 1, True, None], st.sampled_from(["a", 1, True, None])),
    "datetime": (datetime, st.datetimes(timezones=zones)),
    "date": (date, st.dates()),
    "time": (time, st.times(timezones=zones)),
    "timedelta": (timedelta, st.timedeltas()),
    "Decimal": (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    "UUID": (UUID, st.uuids()),
    "bytes": (bytes, st.binary()),
    "Enum": (Color, st.sampled_from(Color)),
    "IntEnum": (Level, st.sampled_from(Level)),
    "mixed Enum": (Mixed, st.sampled_from(Mixed)),
    "IntFlag": (Access, st.integers(0, 3).map(Access)),
    "Flag": (Rights, st.integers(0, 3).map(Rights)),
    "Literal of an Enum": (Literal[Mixed.TEXT, Mixed.NUMBER, Mixed.FRACTION, "y", None], _literals),
    "Literal of one IntEnum": (Literal[Level.LOW, "y"], st.sampled_from([Level.LOW, "y"])),
}
lines = st.builds(Line, name=text, amount=finite, note=st.none() | text)
orders = st.builds(
    Order, id=st.integers(), lines=st.lists(lines, max_size=2), at=st.none() | st.datetimes(timezones=zones)
)
CONTAINERS: dict[str, Sample] = {
    "model": (Order, orders),
    "generic model": (Box[int], st.builds(Box[int], value=st.integers())),
    "root model": (Numbers, st.builds(Numbers, st.lists(st.integers()))),
    "dataclass": (Point, st.builds(Point, st.integers(), finite, st.binary())),
    "generic dataclass": (
        Pair[int],
        st.builds(Pair[int], st.integers(), st.builds(Pair[int], st.integers())),
    ),
    "TypedDict": (Options, st.fixed_dictionaries({"name": text}, optional={"raw": st.binary()})),
    "NamedTuple": (Place, st.builds(Place, text, st.none() | orders, st.binary())),
    "tuple": (tuple[int, str], st.tuples(st.integers(), text)),
    "long tuple": (tuple[date, ...], st.lists(st.dates()).map(tuple)),
    "empty tuple": (tuple[()], st.just(())),
    "set": (set[int], st.sets(st.integers())),
    "frozenset": (frozenset[UUID], st.frozensets(st.uuids())),
    "list": (list[Decimal], st.lists(SCALARS["Decimal"][1])),
    "optional": (int | None, st.none() | st.integers()),
    "scalar union": (
        bool | int | float | str | None,
        st.one_of(st.none(), st.booleans(), st.integers(), finite, text),
    ),
    "union by shape": (int | datetime | list[str], st.integers() | st.datetimes() | st.lists(text)),
    "enum in union": (bool | Level, st.booleans() | st.sampled_from(Level)),
    "flag in union": (bool | Rights, st.booleans() | st.integers(0, 3).map(Rights)),
    "enum in an alias in a union": (bool | PerhapsLevel, st.booleans() | st.none() | st.sampled_from(Level)),
    "Literal of an Enum in a union": (
        bool | Literal[Mixed.NUMBER, "y"] | list[str] | None,
        st.none() | st.booleans() | st.sampled_from([Mixed.NUMBER, "y"]) | st.lists(text),
    ),
    "text enum in union": (int | Color | None, st.none() | st.integers() | st.sampled_from(Color)),
    "discriminated": (Pet, st.builds(Cat) | st.builds(Dog)),
    "constrained": (Annotated[int, Field(ge=0)], st.integers(min_value=0)),
    "recursive alias": (
        Json,
        st.recursive(st.none() | text | finite, lambda inner: st.lists(inner, max_size=3)),
    ),
    "generic alias": (Nested[int], st.integers() | st.lists(st.integers() | st.lists(st.integers()))),
}


@pytest.mark.parametrize("name", [*SCALARS, *CONTAINERS])
@given(data=st.data())
def test_what_goes_in_comes_out(name: str, data: st.DataObject) -> None:
    """The table of section 4; K-09, K-44."""
    declared, values = (SCALARS | CONTAINERS)[name]
    value = data.draw(values)
    codec = codec_for(declared)
    wire = codec.encode(value)
    back = codec.decode(wire)
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, datetime | time):
        assert back.utcoffset() == value.utcoffset()
    elif name in SCALARS:
        assert str(back) == str(value)
    assert decode_value(encode_value(value, declared), declared) == value


@pytest.mark.parametrize("name", list(SCALARS))
@given(data=st.data())
def test_every_scalar_can_be_a_key(name: str, data: st.DataObject) -> None:
    """The row `dict[K, V]` of the table."""
    declared, values = SCALARS[name]
    if name == "Literal":
        declared, values = Literal["a", 1, None], st.sampled_from(["a", 1, None])
    free = values.filter(lambda key: not isinstance(key, str) or not key.startswith("__"))
    value = data.draw(st.dictionaries(free, st.integers(), max_size=3))
    kind = GenericAlias(dict, (declared, int))
    wire = encode_value(value, kind)
    assert all(isinstance(key, str) for key in wire)
    assert decode_value(wire, kind) == value


FORMS: list[tuple[Any, Any, Any]] = [
    (datetime, datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"),
    (datetime, datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),
    (date, date(2026, 1, 2), "2026-01-02"),
    (time, time(1, 2, 3), "01:02:03"),
    (timedelta, timedelta(days=1, seconds=2), "P1DT2S"),
    (Decimal, Decimal("1.500"), "1.500"),
    (Decimal, Decimal("1E+3"), "1E+3"),
    (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (bytes, b"\xff\xfe\xfb", "__77"),
    (Color, Color.RED, "red"),
    (Place, Place("a", Order(id=1), b""), ["a", {"id": 1, "lines": [], "at": None}, ""]),
    (set[int], {1}, [1]),
    (dict[int, date], {1: date(2026, 1, 2)}, {"1": "2026-01-02"}),
    (Point, Point(1), {"x": 1, "y": 0.0, "raw": "_w=="}),
]


@pytest.mark.parametrize(("declared", "value", "wire"), FORMS)
def test_wire_forms(declared: Any, value: Any, wire: Any) -> None:
    """The second column of the table; K-01: no class name travels."""
    assert encode_value(value, declared) == wire
    assert decode_value(wire, declared) == value


def test_lax_conversion() -> None:
    """K-18"""
    assert encode_value("5", int) == 5
    assert encode_value({"id": "3"}, Order) == {"id": 3, "lines": [], "at": None}
    assert encode_value((1, 2), list[int]) == [1, 2]
    with pytest.raises(ValidationError):
        encode_value("five", int)
    with pytest.raises(ValidationError):
        decode_value("five", int)


@pytest.mark.parametrize(
    ("declared", "value", "back"),
    [
        (Order, BigOrder(id=1), Order(id=1)),
        (list[Order], [BigOrder(id=1)], [Order(id=1)]),
        (Order | None, BigOrder(id=1), Order(id=1)),
        (Place, Place("a", BigOrder(id=1)), Place("a", Order(id=1))),
        (dict[str, Point], {"a": Point3(1)}, {"a": Point(1)}),
    ],
)
def test_the_declared_class_decides_the_fields(declared: Any, value: Any, back: Any) -> None:
    """K-19"""
    wire = encode_value(value, declared)
    assert "surplus" not in json.dumps(wire)
    assert '"z"' not in json.dumps(wire)
    assert decode_value(wire, declared) == back


def test_a_models_own_configuration_governs() -> None:
    """K-20"""
    assert encode_value(Raw(body=b"abc"), Raw) == {"body": "abc", "anything": None}
    assert encode_value(Raw(body=b"", anything=date(2026, 1, 2)), Raw)["anything"] == "2026-01-02"
    with pytest.raises(StrictJsonError, match="utf-8"):
        encode_value(Raw(body=b"\xff"), Raw)
    assert decode_value(encode_value(Renamed(userName="x"), Renamed), Renamed) == Renamed(userName="x")
    assert decode_value(encode_value(Computed(a=1), Computed), Computed) == Computed(a=1)
    assert decode_value(encode_value(Open(a=1, b=2), Open), Open) == Open(a=1, b=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_model_that_was_changed_behind_validation_is_refused() -> None:
    """K-18, at the send: the receiver could not read it."""
    order = Order(id=1)
    order.id = "nonsense"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(StrictJsonError, match="id"):
        encode_value(order, Order)


@pytest.mark.parametrize("kind", [Counted, Strict])
def test_fields_outside_the_constructor_are_not_restored(kind: Any) -> None:
    """K-21, also in a class that forbids extra fields."""
    value = kind(1)
    value.seen = 5
    assert decode_value(encode_value(value, kind), kind) == kind(1)
    assert decode_value(encode_value([value], list[kind]), list[kind]) == [kind(1)]


keys = text.filter(lambda key: not key.startswith("__"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
)


@given(value=json_values)
def test_json_value_travels_as_it_is(value: Any) -> None:
    """K-22"""
    assert encode_value(value, JsonValue) == value
    assert decode_value(value, JsonValue) == value
    assert decode_value(encode_value({"a": [value]}, dict[str, JsonValue]), dict[str, JsonValue]) == {
        "a": [value]
    }


@given(value=json_values)
def test_pydantics_own_json_value_travels_as_well(value: Any) -> None:
    """K-16: it is an alias that contains itself, by names that stand in another module."""
    declared: Any
    for declared in (pydantic.JsonValue, Annotated[pydantic.JsonValue, "note"]):
        assert decode_value(encode_value(value, declared), declared) == value
    with pytest.raises(ValidationError):
        encode_value([value, (1,)], pydantic.JsonValue)


@pytest.mark.parametrize(
    "value",
    [
        (1,),
        {1},
        b"x",
        datetime(2026, 1, 1),
        Order(id=1),
        Point(1),
        Decimal(1),
        Color.RED,
        Level.LOW,
        {1: 2},
        object(),
    ],
)
def test_json_value_converts_nothing(value: object) -> None:
    """K-22"""
    for declared, inner in ((JsonValue, value), (list[JsonValue], [value]), (WithJson, {"data": value})):
        with pytest.raises((ValidationError, StrictJsonError)) as caught:
            encode_value(inner, declared)
        assert "JsonValue" in str(caught.value)


def test_json_value_that_contains_itself_is_refused() -> None:
    """K-22"""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValidationError, match="contains itself"):
        encode_value(loop, JsonValue)


def test_types_within_types() -> None:
    """K-16"""
    tree = Tree(name="a", children=[Tree(name="b")])
    assert decode_value(encode_value(tree, Tree), Tree) == tree
    kennel = Kennel(pets=[Cat(), Dog(loud=False)], best=Dog())
    assert decode_value(encode_value(kennel, Kennel), Kennel) == kennel
    for declared in (Sequence[int], Iterable[int]):
        assert decode_value(encode_value([1, 2], declared), declared) == [1, 2]
    assert decode_value(encode_value({"a": 1}, Mapping[str, int]), Mapping[str, int]) == {"a": 1}


@pytest.mark.parametrize("declared", [datetime, list[datetime], dict[str, datetime | None]])
def test_an_offset_with_seconds_is_refused_rather_than_rounded(declared: Any) -> None:
    """The row `datetime` of the table: the offset is kept, or the value is not sent."""
    odd = datetime(2026, 1, 1, tzinfo=timezone(timedelta(minutes=19, seconds=32)))
    value: Any = odd if declared is datetime else [odd] if declared == list[datetime] else {"a": odd}
    with pytest.raises(StrictJsonError, match="offset"):
        encode_value(value, declared)


def test_a_type_that_cannot_travel_is_refused() -> None:
    """K-44"""
    with pytest.raises(StrictJsonError, match="cannot travel"):
        encode_value(1, type("Plain", (), {}))
