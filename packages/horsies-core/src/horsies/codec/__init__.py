"""The codec: what travels between producer, database and worker, and how it is typed."""

from horsies.codec.json_value import JsonValue
from horsies.codec.problems import StrictJsonError
from horsies.codec.public import decode_value, encode_value
from horsies.codec.results import (
    decode_task_error,
    decode_task_result,
    encode_task_result,
    validate_task_result_envelope,
)

__all__ = [
    "JsonValue",
    "StrictJsonError",
    "decode_task_error",
    "decode_task_result",
    "decode_value",
    "encode_task_result",
    "encode_value",
    "validate_task_result_envelope",
]
