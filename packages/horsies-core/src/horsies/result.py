"""`Ok` and `Err`: the outcome of a call as a value, for everything that is not a task's own result."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from functools import wraps
from typing import Any, Literal, Never, NoReturn, cast, final

from typing_extensions import TypeIs


class UnwrapError(Exception):
    """The wrong side of a result was taken; `result` is that result."""

    def __init__(self, result: "Ok[Any] | Err[Any]", message: str) -> None:
        super().__init__(message)
        self.result = result
        if isinstance(result, Err) and isinstance(result.err_value, BaseException):
            self.__cause__ = result.err_value

    def __reduce__(self) -> tuple[type["UnwrapError"], tuple[object, str]]:
        return UnwrapError, (self.result, str(self))


class _EndOfDo(Exception):  # noqa: N818  (not an error: it carries an Err out to the enclosing do)
    def __init__(self, result: "Err[Any]") -> None:
        super().__init__(f"{result!r} was iterated outside of do() and do_async()")
        self.result = result


class _Immutable:
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name!r}: {type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: {type(self).__name__} is immutable")


@final
class Ok[T](_Immutable):
    """Success, holding a value. Immutable."""

    __match_args__ = ("ok_value",)
    __slots__ = ("_value",)
    _value: T

    def __init__(self, value: T) -> None:
        object.__setattr__(self, "_value", value)

    @property
    def ok_value(self) -> T:
        """The value. Exists on `Ok` only."""
        return self._value

    def is_ok(self) -> Literal[True]:
        """Whether this is success."""
        return True

    def is_err(self) -> Literal[False]:
        """Whether this is failure."""
        return False

    def ok(self) -> T:
        """The value."""
        return self._value

    def err(self) -> None:
        """`None`: there is no error."""

    def unwrap(self) -> T:
        """The value."""
        return self._value

    def unwrap_err(self) -> NoReturn:
        """Raise `UnwrapError`: there is no error."""
        raise UnwrapError(self, f"called unwrap_err() on {self!r}")

    def expect(self, message: object) -> T:
        """The value."""
        return self._value

    def expect_err(self, message: str) -> NoReturn:
        """Raise `UnwrapError` with `message`: there is no error."""
        raise UnwrapError(self, message)

    def unwrap_or(self, default: object) -> T:
        """The value."""
        return self._value

    # Functions that this side does not call take Any: a lambda's parameter then stays known to type checkers.

    def unwrap_or_else(self, function: Callable[[Any], object]) -> T:
        """The value."""
        return self._value

    def unwrap_or_raise(self, exception: object) -> T:
        """The value."""
        return self._value

    def map[U](self, function: Callable[[T], U]) -> "Ok[U]":
        """`Ok` of the function's value."""
        return Ok(function(self._value))

    async def map_async[U](self, function: Callable[[T], Awaitable[U]]) -> "Ok[U]":
        """`Ok` of the awaited value."""
        return Ok(await function(self._value))

    def map_err(self, function: Callable[[Any], object]) -> "Ok[T]":
        """Itself."""
        return self

    def map_or[U](self, default: object, function: Callable[[T], U]) -> U:
        """The function's value."""
        return function(self._value)

    def map_or_else[U](self, default: Callable[[], object], function: Callable[[T], U]) -> U:
        """The function's value."""
        return function(self._value)

    def and_then[U, F](self, function: "Callable[[T], Result[U, F]]") -> "Result[U, F]":
        """The result the function returns."""
        return function(self._value)

    async def and_then_async[U, F](
        self, function: "Callable[[T], Awaitable[Result[U, F]]]"
    ) -> "Result[U, F]":
        """The result the function returns, awaited."""
        return await function(self._value)

    def or_else(self, function: Callable[[Any], object]) -> "Ok[T]":
        """Itself."""
        return self

    def inspect(self, function: Callable[[T], object]) -> "Ok[T]":
        """Itself, after the function has seen the value."""
        function(self._value)
        return self

    def inspect_err(self, function: Callable[[Any], object]) -> "Ok[T]":
        """Itself."""
        return self

    def __iter__(self) -> Iterator[T]:
        yield self._value

    def __eq__(self, other: object) -> bool:
        return bool(self._value == cast("Ok[object]", other)._value) if type(other) is Ok else NotImplemented

    def __hash__(self) -> int:
        return hash((Ok, self._value))

    def __repr__(self) -> str:
        return f"Ok({self._value!r})"

    def __reduce__(self) -> tuple[type["Ok[T]"], tuple[T]]:
        return Ok, (self._value,)


