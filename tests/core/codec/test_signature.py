"""Arguments between producer and worker: T-33, T-38, K-01, K-02, K-35, K-36, K-38; results: T-47, K-39, K-40."""

# The tasks of these tests are declared, never run.
# mypy: disable-error-code="empty-body"

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from horsies.codec import JsonValue, StrictJsonError
from horsies.codec.problems import ArgumentError, DecodeError, EncodeError, ReturnTypeMismatch
from horsies.codec.signature import TaskSignature, read_signature
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.context import WorkflowContext, WorkflowMeta
from tests.core.codec.shapes import Order, Picky, Point


def _read(function: Any) -> TaskSignature:
    return read_signature(function, "resize", keyword_only=False)


@_read
def resize(image: int, scale: float = 1.0, *, width: int = 800, note: str) -> TaskResult[int, TaskError]: ...


@_read
def nothing() -> TaskResult[None, TaskError]: ...


@_read
def injected(
    n: int,
    earlier: TaskResult[int, TaskError],
    workflow_meta: WorkflowMeta,
    workflow_ctx: WorkflowContext | None = None,
) -> TaskResult[int, TaskError]: ...


def test_arguments_are_bound_to_names() -> None:
    """T-33, T-38, K-02: only what the caller gave"""
    assert resize.bind((1,), {"note": "x"}) == {"image": 1, "note": "x"}
    assert resize.bind((1, 2.0), {"note": "x", "width": 3}) == {
        "image": 1,
        "scale": 2.0,
        "note": "x",
        "width": 3,
    }
    assert resize.bind((), {"note": "x", "image": 1}) == {"image": 1, "note": "x"}
    assert nothing.bind((), {}) == {}


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, 2, 3), {"note": "x"}, "2 positional arguments, but 3"),
        ((1, 2, 3, 4, 5), {}, "2 positional arguments, but 5"),
        ((1,), {"note": "x", "image": 1}, "'image'"),
        ((1,), {"note": "x", "colour": 1}, "'colour'"),
        ((1,), {}, "'note'"),
        ((), {"note": "x"}, "'image'"),
        ((), {}, "'image'"),
    ],
)
def test_calls_that_do_not_go_with_the_parameters(
    args: tuple[Any, ...], kwargs: dict[str, Any], named: str
) -> None:
    """T-33: the message names task and argument"""
    with pytest.raises(ArgumentError) as caught:
        resize.bind(args, kwargs)
    assert named in str(caught.value)
    assert "resize" in str(caught.value)


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, 2), {}, "'earlier'"),
        ((1,), {"earlier": 1}, "'earlier'"),
        ((1,), {"workflow_meta": None}, "'workflow_meta'"),
        ((1,), {"workflow_ctx": None}, "'workflow_ctx'"),
        ((1,), {}, "'earlier'"),
    ],
)
def test_what_the_workflow_engine_fills_in_is_not_the_callers(
    args: tuple[Any, ...], kwargs: dict[str, Any], named: str
) -> None:
    """T-33, K-35"""
    with pytest.raises(ArgumentError, match="workflow") as caught:
        injected.bind(args, kwargs)
    assert named in str(caught.value)
    with pytest.raises(ArgumentError, match="'workflow_meta'"):
        injected.bind((1,), {}, injected=("earlier",))
    assert injected.bind((1,), {}, injected=("earlier", "workflow_meta")) == {"n": 1}


def test_arguments_travel_as_one_object() -> None:
    """Section 1, K-02, T-38"""
    assert resize.encode({"image": 1, "note": "ä"}) == '{"image":1,"note":"ä"}'
    assert resize.encode({"image": "7", "note": "x", "scale": 2}) == '{"image":7,"scale":2.0,"note":"x"}'
    assert nothing.encode({}) is None
    assert resize.decode('{"image":1,"note":"ä"}') == {"image": 1, "note": "ä"}
    assert nothing.decode(None) == nothing.decode("null") == nothing.decode("{}") == {}


def test_the_worker_decodes_what_the_producer_encoded() -> None:
    """K-01: each side has a class of its own, and nothing but the signature in common"""

    def side() -> tuple[TaskSignature, Any]:
        class Local(BaseModel):
            at: datetime

        @_read
        def task(
            one: Local, many: dict[str, list[Local]], free: Any = None
        ) -> TaskResult[Local, TaskError]: ...

        return task, Local

    (producer, mine), (worker, theirs) = side(), side()
    at = datetime(2026, 1, 1)
    text = producer.encode({"one": mine(at=at), "many": {"a": [mine(at=at)]}, "free": [at]})
    assert text is not None
    assert "Local" not in text
    assert worker.decode(text) == {"one": theirs(at=at), "many": {"a": [theirs(at=at)]}, "free": [at]}


@_read
def varied(
    a: int = 0,
    point: Point | None = None,
    order: Order | None = None,
    free: dict[str, Any] | None = None,
    raw: JsonValue = None,
    limited: Annotated[int, Field(gt=5, alias="other")] = 6,
    picky: Picky | None = None,
) -> TaskResult[Any, TaskError]: ...


