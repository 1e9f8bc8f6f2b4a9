"""The codec: what travels between producer, database and worker, and how it is typed."""

from horsies.codec.json_value import JsonValue
from horsies.codec.problems import StrictJsonError
from horsies.codec.public import decode_value, encode_value

__all__ = ["JsonValue", "StrictJsonError", "decode_value", "encode_value"]
