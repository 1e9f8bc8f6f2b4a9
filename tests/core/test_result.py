"""Ok, Err and the functions around them (04 section 1)."""

import copy
import pickle
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, cast

import pytest

from horsies.result import (
    Err,
    Ok,
    Result,
    UnwrapError,
    as_async_result,
    as_result,
    do,
    do_async,
    is_err,
    is_ok,
)


def succeed(value: int = 1) -> Result[int, str]:
    return Ok(value)


def fail(error: str = "e") -> Result[int, str]:
    return Err(error)


def unused(*_: object) -> Any:
    raise AssertionError("this function must not be called")


# --- 04 section 1: the two classes -------------------------------------------------------------------------


def test_equality_is_by_kind_and_payload() -> None:
    assert Ok(1) == Ok(1)
    assert Ok(1) != Ok(2)
    assert Err(1) == Err(1)
    assert Err(1) != Err(2)
    assert cast("object", Ok(1)) != Err(1)
    assert cast("object", Ok(1)) != 1


def test_hashable_when_the_payload_is() -> None:
    assert len({Ok(1), Ok(1), Err(1), Ok(2)}) == 3
    for result in (Ok([1]), Err([1])):
        with pytest.raises(TypeError):
            hash(result)


def test_repr() -> None:
    assert repr(Ok(1)) == "Ok(1)"
    assert repr(Err("x")) == "Err('x')"