@final
class Err[E](_Immutable):
    """Failure, holding an error. Immutable."""

    __match_args__ = ("err_value",)
    __slots__ = ("_value",)
    _value: E

    def __init__(self, value: E) -> None:
        object.__setattr__(self, "_value", value)

    @property
    def err_value(self) -> E:
        """The error. Exists on `Err` only."""
        return self._value

    def is_ok(self) -> Literal[False]:
        """Whether this is success."""
        return False

    def is_err(self) -> Literal[True]:
        """Whether this is failure."""
        return True

    def ok(self) -> None:
        """`None`: there is no value."""

    def err(self) -> E:
        """The error."""
        return self._value

    def unwrap(self) -> NoReturn:
        """Raise `UnwrapError`: there is no value."""
        raise UnwrapError(self, f"called unwrap() on {self!r}")

    def unwrap_err(self) -> E:
        """The error."""
        return self._value

    def expect(self, message: str) -> NoReturn:
        """Raise `UnwrapError` with `message` and the error: there is no value."""
        raise UnwrapError(self, f"{message}: {self._value!r}")

    def expect_err(self, message: object) -> E:
        """The error."""
        return self._value

    def unwrap_or[D](self, default: D) -> D:
        """The default."""
        return default

    def unwrap_or_else[D](self, function: Callable[[E], D]) -> D:
        """What the function makes of the error."""
        return function(self._value)

    def unwrap_or_raise(self, exception: Callable[[E], BaseException]) -> NoReturn:
        """Raise the exception made of the error."""
        raise exception(self._value)

    def map(self, function: Callable[[Any], object]) -> "Err[E]":
        """Itself."""
        return self

    async def map_async(self, function: Callable[[Any], object]) -> "Err[E]":
        """Itself."""
        return self

    def map_err[F](self, function: Callable[[E], F]) -> "Err[F]":
        """`Err` of the function's value."""
        return Err(function(self._value))

    def map_or[D](self, default: D, function: Callable[[Any], object]) -> D:
        """The default."""
        return default

    def map_or_else[D](self, default: Callable[[], D], function: Callable[[Any], object]) -> D:
        """The value of the default function."""
        return default()

    def and_then(self, function: Callable[[Any], object]) -> "Err[E]":
        """Itself."""
        return self

    async def and_then_async(self, function: Callable[[Any], object]) -> "Err[E]":
        """Itself."""
        return self

    def or_else[U, F](self, function: "Callable[[E], Result[U, F]]") -> "Result[U, F]":
        """The result the function returns."""
        return function(self._value)

    def inspect(self, function: Callable[[Any], object]) -> "Err[E]":
        """Itself."""
        return self

    def inspect_err(self, function: Callable[[E], object]) -> "Err[E]":
        """Itself, after the function has seen the error."""
        function(self._value)
        return self

    def __iter__(self) -> Iterator[Never]:
        # A generator, so that the end of `do` comes with the first step: a generator expression asks its
        # outermost iterable for an iterator where it is written, outside of `do`.
        raise _EndOfDo(self)
        yield  # pyright: ignore[reportUnreachable]

    def __eq__(self, other: object) -> bool:
        return (
            bool(self._value == cast("Err[object]", other)._value) if type(other) is Err else NotImplemented
        )

    def __hash__(self) -> int:
        return hash((Err, self._value))

    def __repr__(self) -> str:
        return f"Err({self._value!r})"

    def __reduce__(self) -> tuple[type["Err[E]"], tuple[E]]:
        return Err, (self._value,)


type Result[T, E] = Ok[T] | Err[E]
"""Either `Ok` with a value or `Err` with an error."""


def is_ok[T, E](result: Result[T, E]) -> TypeIs[Ok[T]]:
    """Whether a result is `Ok`; type checkers narrow both branches."""
    return isinstance(result, Ok)


def is_err[T, E](result: Result[T, E]) -> TypeIs[Err[E]]:
    """Whether a result is `Err`; type checkers narrow both branches."""
    return isinstance(result, Err)


def do[T, E](generator: Generator[Result[T, E], None, None]) -> Result[T, E]:
    """Chain results: the generator's first value, or the first `Err` it iterates over.

    Write `do(Ok(a + b) for a in first() for b in second(a))`.

    Raises:
        TypeError: An async generator was given; `do_async` takes those.
        ValueError: The generator ended without a value.
    """
    if isinstance(generator, AsyncGenerator):
        raise TypeError("do() got an async generator; await do_async() instead")
    try:
        for result in generator:
            return result
    except _EndOfDo as end:
        return end.result
    finally:
        generator.close()
    raise ValueError("do() got a generator that yields nothing")


async def do_async[T, E](
    generator: Generator[Result[T, E], None, None] | AsyncGenerator[Result[T, E], None],
) -> Result[T, E]:
    """As `do`, for a generator that awaits; a plain generator is accepted too.

    Raises:
        ValueError: The generator ended without a value.
    """
    if isinstance(generator, Generator):
        return do(generator)
    try:
        async for result in generator:
            return result
    except _EndOfDo as end:
        return end.result
    finally:
        await generator.aclose()
    raise ValueError("do_async() got a generator that yields nothing")


def as_result[**P, T, X: BaseException](
    *exceptions: type[X],
) -> Callable[[Callable[P, T]], Callable[P, Result[T, X]]]:
    """Decorate a function to return `Ok(value)`, or `Err(exc)` for the listed exception types.

    Other exceptions propagate; `KeyboardInterrupt` and `asyncio.CancelledError` always do.

    Raises:
        TypeError: No types, or something that is not an exception type.
    """
    _check_exception_types("as_result", exceptions)

    def decorate(function: Callable[P, T]) -> Callable[P, Result[T, X]]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result[T, X]:
            try:
                return Ok(function(*args, **kwargs))
            except exceptions as error:
                if _always_propagates(error):
                    raise
                return Err(error)

        return call

    return decorate


def as_async_result[**P, T, X: BaseException](
    *exceptions: type[X],
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, Result[T, X]]]]:
    """As `as_result`, for an `async def` function.

    Raises:
        TypeError: No types, or something that is not an exception type.
    """
    _check_exception_types("as_async_result", exceptions)

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, Result[T, X]]]:
        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> Result[T, X]:
            try:
                return Ok(await function(*args, **kwargs))
            except exceptions as error:
                if _always_propagates(error):
                    raise
                return Err(error)

        return call

    return decorate


def _always_propagates(error: BaseException) -> bool:
    if isinstance(error, Exception):
        return False
    # Imported here: asyncio costs tens of milliseconds at start, and this line is next to never reached.
    from asyncio import CancelledError

    return isinstance(error, (KeyboardInterrupt, CancelledError))


def _check_exception_types(decorator: str, exceptions: tuple[object, ...]) -> None:
    if not exceptions or not all(isinstance(x, type) and issubclass(x, BaseException) for x in exceptions):
        raise TypeError(
            f"{decorator}() needs one or more exception types, for example {decorator}(ValueError)"
        )
