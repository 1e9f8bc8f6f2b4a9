"""Carries the values of one declared type between Python and JSON text, each type built once per process."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NotRequired, TypedDict, cast

from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import CoreSchema, PydanticSerializationError, SchemaError, core_schema, from_json

from horsies.codec.facts import Facts, read_facts
from horsies.codec.problems import StrictJsonError, summary, type_name
from horsies.codec.rewrite import Rewriter, WireLeaves, no_leaf
from horsies.codec.strict import (
    MOST_DIGITS,
    TAG_KEY,
    may_hold_constant,
    may_hold_reserved_key,
    parse_json,
    refuse_hidden_losses,
    refuse_long_integers,
    refuse_reserved_keys,
    reserved_key_error,
    write_json,
)
from horsies.codec.structure import TypeProblem, lazy_alias, value_type, with_serialization
from horsies.codec.untyped import UntypedCodec, put_back
from horsies.codec.writers import take_refusal, writer

_CONFIG = ConfigDict(
    ser_json_bytes="base64", val_json_bytes="base64", allow_inf_nan=False, hide_input_in_errors=True
)
_DEEPEST = 200  # Pydantic reads no JSON that is nested deeper
_TAGS = "horsies.tags"  # key in the validation context, which the validators of users' models may see
_WRITE_OBJECTS: dict[str, Any] = {"warnings": "error", "round_trip": True, "by_alias": False}
_READ_OBJECTS: dict[str, Any] = {"by_alias": False, "by_name": True}
_NOT_A_MISFIT = frozenset(("finite_number", "string_unicode"))


class TypeCodec:
    """Carries the values of one type.

    Two Pydantic schemas are at work. The plain one is the declared type; it validates, and reads JSON. The wire
    one differs where the type says nothing about a value (tags) or Pydantic would lose something; it writes,
    and reads JSON that holds tags. For most types they are the same.
    """

    __slots__ = (
        "_dump",
        "_facts",
        "_guarded",
        "_plain",
        "_read",
        "_skeleton",
        "_skeleton_type",
        "_wire",
        "validate",
    )

    validate: Callable[[Any], Any]
    """A value as the declared type, converted where Pydantic's lax mode does so; raises `ValidationError`."""

    def __init__(self, plain: Any, wire: Any, skeleton: Callable[[], Any], facts: Facts) -> None:
        """Build the schemas.

        Args:
            plain: The declared type.
            wire: The type to write by; the same object if it does not differ.
            skeleton: Gives the wire type with `None` in place of whatever stands at untyped positions.
            facts: The properties of the declared type.
        """
        self._facts = facts
        self._plain = _build(plain)
        self._wire = self._plain if wire is plain else _build(wire)
        self._skeleton_type = skeleton
        self._skeleton: TypeAdapter[Any] | None = None
        self._guarded = facts.loose_floats or facts.deep
        self.validate = self._plain.validator.validate_python
        dump: Callable[..., bytes] = self._wire.serializer.to_json
        read: Callable[..., Any] = self._plain.validator.validate_json
        # Every option costs time, so plain data does without. A refusal within a union is only a warning.
        careful = facts.opaque or (facts.unions and self._wire is not self._plain)
        self._dump = partial(dump, **_WRITE_OBJECTS) if careful else dump
        self._read = partial(read, **_READ_OBJECTS) if facts.opaque else read

    def encode(self, value: object) -> str:
        """A value as JSON text.

        Raises:
            ValidationError: The value does not fit the type.
            StrictJsonError: It fits, but cannot be written as strict JSON.
        """
        try:
            valid = self.validate(value)
        except ValidationError as error:
            raise as_strict_json_error(error) or error from error.__cause__
        return self.write(valid)

    def write(self, valid: object) -> str:
        """A value that `validate` returned as JSON text.

        Raises:
            StrictJsonError: It cannot be written as strict JSON.
        """
        try:
            text = self._dump(valid).decode()
        except (PydanticSerializationError, RecursionError) as error:
            raise _refusal(error) from error
        if '"__' in text:
            self._check_keys(valid, text)
        if len(text) > MOST_DIGITS:
            refuse_long_integers(text)
        if "\ufffd" in text or (self._guarded and self._may_hide_loss(valid, text)):
            refuse_hidden_losses(self._plain.serializer.to_python(valid, warnings=False))
        return text

    def decode(self, text: str) -> Any:
        """JSON text as a value.

        Raises:
            ValidationError: The text does not fit the type.
            StrictJsonError: It is not strict JSON, or holds reserved keys or tags that cannot be read.
        """
        if may_hold_reserved_key(text) or may_hold_constant(text):
            return self._decode_with_care(text)
        return self._read(text)

    def encode_data(self, value: object) -> Any:
        """A value as JSON data; errors as for `encode`."""
        return parse_json(self.encode(value))

    def decode_data(self, data: object) -> Any:
        """JSON data as a value; errors as for `decode`."""
        return self.decode(write_json(data))

    def _decode_with_care(self, text: str) -> Any:
        data = parse_json(text)
        if self._wire is self._plain:
            refuse_reserved_keys(data, codes_allowed=self._facts.codes)
            return self._read(text)
        shaped, values = UNTYPED.take_out(data, codes_allowed=self._facts.codes)
        if not values:
            return self._read(text)
        used: set[int] = set()
        context: dict[str, Callable[[object], Any]] = {_TAGS: lambda part: put_back(part, values, used)}
        options = _READ_OBJECTS if self._facts.opaque else {}
        value = self._wire.validator.validate_json(write_json(shaped), context=context, **options)
        if len(used) < len(values):
            raise reserved_key_error(TAG_KEY)
        return value

    def _may_hide_loss(self, valid: object, text: str) -> bool:
        if self._facts.deep and text.count("[") + text.count("{") >= _DEEPEST:
            try:
                from_json(text)
            except ValueError as error:
                raise StrictJsonError(f"what was written could not be read back: {error}") from error
        if not self._facts.loose_floats:
            return False
        if may_hold_constant(text):
            return True
        # Models write NaN as null. Without the fields that are None, a null that is left may be a NaN.
        return "null" in text and b"null" in self._dump(valid, exclude_none=True, warnings=False)

    def _check_keys(self, valid: object, text: str) -> None:
        if self._wire is not self._plain:
            # What stands at untyped positions was checked when it was written, and may hold tags.
            if self._skeleton is None:
                self._skeleton = _build(self._skeleton_type())
            text = self._skeleton.serializer.to_json(valid, **_WRITE_OBJECTS).decode()
        refuse_reserved_keys(parse_json(text), codes_allowed=self._facts.codes)