@pytest.mark.parametrize("result", [Ok(1), Err(1)])
@pytest.mark.parametrize("name", ["_value", "ok_value", "err_value", "other"])
def test_immutable(result: Result[int, int], name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(result, name, 2)
    with pytest.raises(AttributeError):
        delattr(result, name)
    assert result in (Ok(1), Err(1))


@pytest.mark.parametrize("result", [Ok([1]), Err([1])])
def test_copies_and_pickles_are_equal(result: Result[list[int], list[int]]) -> None:
    assert copy.copy(result) == copy.deepcopy(result) == pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize(("result", "expected"), [(succeed(), ("ok", 1)), (fail(), ("err", "e"))])
def test_match_is_positional(result: Result[int, str], expected: tuple[str, object]) -> None:
    match result:
        case Ok(value):
            assert ("ok", value) == expected
        case Err(error):
            assert ("err", error) == expected


# --- 04 section 1: the table, row by row -------------------------------------------------------------------


def test_questions_and_optional_sides() -> None:
    ok, err = succeed(), fail()
    assert (ok.is_ok(), ok.is_err(), ok.ok(), ok.err()) == (True, False, 1, None)
    assert (err.is_ok(), err.is_err(), err.ok(), err.err()) == (False, True, None, "e")


def test_value_properties_exist_on_one_side_only() -> None:
    assert Ok(1).ok_value == 1
    assert Err("e").err_value == "e"
    assert not hasattr(Ok(1), "err_value")
    assert not hasattr(Err("e"), "ok_value")


def test_unwrap() -> None:
    assert succeed().unwrap() == 1
    assert fail().unwrap_err() == "e"
    with pytest.raises(UnwrapError):
        fail().unwrap()
    with pytest.raises(UnwrapError):
        succeed().unwrap_err()


def test_expect() -> None:
    assert succeed().expect("m") == 1
    assert fail().expect_err("m") == "e"
    with pytest.raises(UnwrapError) as on_err:
        fail().expect("no row")
    assert str(on_err.value) == "no row: 'e'"
    with pytest.raises(UnwrapError) as on_ok:
        succeed().expect_err("no failure")
    assert str(on_ok.value) == "no failure"


def test_unwrap_or_something() -> None:
    assert succeed().unwrap_or(7) == 1
    assert fail().unwrap_or(7) == 7
    assert succeed().unwrap_or_else(unused) == 1
    assert fail().unwrap_or_else(lambda error: error + "!") == "e!"
    assert succeed().unwrap_or_raise(KeyError) == 1
    with pytest.raises(KeyError, match="e"):
        fail().unwrap_or_raise(KeyError)


def test_map() -> None:
    err = fail()
    assert succeed(2).map(lambda value: value * 3) == Ok(6)
    assert err.map(unused) is err
    assert fail("e").map_err(len) == Err(1)
    ok = succeed()
    assert ok.map_err(unused) is ok
    assert succeed(2).map_or("d", lambda value: value * 3) == 6
    assert fail().map_or("d", unused) == "d"
    assert succeed(2).map_or_else(unused, lambda value: value * 3) == 6
    assert fail().map_or_else(lambda: "d", unused) == "d"


def test_chain() -> None:
    ok, err = succeed(2), fail()
    assert ok.and_then(lambda value: succeed(value * 3)) == Ok(6)
    assert ok.and_then(lambda _: fail("late")) == Err("late")
    assert err.and_then(unused) is err
    assert err.or_else(lambda error: succeed(len(error))) == Ok(1)
    assert err.or_else(lambda error: fail(error * 2)) == Err("ee")
    assert ok.or_else(unused) is ok


def test_inspect() -> None:
    seen: list[object] = []
    ok, err = succeed(), fail()
    assert ok.inspect(seen.append) is ok
    assert ok.inspect_err(unused) is ok
    assert err.inspect(unused) is err
    assert err.inspect_err(seen.append) is err
    assert seen == [1, "e"]


async def test_async_forms() -> None:
    async def double(value: int) -> int:
        return value * 2

    async def check(value: int) -> Result[str, str]:
        return Ok(str(value)) if value > 1 else Err("small")

    err = fail()
    assert await succeed(2).map_async(double) == Ok(4)
    assert await err.map_async(unused) is err
    assert await succeed(2).and_then_async(check) == Ok("2")
    assert await succeed(1).and_then_async(check) == Err("small")
    assert await err.and_then_async(unused) is err


def test_iteration_of_ok_yields_the_value() -> None:
    assert list(Ok(1)) == [1]


# --- E-02, E-03 --------------------------------------------------------------------------------------------


def test_guards() -> None:
    """E-02 at run time; the narrowing is in tests/typing/check_results.py."""
    assert is_ok(succeed())
    assert not is_ok(fail())
    assert is_err(fail())
    assert not is_err(succeed())


def test_unwrap_error_holds_the_result() -> None:
    """E-03: `result` is the original."""
    ok, err = succeed(), fail()
    with pytest.raises(UnwrapError) as on_err:
        err.unwrap()
    assert on_err.value.result is err
    assert on_err.value.__cause__ is None
    with pytest.raises(UnwrapError) as on_ok:
        ok.unwrap_err()
    assert on_ok.value.result is ok


def test_unwrap_error_has_the_exception_as_cause() -> None:
    """E-03: an exception as payload becomes `__cause__`."""
    cause = ValueError("low level")
    result: Result[int, ValueError] = Err(cause)
    with pytest.raises(UnwrapError) as by_unwrap:
        result.unwrap()
    assert by_unwrap.value.__cause__ is cause
    with pytest.raises(UnwrapError) as by_expect:
        result.expect("m")
    assert by_expect.value.__cause__ is cause


def test_unwrap_error_survives_pickling() -> None:
    with pytest.raises(UnwrapError) as caught:
        fail().expect("m")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.result, str(again)) == (Err("e"), "m: 'e'")


# --- E-04 --------------------------------------------------------------------------------------------------


def test_do_returns_the_first_value() -> None:
    """E-04"""
    assert do(Ok(a + b) for a in succeed(1) for b in succeed(2)) == Ok(3)


@pytest.mark.parametrize(
    "steps",
    [
        lambda: (Ok(a + b) for a in fail("x") for b in succeed()),
        lambda: (Ok(a + b) for a in succeed() for b in fail("x")),
        lambda: (fail("x") for _ in succeed()),
    ],
    ids=["first", "second", "yielded"],
)
def test_do_returns_the_first_err(steps: Callable[[], Generator[Result[int, str], None, None]]) -> None:
    """E-04: also when the outermost iterable is the Err, which Python asks for its iterator outside of do."""
    assert do(steps()) == Err("x")


def test_do_returns_the_very_err_it_met_and_stops_there() -> None:
    """E-04"""
    err = fail()
    assert do(unused() for _ in succeed() for _ in err) is err


