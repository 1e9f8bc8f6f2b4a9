"""The envelope a task's result is stored in, and the wire form of its error."""

from typing import Any, cast

from horsies.codec.problems import DecodeError, NoTypeAvailableError, StrictJsonError, reason_of, type_name
from horsies.codec.strict import (
    RESULT_KEY,
    is_builtin_code,
    parse_json,
    refuse_reserved_keys,
    write_json,
)
from horsies.codec.typed import UNTYPED, codec_for
from horsies.errors.codes import OperationalErrorCode
from horsies.task_result import SubWorkflowError, TaskError, TaskResult

_OK_START = f'{{"{RESULT_KEY}":true,"ok":'
_OK_END = ',"err":null}'
_ERR_START = f'{{"{RESULT_KEY}":true,"ok":null,"err":'
_ERR_END = "}"
_KEYS = frozenset((RESULT_KEY, "ok", "err"))

UNENCODABLE_ERROR = TaskError(
    error_code=OperationalErrorCode.WORKER_SERIALIZATION_ERROR,
    message="the task failed, and its error could not be written as JSON",
)
"""What is stored for an error that cannot be stored."""


def success_envelope(ok_text: str) -> str:
    """The envelope of a success.

    Args:
        ok_text: The success value as JSON text.
    """
    return f"{_OK_START}{ok_text}{_OK_END}"


def failure_envelope(error: TaskError) -> str:
    """The envelope of a failure; that of `UNENCODABLE_ERROR` if the error cannot be written. Never raises."""
    return settle_failure(error)[1]


def settle_failure(error: TaskError) -> tuple[TaskError, str]:
    """The error that will be stored, and its envelope. Never raises.

    Returns:
        The error itself, or `UNENCODABLE_ERROR` if it cannot be written; so that what is recorded beside the
        envelope agrees with it.
    """
    try:
        return error, f"{_ERR_START}{_encode_error(error)}{_ERR_END}"
    except Exception:  # the error's data is the user's, and so is what its methods raise
        return UNENCODABLE_ERROR, _UNENCODABLE_ENVELOPE


def decode_envelope(text: str, ok_type: Any) -> TaskResult[Any, TaskError]:
    """A stored result.

    Args:
        text: The envelope.
        ok_type: The declared type of a success, `type(None)` for `None`; `None` if it is not known.

    Raises:
        DecodeError: The text is no envelope, or what is in it does not fit.
        NoTypeAvailableError: It is a success, and its type is not known.
    """
    try:
        # The usual success, taken apart without parsing it twice: whatever stands between the two fixed ends must
        # itself be one JSON value, or the text is no JSON at all.
        if ok_type is not None and text.startswith(_OK_START) and text.endswith(_OK_END):
            return TaskResult(ok=codec_for(ok_type).decode(text[len(_OK_START) : -len(_OK_END)]))
        envelope = validate_task_result_envelope(parse_json(text))
        if envelope["err"] is not None:
            return TaskResult(err=decode_task_error(envelope["err"]))
        if ok_type is None:
            raise NoTypeAvailableError("the result is a success, and the type of its value is not known here")
        return TaskResult(ok=codec_for(ok_type).decode_data(envelope["ok"]))
    except NoTypeAvailableError:
        raise
    except Exception as error:  # also what validators of the user's models raise
        expected = "" if ok_type is None else f" as {type_name(ok_type)}"
        raise DecodeError(f"the stored result cannot be read{expected}: {reason_of(error)}") from error


def validate_task_result_envelope(raw: object) -> dict[str, Any]:
    """Check that JSON data is a result envelope, without looking into its slots.

    Returns:
        The envelope, with the keys `__h_task_result__`, `ok` and `err`.

    Raises:
        StrictJsonError: It is none.
    """
    if not isinstance(raw, dict):
        raise StrictJsonError(f"a result envelope is an object, not {type(raw).__name__}")
    envelope = cast("dict[str, Any]", raw)
    if envelope.keys() != _KEYS:
        found = ", ".join(str(key) for key in envelope)
        raise StrictJsonError(
            f"a result envelope has the keys {RESULT_KEY}, ok and err, not {found or 'none'}"
        )
    if envelope[RESULT_KEY] is not True:
        raise StrictJsonError(f"{RESULT_KEY} must be true")
    if envelope["ok"] is not None and envelope["err"] is not None:
        raise StrictJsonError("a result envelope holds a value or an error, not both")
    return envelope


def encode_task_result(result: TaskResult[Any, TaskError], ok_type: Any) -> dict[str, Any]:
    """A result as envelope.

    Args:
        result: The result.
        ok_type: The declared type of a success.

    Raises:
        ValidationError: The success value does not fit its type.
        StrictJsonError: The value or error cannot be written as strict JSON.
    """
    if result.is_err():
        return {RESULT_KEY: True, "ok": None, "err": parse_json(_encode_error(result.err_value))}
    return {RESULT_KEY: True, "ok": codec_for(ok_type).encode_data(result.ok_value), "err": None}


def decode_task_result(raw: object, ok_type: Any) -> TaskResult[Any, TaskError]:
    """An envelope as result.

    Args:
        raw: The envelope as JSON data.
        ok_type: The declared type of a success.

    Raises:
        ValidationError: The value does not fit its type, or the error its fields.
        StrictJsonError: It is no envelope, or what is in it is no strict JSON.
    """
    envelope = validate_task_result_envelope(raw)
    if envelope["err"] is not None:
        return TaskResult(err=decode_task_error(envelope["err"]))
    return TaskResult(ok=codec_for(ok_type).decode_data(envelope["ok"]))


def decode_task_error(err_slot: object) -> TaskError:
    """The error of an envelope; a `SubWorkflowError` if it has a `sub_workflow_id`.

    Args:
        err_slot: The `err` slot as JSON data.

    Raises:
        ValidationError: A field does not fit.
        StrictJsonError: It is no error at all, or holds reserved keys or tags that cannot be read.
    """
    if not isinstance(err_slot, dict):
        raise StrictJsonError(f"an error is an object, not {type(err_slot).__name__}")
    fields = dict(cast("dict[str, Any]", err_slot))
    data = fields.pop("data", None)
    code = fields.get("error_code")
    refuse_reserved_keys({**fields, "error_code": None if is_builtin_code(code) else code})
    kind = SubWorkflowError if "sub_workflow_id" in fields else TaskError
    return kind.model_validate({**fields, "data": UNTYPED.decode(data)})


def _encode_error(error: object) -> str:
    if not isinstance(error, TaskError):
        raise StrictJsonError(f"the error of a result is a TaskError, not {type_name(type(error))}")
    # By the class of the library, so that fields of a subclass of the user's do not make it unreadable.
    kind = SubWorkflowError if isinstance(error, SubWorkflowError) else TaskError
    write = kind.__pydantic_serializer__.to_python
    fields: dict[str, Any] = write(error, mode="json", exclude={"data"}, warnings=False)
    if isinstance(error.message, str):
        # An exception's message may quote undecodable file names; better told roughly than not at all.
        fields["message"] = error.message.encode("utf-8", "backslashreplace").decode()
    refuse_reserved_keys({**fields, "error_code": None})
    fields["data"] = UNTYPED.encode(error.data)
    return write_json(fields)


_UNENCODABLE_ENVELOPE = f"{_ERR_START}{_encode_error(UNENCODABLE_ERROR)}{_ERR_END}"