@pytest.mark.parametrize(
    ("bound", "name", "cause"),
    [
        ({"a": 1, "point": "x"}, "point", ValidationError),
        ({"order": {"id": "x"}}, "order", ValidationError),
        ({"free": {"a": (1,)}}, "free", StrictJsonError),
        ({"free": {"__h_x": 1}}, "free", StrictJsonError),
        ({"free": {"x": {1: 1}}}, "free", StrictJsonError),
        ({"a": 1, "raw": b"x"}, "raw", ValidationError),
        ({"free": {"a": float("nan")}}, "free", StrictJsonError),
        ({"order": Order(id=1), "free": {"a": "\ud800"}}, "free", StrictJsonError),
        ({"limited": 5}, "limited", ValidationError),
        ({"picky": {"a": -1}}, "picky", TypeError),
    ],
)
def test_a_bad_argument_is_named(bound: dict[str, object], name: str, cause: type[Exception]) -> None:
    """K-36, T-34: task, argument and cause"""
    with pytest.raises(EncodeError) as caught:
        varied.encode(bound)
    assert "resize" in str(caught.value)
    assert repr(name) in str(caught.value)
    assert isinstance(caught.value.__cause__, cause)


def test_a_bad_argument_is_not_shown() -> None:
    """Errors are logged; arguments may be secret."""
    with pytest.raises(EncodeError) as caught:
        varied.encode({"a": "s3cret-token"})
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in str(caught.value.__cause__)


def test_metadata_of_a_parameter_rules_its_value_only() -> None:
    """K-16: an alias does not rename the argument"""
    assert varied.encode({"limited": 7}) == '{"limited":7}'
    assert varied.decode('{"limited":7}') == {"limited": 7}


def test_many_calls_at_once() -> None:
    """T-42: the first bad item is named by its index"""
    assert varied.encode_many([{"a": 1}, {}, {"a": 2}]) == ['{"a":1}', None, '{"a":2}']
    assert varied.encode_many([]) == []
    with pytest.raises(EncodeError, match=r"item 2: .*'a'") as caught:
        varied.encode_many([{"a": 1}, {}, {"a": "x"}, {"a": "y"}])
    assert isinstance(caught.value.__cause__, ValidationError)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("5", "object"),
        ('"__x"', "object"),
        ('{"image":"x","note":"x"}', "'image'"),
        ('{"image":1}', "missing argument 'note'"),
        (None, "missing argument 'image'"),
        ("null", "missing argument 'image'"),
        ('{"image":1,"note":"x","colour":1}', "unknown argument 'colour'"),
        ('{"image":1,"note":"x","__h_odd__":1}', "reserved"),
        ('{"image":1,"note":"x","scale":NaN}', "NaN"),
        ('{"image":1,"note":{"__h_tag__":"date","v":"2026-01-01"}}', "reserved"),
    ],
)
def test_stored_arguments_that_do_not_fit(text: str | None, says: str) -> None:
    """K-38: the user's code never sees them"""
    with pytest.raises(DecodeError) as caught:
        resize.decode(text)
    assert "resize" in str(caught.value)
    assert says.lower() in str(caught.value).lower()
    assert caught.value.__cause__ is not None


def test_unknown_fields_inside_arguments_are_the_types_own_affair() -> None:
    """K-20, K-38: only the names of arguments are the codec's"""
    assert varied.decode('{"point":{"x":1,"z":2},"order":{"id":1,"new":true}}') == {
        "point": Point(1),
        "order": Order(id=1),
    }


def test_a_validator_that_raises_anything_else() -> None:
    """K-38"""
    with pytest.raises(DecodeError, match="TypeError: negative"):
        varied.decode('{"picky":{"a":-1}}')


@_read
def counts() -> TaskResult[dict[str, int], TaskError]: ...


@_read
def loose() -> TaskResult[Any, TaskError]: ...


@_read
def weighs() -> TaskResult[float, TaskError]: ...


@_read
def picky() -> TaskResult[Picky, TaskError]: ...


def test_success_values() -> None:
    """T-47: validated lax, and the converted value is the result"""
    assert counts.encode_ok({"a": "5"}) == '{"a":5}'
    assert counts.validate_ok({"a": "5"}) == {"a": 5}
    assert nothing.encode_ok(None) == "null"
    assert loose.encode_ok([1, datetime(2026, 1, 1)]).startswith("[1,{")
    assert loose.validate_ok((1, 2)) == (1, 2)


def test_a_value_of_another_type() -> None:
    """K-39, T-47"""
    with pytest.raises(ReturnTypeMismatch) as caught:
        counts.encode_ok({"a": "five"})
    details = caught.value.details
    assert details["variant"] == "ok"
    assert details["expected_type"] == "dict[str, int]"
    assert "five" in details["actual_value"]
    assert details["validation_errors"][0]["loc"] == ["a"]
    assert json.loads(json.dumps(details)) == details
    with pytest.raises(ReturnTypeMismatch):
        nothing.encode_ok(5)
    with pytest.raises(ReturnTypeMismatch):
        counts.encode_ok(None)


def test_a_mismatch_can_always_be_reported() -> None:
    """T-47: whatever the value's repr does"""

    @dataclass(repr=False)
    class Nasty:
        a: int = 1

        def __repr__(self) -> str:
            raise OSError("no")

    for value in (Nasty(), "\ud800" * 3, "x" * 100_000, object()):
        with pytest.raises(ReturnTypeMismatch) as caught:
            counts.encode_ok(value)
        assert len(json.dumps(caught.value.details, ensure_ascii=False).encode()) < 5000


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        (loose, (1, 2)),
        (loose, object()),
        (loose, {"__h_x": 1}),
        (weighs, float("nan")),
        (weighs, float("inf")),
        (counts, {"__horsies_x": 1}),
        (picky, {"a": -1}),
    ],
)
def test_a_value_that_fits_but_cannot_be_written(signature: TaskSignature, value: object) -> None:
    """K-40"""
    with pytest.raises(StrictJsonError):
        signature.encode_ok(value)


def test_the_original_signature_is_kept() -> None:
    """T-26"""
    assert list(resize.inspect_signature.parameters) == ["image", "scale", "width", "note"]
    assert "resize" in repr(resize)
