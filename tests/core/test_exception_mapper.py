"""Error codes and the exceptions they stand for (T-50, T-51)."""

from enum import Enum
from itertools import product

import pytest

from horsies.errors.codes import BUILTIN_CODE_REGISTRY, OperationalErrorCode, OutcomeCode
from horsies.exception_mapper import (
    ExceptionMapper,
    reserved_codes,
    resolve_error_code,
    validate_error_code,
    validate_exception_mapper,
)


class StoreError(Exception):
    pass


class StoreBusy(StoreError):  # noqa: N818  (named after what happened, as users do)
    pass


class OldStyle(str, Enum):  # noqa: UP042  (what users have)
    GOOD = "STORE_BUSY"
    BAD = "store busy"


@pytest.mark.parametrize("code", ["A", "STORE_BUSY", "E42", "A_", "WORKER_CRASHED", OutcomeCode.TASK_TIMEOUT])
def test_accepted_codes(code: str) -> None:
    """T-50: reserved values pass here."""
    assert validate_error_code(code) is None


@pytest.mark.parametrize(
    "code",
    [
        "",
        "store_busy",
        "Store",
        "1A",
        "_A",
        "A-B",
        "A B",
        "A\n",
        " A",
        "ÄRGER",
        "TimeoutError",
        "MyException",
    ],
)
def test_refused_codes(code: str) -> None:
    """T-50."""
    problem = validate_error_code(code)
    assert problem is not None
    assert repr(code) in problem


@pytest.mark.parametrize("code", [None, 1, b"CODE", ["CODE"], ValueError])
def test_a_code_is_a_string(code: object) -> None:
    """T-50."""
    assert "string" in (validate_error_code(code) or "")


def test_the_name_of_a_class_is_answered_with_a_code_to_use() -> None:
    """T-50."""
    assert "'STORE_BUSY_ERROR'" in (validate_error_code("StoreBusyError") or "")


def test_the_value_of_an_enum_member_counts() -> None:
    """T-50."""
    assert validate_error_code(OldStyle.GOOD) is None
    assert "'store busy'" in (validate_error_code(OldStyle.BAD) or "")


def test_each_bad_entry_of_a_mapper_is_reported() -> None:
    """T-50, CF-09: keys are exception classes, not instances, names or other classes."""
    mapper: dict[object, object] = {
        ValueError: "BAD_VALUE",
        KeyboardInterrupt: "STOPPED",
        int: "NUMBER",
        "ValueError": "BAD_VALUE",
        KeyError("x"): "MISSING",
        OSError: "os_error",
        LookupError: None,
    }
    problems = validate_exception_mapper(mapper)
    assert len(problems) == 5
    for part in (
        "int is not",
        "'ValueError' is not",
        "KeyError('x') is not",
        "OSError: 'os_error'",
        "LookupError",
    ):
        assert sum(part in problem for problem in problems) == 1, part


def test_an_empty_mapper_is_fine() -> None:
    """T-50."""
    assert validate_exception_mapper({}) == []


def test_codes_are_looked_for_in_order() -> None:
    """T-51: task mapper, app mapper, task default, app default; each absent or present."""
    choices = ("TASK_MAPPED", "APP_MAPPED", "TASK_DEFAULT")
    for present in product([True, False], repeat=3):
        task, app, default = (code if there else None for code, there in zip(choices, present, strict=True))
        expected = task or app or default or "APP_DEFAULT"
        found = resolve_error_code(
            StoreError("x"),
            {StoreError: task} if task else {},
            {StoreError: app} if app else None,
            default,
            "APP_DEFAULT",
        )
        assert found == expected


@pytest.mark.parametrize("mapped", [StoreError, Exception, BaseException])
def test_only_the_exact_class_matches(mapped: type[BaseException]) -> None:
    """T-51: no subclasses."""
    mapper: ExceptionMapper = {mapped: "MAPPED"}
    assert resolve_error_code(StoreBusy("x"), mapper, mapper, None, "APP_DEFAULT") == "APP_DEFAULT"


@pytest.mark.parametrize("value", sorted(BUILTIN_CODE_REGISTRY))
def test_a_built_in_value_becomes_its_member(value: str) -> None:
    """T-51."""
    for found in (
        resolve_error_code(StoreBusy(), {StoreBusy: value}, None, None, "APP_DEFAULT"),
        resolve_error_code(StoreBusy(), None, None, None, value),
    ):
        assert found is BUILTIN_CODE_REGISTRY[value]


def test_the_usual_default_is_a_member() -> None:
    """T-51."""
    found = resolve_error_code(StoreBusy(), None, None, None, "UNHANDLED_EXCEPTION")
    assert found is OperationalErrorCode.UNHANDLED_EXCEPTION


def test_reserved_codes_are_found_where_a_user_code_belongs() -> None:
    """T-50: what `check()` reports as HRS-212; the default code UNHANDLED_EXCEPTION is exempt."""
    assert reserved_codes({ValueError: "BAD_VALUE"}, "UNHANDLED_EXCEPTION") == []
    assert reserved_codes({ValueError: "BAD_VALUE"}, None) == []
    found = reserved_codes({ValueError: "TASK_TIMEOUT", OSError: "UNHANDLED_EXCEPTION"}, "WORKER_CRASHED")
    assert len(found) == 3
    assert "ValueError" in found[0]
    assert "TASK_TIMEOUT" in found[0]
    assert "WORKER_CRASHED" in found[2]