def _refusal(error: Exception) -> StrictJsonError:
    if isinstance(error, RecursionError):
        return StrictJsonError("the value is nested too deeply, or contains itself")
    return take_refusal() or StrictJsonError(f"the value cannot be written as JSON: {_plain_text(error)}")


def as_strict_json_error(error: ValidationError) -> StrictJsonError | None:
    """The error for a value that has the right type but no place in JSON; `None` for one that does not fit."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if all(item["type"] in _NOT_A_MISFIT for item in found):
        return StrictJsonError(
            f"NaN, infinite numbers and lone surrogates have no place in JSON: {summary(error)}"
        )
    return None


def codec_for(declared: Any) -> TypeCodec:
    """The codec of a type, built at its first use and then kept.

    Raises:
        StrictJsonError: No values of this type can travel.
    """
    try:
        return _codecs[declared]
    except KeyError:
        codec = _codecs[declared] = _make_codec(declared)
        return codec
    except TypeError:  # the type holds metadata that cannot be hashed
        kept = _unhashable.get(id(declared))
        if kept is None:
            kept = _unhashable[id(declared)] = (declared, _make_codec(declared))
        return kept[1]


def codec_for_object(fields: Mapping[str, tuple[Any, bool]]) -> TypeCodec:
    """The codec of a JSON object with exactly these fields.

    Args:
        fields: By name, the declared type and whether the field must be there.

    Raises:
        TypeProblem: A type cannot be resolved.
    """
    facts = Facts()
    plain: dict[str, tuple[Any, bool]] = {}
    wire: dict[str, tuple[Any, bool]] = {}
    for name, (declared, required) in fields.items():
        facts |= read_facts(declared)
        plain[name] = (Rewriter(no_leaf).rewrite(declared), required)
        wire[name] = (Rewriter(_WIRE_LEAVES).rewrite(plain[name][0]), required)
    plain_object = _object_type(plain)
    differs = any(wire[name][0] is not plain[name][0] for name in fields)
    return TypeCodec(
        plain_object,
        _object_type(wire) if differs else plain_object,
        lambda: _object_type(
            {
                name: (Rewriter(_BLANK_LEAVES).rewrite(kind), required)
                for name, (kind, required) in plain.items()
            }
        ),
        facts,
    )


def _make_codec(declared: Any) -> TypeCodec:
    try:
        facts = read_facts(declared)
        plain = Rewriter(no_leaf).rewrite(declared)
        wire = Rewriter(_WIRE_LEAVES).rewrite(plain)
        return TypeCodec(plain, wire, lambda: Rewriter(_BLANK_LEAVES).rewrite(plain), facts)
    except TypeProblem as problem:
        raise StrictJsonError(f"{type_name(problem.type)} cannot travel: {problem.reason}") from problem
    except (PydanticUserError, SchemaError) as error:
        raise StrictJsonError(f"{type_name(declared)} cannot travel: {_plain_text(error)}") from error


def _build(declared: Any) -> TypeAdapter[Any]:
    # As an alias, because Pydantic takes no configuration beside a class that may have one of its own.
    value = value_type(declared)
    return TypeAdapter(cast("Any", lazy_alias(lambda: value)), config=_CONFIG)


def _object_type(fields: Mapping[str, tuple[Any, bool]]) -> Any:
    hints: dict[str, Any] = {}
    for name, (declared, required) in fields.items():
        kind = value_type(declared)
        hints[name] = kind if required else NotRequired[kind]
    return Annotated[cast("Any", TypedDict)("Arguments", hints), _NothingElse()]


def _plain_text(error: Exception) -> str:
    return str(error).split("\n    For further information", 1)[0]


class _NothingElse:
    """Makes an object refuse unknown keys. As configuration it would hold for objects inside as well."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        inner = handler.resolve_ref_schema(schema)
        cast("dict[str, Any]", inner)["extra_behavior"] = "forbid"
        return schema


class _Untyped:
    """Marks an untyped position: tags are written for what needs them, and read where the text holds some."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(
            self._put_back,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(writer(UNTYPED.encode, source)),
        )

    @staticmethod
    def _put_back(value: Any, info: core_schema.ValidationInfo[Any]) -> Any:
        return info.context[_TAGS](value) if info.context else value


class _Blank:
    """Writes `null` whatever stands at an untyped position."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(writer(_nothing, source))
        return with_serialization(handler(source), write)


def _nothing(value: object) -> None:
    """Whatever it is, it is left out."""


UNTYPED = UntypedCodec(codec_for)
"""Carries values at untyped positions."""

_WIRE_LEAVES = WireLeaves(_Untyped())
_BLANK_LEAVES = WireLeaves(_Blank())
_codecs: dict[Any, TypeCodec] = {}
_unhashable: dict[int, tuple[Any, TypeCodec]] = {}
