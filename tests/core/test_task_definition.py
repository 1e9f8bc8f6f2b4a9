"""Declaring a task: what is refused and how, and what a task carries (01 section 3)."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from horsies import (
    ConfigurationError,
    DuplicateTaskNameError,
    ErrorCode,
    ExceptionMapper,
    Horsies,
    HorsiesError,
    NotRegistered,
    OperationalErrorCode,
    RetryPolicy,
    TaskDefinitionError,
    TaskError,
    TaskFunction,
    TaskResult,
)
from tests.core.apps import make_app, make_queue_app


def plain() -> TaskResult[int, TaskError]:
    """Does nothing."""
    return TaskResult(ok=1)


async def awaited() -> TaskResult[int, TaskError]:
    return TaskResult(ok=1)


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class Callables:
    def method(self) -> TaskResult[int, TaskError]:
        return TaskResult(ok=1)

    def __call__(self) -> TaskResult[int, TaskError]:
        return TaskResult(ok=1)


def refusal(app: Horsies, name: Any, function: Any = plain, **options: Any) -> HorsiesError:
    decorate: Any = app.task
    with pytest.raises(HorsiesError) as caught:
        decorate(name, **options)(function)
    assert app.list_tasks() == []
    return caught.value


def assert_options_refused(error: HorsiesError, *parts: str) -> None:
    assert isinstance(error, TaskDefinitionError)
    assert isinstance(error, TypeError)
    assert error.code is ErrorCode.TASK_INVALID_OPTIONS
    assert error.help_text
    for part in parts:
        assert part in error.message


# -- T-13: name, function, auto_retry_for without policy


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (None, "string"),
        (7, "string"),
        (plain, "string"),
        ("", "empty"),
        ("x" * 256, "256"),
        ("a\0b", "PostgreSQL"),
        ("a\ud800", "PostgreSQL"),
        ("horsies.prepare", "reserved"),
    ],
)
def test_a_bad_name_is_refused(name: Any, says: str) -> None:
    """T-13."""
    assert_options_refused(refusal(make_app(), name), says)


@pytest.mark.parametrize("name", ["x" * 255, "horsies", "Horsies.x", "ä b.c/d", "ß" * 255])
def test_any_other_name_is_fine(name: str) -> None:
    """T-13: up to 255 characters of any kind."""
    app = make_app()
    app.task(name)(plain)
    assert app.list_tasks() == [name]


def test_a_decorator_without_parentheses_is_refused_at_once() -> None:
    """T-13: else the function would silently not be a task."""
    decorate: Any = make_app().task
    with pytest.raises(TaskDefinitionError) as caught:
        decorate(plain)
    assert caught.value.code is ErrorCode.TASK_INVALID_OPTIONS


@pytest.mark.parametrize(
    "function",
    [
        Callables,
        Callables(),
        Callables().method,
        functools.partial(plain),
        len,
        generator,
        async_generator,
        staticmethod(plain),
        7,
        None,
    ],
)
def test_only_plain_functions_become_tasks(function: Any) -> None:
    """T-13."""
    assert_options_refused(refusal(make_app(), "t", function), "not a plain def or async def")


def test_a_task_is_no_plain_function() -> None:
    """T-13."""
    task = make_app().task("first")(plain)
    assert_options_refused(refusal(make_app(), "second", task), "not a plain def")


@pytest.mark.parametrize("codes", [[], "BUSY", ("BUSY",), ["TimeoutError"], ["busy"], [7], {"BUSY"}])
def test_auto_retry_for_is_a_list_of_codes(codes: Any) -> None:
    """T-13, CF-50."""
    policy = RetryPolicy.fixed([5], auto_retry_for=["OTHER"])
    assert_options_refused(refusal(make_app(), "t", retry_policy=policy, auto_retry_for=codes))


def test_auto_retry_for_needs_a_policy() -> None:
    """T-13."""
    assert_options_refused(
        refusal(make_app(), "t", auto_retry_for=["BUSY"]), "auto_retry_for", "retry_policy"
    )


# -- T-14 to T-16


def test_a_deadline_belongs_to_the_send() -> None:
    """T-14."""
    error = refusal(make_app(), "t", good_until="2030-01-01")
    assert_options_refused(error, "good_until")
    assert error.help_text is not None
    assert "with_options" in error.help_text
    assert ".node" in error.help_text


def test_no_deadline_is_fine() -> None:
    """T-14: only a value other than None is refused."""
    decorate: Any = make_app().task
    assert decorate("t", good_until=None)(plain).task_name == "t"


@pytest.mark.parametrize(
    "options",
    [
        {"exception_mapper": {"ValueError": "BAD"}},
        {"exception_mapper": {ValueError: "bad"}},
        {"exception_mapper": {ValueError: "ValueError"}},
        {"exception_mapper": {int: "BAD"}},
        {"exception_mapper": [ValueError]},
        {"default_unhandled_error_code": "TimeoutError"},
        {"default_unhandled_error_code": "lower"},
        {"default_unhandled_error_code": 7},
        {"default_unhandled_error_code": ""},
    ],
)
def test_mapper_and_default_code_are_checked(options: dict[str, Any]) -> None:
    """T-15, T-50."""
    error = refusal(make_app(), "t", **options)
    assert isinstance(error, TaskDefinitionError)
    assert error.code is ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER


def test_all_bad_entries_of_a_mapper_are_told() -> None:
    """T-15."""
    error = refusal(make_app(), "t", exception_mapper={ValueError: "bad", int: "GOOD"})
    assert "ValueError" in str(error)
    assert "int" in str(error)


@pytest.mark.parametrize(
    "options",
    [
        {"queue": "mail"},
        {"priority": 5},
        {"queue_name": 7},
        {"retry_policy": {"max_retries": 3}},
        {"retry_policy": 3},
        {"timeout_ms": 999},
        {"timeout_ms": 0},
        {"timeout_ms": -5},
        {"timeout_ms": True},
        {"timeout_ms": 1000.0},
        {"timeout_ms": "1000"},
        {"timeout_ms": 2**31},
        {"executor": "fork"},
        {"executor": "async"},
        {"executor": 1},
    ],
)
def test_bad_options_of_a_def_task(options: dict[str, Any]) -> None:
    """T-16, R-030."""
    assert_options_refused(refusal(make_app(), "t", **options))


@pytest.mark.parametrize("executor", ["process", "thread", "fork"])
def test_an_async_task_runs_on_a_loop(executor: str) -> None:
    """T-16, R-030."""
    assert_options_refused(refusal(make_app(), "t", awaited, executor=executor), executor)


def test_the_executors_there_are() -> None:
    """T-16, R-030."""
    app = make_app()
    assert app.task("a", executor="process")(plain).definition.executor == "process"
    assert app.task("b", executor="thread")(plain).definition.executor == "thread"
    assert app.task("c")(plain).definition.executor is None
    assert app.task("d", executor="async")(awaited).definition.executor == "async"
    assert app.task("e")(awaited).definition.executor == "async"


def test_timeouts_there_are() -> None:
    """T-16."""
    app = make_app()
    assert app.task("a", timeout_ms=1000)(plain).definition.timeout_ms == 1000
    assert app.task("b", timeout_ms=None)(plain).definition.timeout_ms is None


def test_a_policy_needs_codes_from_somewhere() -> None:
    """T-16, CF-51."""
    error = refusal(make_app(), "t", retry_policy=RetryPolicy.fixed([5]))
    assert_options_refused(error, "names no error codes")


def test_codes_of_policy_and_decorator_are_merged() -> None:
    """CF-51: order kept, duplicates dropped."""
    app = make_app()
    policy = RetryPolicy.fixed([5], auto_retry_for=["BUSY", "TASK_TIMEOUT"])
    task = app.task("a", retry_policy=policy, auto_retry_for=["GONE", "BUSY"])(plain)
    merged = task.definition.retry_policy
    assert merged is not None
    assert merged.auto_retry_for == ["BUSY", "TASK_TIMEOUT", "GONE"]
    assert policy.auto_retry_for == ["BUSY", "TASK_TIMEOUT"]


def test_codes_may_come_from_the_decorator_alone() -> None:
    """CF-51, CF-50: built-in members and strings."""
    codes = ["BUSY", OperationalErrorCode.WORKER_CRASHED]
    task = make_app().task("a", retry_policy=RetryPolicy.fixed([5]), auto_retry_for=codes)(plain)
    assert task.definition.retry_policy is not None
    assert task.definition.retry_policy.auto_retry_for == codes


# -- T-17, T-18: queues


def test_default_mode_has_one_queue() -> None:
    """T-17, CF-12."""
    error = refusal(make_app(), "t", queue_name="mail")
    assert isinstance(error, ConfigurationError)
    assert error.code is ErrorCode.CONFIG_INVALID_QUEUE_MODE
    app = make_app()
    assert app.task("a", queue_name="default")(plain).task_queue_name == "default"
    assert app.task("b")(plain).task_queue_name == "default"


def test_custom_mode_needs_a_queue() -> None:
    """T-17, CF-13."""
    error = refusal(make_queue_app(), "t")
    assert isinstance(error, ConfigurationError)
    assert error.code is ErrorCode.CONFIG_INVALID_QUEUE_MODE


@pytest.mark.parametrize("queue", ["mial", "default", ""])
def test_the_queue_must_be_configured(queue: str) -> None:
    """T-18, CF-18."""
    error = refusal(make_queue_app(), "t", queue_name=queue)
    assert isinstance(error, ConfigurationError)
    assert error.code is ErrorCode.TASK_INVALID_QUEUE
    assert "['mail', 'bulk']" in str(error)


def test_a_configured_queue_is_taken() -> None:
    """T-18."""
    assert make_queue_app().task("t", queue_name="mail")(plain).task_queue_name == "mail"


# -- T-19 to T-22: the signature


def test_a_wrapped_function_is_refused() -> None:
    """T-19."""

    @functools.wraps(plain)
    def wrapper() -> TaskResult[int, TaskError]:
        return plain()

    error = refusal(make_app(), "t", wrapper)
    assert error.code is ErrorCode.TASK_PREDECORATED_NOT_SUPPORTED


def no_return():  # type: ignore[no-untyped-def]
    raise AssertionError


def returns_int() -> int:
    return 1


def returns_none() -> None:
    return None


def bare_result() -> TaskResult:  # type: ignore[type-arg]  # pyright: ignore
    raise AssertionError


def other_error() -> TaskResult[int, str]:
    raise AssertionError


def variadic(*numbers: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=len(numbers))


def lookup(find: Callable[[], int]) -> TaskResult[int, TaskError]:
    return TaskResult(ok=find())


SIGNATURES: list[tuple[Any, ErrorCode]] = [
    (no_return, ErrorCode.TASK_NO_RETURN_TYPE),
    (returns_int, ErrorCode.TASK_INVALID_RETURN_TYPE),
    (returns_none, ErrorCode.TASK_INVALID_RETURN_TYPE),
    (bare_result, ErrorCode.TASK_INVALID_RETURN_TYPE),
    (other_error, ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION),
    (variadic, ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION),
    (lookup, ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION),
]


@pytest.mark.parametrize(("function", "code"), SIGNATURES)
def test_signatures_that_cannot_travel(function: Any, code: ErrorCode) -> None:
    """T-20, T-21, T-22."""
    error = refusal(make_app(), "t", function)
    assert isinstance(error, TaskDefinitionError)
    assert error.code is code


def positional(number: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=number)


def keyword(*, number: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=number)


def test_keyword_only_tasks() -> None:
    """CF-04, K-10."""
    app = make_app(keyword_only_tasks=True)
    assert refusal(app, "t", positional).code is ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION
    assert app.task("u")(keyword).task_name == "u"


# -- the order of the checks, and where they point


@pytest.mark.parametrize(
    ("options", "function", "code"),
    [
        ({"name": "", "good_until": 1}, plain, ErrorCode.TASK_INVALID_OPTIONS),
        ({"exception_mapper": {int: "X"}, "timeout_ms": 5}, plain, ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER),
        ({"good_until": 1, "exception_mapper": {int: "X"}}, plain, ErrorCode.TASK_INVALID_OPTIONS),
        ({"timeout_ms": 5, "queue_name": "mail"}, plain, ErrorCode.TASK_INVALID_OPTIONS),
        ({"retry_policy": RetryPolicy.fixed([5]), "queue_name": "m"}, plain, ErrorCode.TASK_INVALID_OPTIONS),
        ({"queue_name": "mail"}, returns_int, ErrorCode.CONFIG_INVALID_QUEUE_MODE),
    ],
)
def test_the_first_failing_check_is_reported(options: dict[str, Any], function: Any, code: ErrorCode) -> None:
    """T-13 to T-22 in the order of the table."""
    assert refusal(make_app(), options.pop("name", "t"), function, **options).code is code


def test_errors_point_at_the_function() -> None:
    """E-13."""
    error = refusal(make_app(), "t", timeout_ms=5)
    assert error.location is not None
    assert error.location.file == __file__
    assert error.location.line == plain.__code__.co_firstlineno


# -- T-23, T-24


def test_a_name_belongs_to_one_function() -> None:
    """T-23."""
    app = make_app()
    app.task("t")(plain)
    with pytest.raises(DuplicateTaskNameError) as caught:
        app.task("t")(positional)
    assert caught.value.code is ErrorCode.TASK_DUPLICATE_NAME


def define_again(app: Horsies) -> TaskFunction[..., Any]:
    @app.task("again")
    def again() -> TaskResult[int, TaskError]:
        return TaskResult(ok=1)

    return again


def test_a_reimport_gives_the_registered_task() -> None:
    """T-24."""
    app = make_app()
    assert define_again(app) is define_again(app)
    assert app.list_tasks() == ["again"]


def test_one_function_may_have_two_names() -> None:
    """T-23: the name must be unique, not the function."""
    app = make_app()
    app.task("b", plain)
    app.task("a", plain)
    assert app.list_tasks() == ["b", "a"]
    assert [task.task_name for task in app.tasks.values()] == ["b", "a"]


def test_looking_up_an_unknown_task() -> None:
    """T-24."""
    app = make_app()
    with pytest.raises(NotRegistered):
        app.tasks["nothing"]
    with pytest.raises(KeyError):
        app.tasks["nothing"]
    assert app.tasks.get("nothing") is None


# -- T-25, T-26: what a task carries


def test_the_direct_form_takes_options() -> None:
    app = make_app()
    task = app.task("t", plain, timeout_ms=2000)
    assert task is app.tasks["t"]
    assert task.definition.timeout_ms == 2000


def test_what_a_task_carries() -> None:
    """T-26."""
    mapper: ExceptionMapper = {ValueError: "BAD_VALUE"}
    task = make_queue_app().task(
        "pack", queue_name="bulk", exception_mapper=mapper, default_unhandled_error_code="PACK_FAILED"
    )(keyword)
    assert task.task_name == "pack"
    assert task.task_queue_name == "bulk"
    assert task.task_ok_type is int
    assert task.default_unhandled_error_code == "PACK_FAILED"
    assert task.exception_mapper == {ValueError: "BAD_VALUE"}
    assert task.__name__ == "keyword"
    assert task.__doc__ is None
    assert list(inspect.signature(task).parameters) == ["number"]
    assert inspect.signature(task) == inspect.signature(keyword)
    assert "pack" in repr(task)


def test_the_mapper_is_read_only() -> None:
    """T-26."""
    mapper: ExceptionMapper = {ValueError: "BAD_VALUE"}
    task = make_app().task("t", exception_mapper=mapper)(plain)
    mapper[KeyError] = "MORE"
    assert task.exception_mapper == {ValueError: "BAD_VALUE"}
    found: Any = task.exception_mapper
    with pytest.raises(TypeError):
        found[KeyError] = "MORE"
    writable: Any = task
    with pytest.raises(AttributeError):
        writable.exception_mapper = {}


def test_documentation_is_the_functions() -> None:
    """T-26."""
    task = make_app().task("t")(plain)
    assert task.__doc__ == plain.__doc__ == "Does nothing."
    assert task.__name__ == "plain"
    assert task.__module__ == __name__


def test_async_functions_are_tasks() -> None:
    """T-25: a direct call gives an awaitable of the result."""
    task = make_app().task("t")(awaited)
    assert asyncio.run(task()) == TaskResult(ok=1)
    assert inspect.iscoroutinefunction(task)
    assert not inspect.iscoroutinefunction(make_app().task("u")(plain))
    assert inspect.signature(task) == inspect.signature(awaited)