def test_do_closes_its_generator() -> None:
    closed: list[bool] = []

    def steps() -> Generator[Result[int, str], None, None]:
        try:
            yield succeed(5)
        finally:
            closed.append(True)

    assert do(steps()) == Ok(5)
    assert closed == [True]


def test_do_does_not_hide_exceptions() -> None:
    def broken() -> Result[int, str]:
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        do(broken() for _ in succeed())


def test_inner_do_does_not_end_the_outer_one() -> None:
    def inner() -> Result[int, str]:
        return do(Ok(value) for value in fail("inner"))

    assert do(Ok(inner().err()) for _ in succeed()) == Ok("inner")


async def test_do_refuses_async_generators() -> None:
    """E-04: TypeError pointing at do_async."""

    async def steps() -> AsyncIterator[Result[int, str]]:
        yield succeed()

    with pytest.raises(TypeError, match="do_async"):
        do(cast("Any", steps()))


async def test_do_async_accepts_both_kinds() -> None:
    """E-04"""

    async def later(value: int) -> Result[int, str]:
        return Ok(value + 1)

    assert await do_async(Ok(a + b) for a in succeed() for b in await later(a)) == Ok(3)
    assert await do_async(Ok(a + b) for a in fail("x") for b in await later(a)) == Err("x")
    assert await do_async(Ok(a + b) for a in await later(1) for b in fail("x")) == Err("x")
    assert await do_async(Ok(a) for a in succeed()) == Ok(1)
    assert await do_async(Ok(a) for a in fail("x")) == Err("x")


async def test_a_generator_without_a_value_is_a_mistake() -> None:
    async def nothing() -> bool:
        return False

    with pytest.raises(ValueError, match="yields nothing"):
        do(Ok(a) for a in succeed() if a > 1)
    with pytest.raises(ValueError, match="yields nothing"):
        await do_async(Ok(a) for a in succeed() if await nothing())


def test_err_iterated_outside_of_do_says_so() -> None:
    with pytest.raises(Exception, match=r"Err\('e'\) was iterated outside of do"):
        list(fail())


# --- E-05 --------------------------------------------------------------------------------------------------


def test_as_result() -> None:
    """E-05: listed types become Err (subclasses too), others propagate."""

    @as_result(ValueError, LookupError)
    def read(text: str, *, table: dict[int, str]) -> str:
        """Doc."""
        return table[int(text)]

    assert read("1", table={1: "one"}) == Ok("one")
    assert isinstance(read("x", table={}).err(), ValueError)
    assert isinstance(read("1", table={}).err(), KeyError)
    with pytest.raises(TypeError):
        read("1", table=cast("Any", None))
    assert (read.__name__, read.__doc__) == ("read", "Doc.")


async def test_as_async_result() -> None:
    """E-05"""

    @as_async_result(ValueError)
    async def parse(text: str) -> int:
        if not text:
            raise IndexError
        return int(text)

    assert await parse("1") == Ok(1)
    assert isinstance((await parse("x")).err(), ValueError)
    with pytest.raises(IndexError):
        await parse("")
    assert parse.__name__ == "parse"


@pytest.mark.parametrize("decorator", [as_result, as_async_result])
@pytest.mark.parametrize("types", [(), ("ValueError",), (ValueError, 1), (int,), (ValueError("x"),)])
def test_as_result_needs_exception_types(decorator: Callable[..., object], types: tuple[object, ...]) -> None:
    """E-05: no types, or a non-exception."""
    with pytest.raises(TypeError, match="exception types"):
        decorator(*types)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, CancelledError])
async def test_interrupt_and_cancellation_always_propagate(kind: type[BaseException]) -> None:
    """E-01: even if the listed type covers them."""

    def stop() -> None:
        raise kind

    async def stop_async() -> None:
        raise kind

    with pytest.raises(kind):
        as_result(BaseException)(stop)()
    with pytest.raises(kind):
        await as_async_result(BaseException)(stop_async)()


def test_other_base_exceptions_may_be_listed() -> None:
    @as_result(BaseException)
    def leave() -> None:
        raise SystemExit(3)

    assert isinstance(leave().err(), SystemExit)
