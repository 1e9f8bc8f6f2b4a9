"""Which error code an uncaught exception becomes, and which texts may serve as error codes."""

import re
from collections.abc import Mapping
from enum import Enum

from horsies.errors.codes import BUILTIN_CODE_REGISTRY, BuiltInTaskCode

type ExceptionMapper = dict[type[BaseException], str]
"""Exact exception classes and the error code each of them becomes."""

_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_CLASS_NAME = re.compile(r"[A-Za-z_]\w*(Error|Exception)")


def validate_error_code(code: object) -> str | None:
    """Tell what is wrong with a text meant as an error code.

    Reserved (built-in) codes pass: whether one may be used is decided where it is used.

    Args:
        code: what the user gave.

    Returns:
        The complaint, or None when the code is fine.
    """
    if not isinstance(code, str):
        return f"an error code is a string, not {type(code).__name__}"
    text = plain_code(code)
    if _CODE.fullmatch(text):
        return None
    if _CLASS_NAME.fullmatch(text):
        return f"{text!r} looks like an exception class; an error code is written like {_as_code(text)!r}"
    return f"{text!r} is no error code; use capital letters, digits and underscores, beginning with a letter"


def validate_exception_mapper(mapper: Mapping[object, object]) -> list[str]:
    """Tell what is wrong with an exception mapper.

    Args:
        mapper: what the user gave.

    Returns:
        One complaint for each bad entry; empty when the mapper is fine.
    """
    return [problem for key, code in mapper.items() if (problem := _entry_problem(key, code)) is not None]


def reserved_codes(mapper: ExceptionMapper, default_code: str | None) -> list[str]:
    """List the built-in codes that a mapper or a default code uses as if they were the user's own.

    Args:
        mapper: a valid mapper.
        default_code: the default code beside it; `UNHANDLED_EXCEPTION` is always allowed there.

    Returns:
        One sentence for each collision.
    """
    found = [
        f"exception_mapper turns {_class_name(key)} into the built-in code {plain_code(code)!r}"
        for key, code in mapper.items()
        if code in BUILTIN_CODE_REGISTRY
    ]
    if default_code is not None and default_code in BUILTIN_CODE_REGISTRY.keys() - {"UNHANDLED_EXCEPTION"}:
        found.append(f"default_unhandled_error_code is the built-in code {plain_code(default_code)!r}")
    return found


def resolve_error_code(
    exception: BaseException,
    task_mapper: Mapping[type[BaseException], str] | None,
    app_mapper: Mapping[type[BaseException], str] | None,
    task_default: str | None,
    app_default: str,
) -> BuiltInTaskCode | str:
    """Find the error code of an exception that a task let escape.

    The task's mapper is asked first, then the app's, both for the exact class only; then the task's and the
    app's default decide.

    Args:
        exception: what the task raised.
        task_mapper: the mapper given to `@app.task`.
        app_mapper: the mapper of the `AppConfig`.
        task_default: the default code given to `@app.task`.
        app_default: the default code of the `AppConfig`.

    Returns:
        The code; a built-in value as its enum member.
    """
    kind = type(exception)
    code = task_mapper.get(kind) if task_mapper else None
    if code is None and app_mapper:
        code = app_mapper.get(kind)
    if code is None:
        code = app_default if task_default is None else task_default
    text = plain_code(code)
    return BUILTIN_CODE_REGISTRY.get(text, text)


def plain_code(code: str) -> str:
    """An error code as plain text: a member of a string enum stands for its value."""
    return str(code.value) if isinstance(code, Enum) else code


def _entry_problem(key: object, code: object) -> str | None:
    name = _class_name(key)
    if not (isinstance(key, type) and issubclass(key, BaseException)):
        return f"{name} is not an exception class"
    problem = validate_error_code(code)
    return None if problem is None else f"{name}: {problem}"


def _class_name(key: object) -> str:
    return str(getattr(key, "__qualname__", repr(key)))


def _as_code(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).upper()
