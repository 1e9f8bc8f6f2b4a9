"""A task's signature as the contract between producer and worker: binds, encodes and decodes its arguments."""

import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any, Never, NoReturn, cast

from pydantic import ValidationError

from horsies.codec.injected import InjectedParameters, OkTypes
from horsies.codec.parameters import Parameter, ReadSignature, read_declaration
from horsies.codec.problems import (
    ArgumentError,
    DecodeError,
    EncodeError,
    ReturnTypeMismatch,
    StrictJsonError,
    error_list,
    mismatch_details,
    reason_of,
    summary,
    type_name,
)
from horsies.codec.strict import may_hold_reserved_key, parse_json, write_json
from horsies.codec.typed import TypeCodec, as_strict_json_error, codec_for, codec_for_object
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import SourceLocation, TaskDefinitionError

_NOTHING: frozenset[str] = frozenset()


def read_signature(function: Callable[..., Any], task_name: str, *, keyword_only: bool) -> "TaskSignature":
    """Read and check a task function's signature.

    Args:
        function: The undecorated function; it is read while it is being defined, for the sake of names around it.
        task_name: The task's name, for messages.
        keyword_only: Whether parameters that can be given by position are refused.

    Raises:
        TaskDefinitionError: HRS-104 for a wrapped function, HRS-100 and HRS-101 for its return annotation, HRS-105
            for a parameter or type that cannot travel; the first offence.
    """
    declaration = read_declaration(function, task_name, keyword_only=keyword_only)
    signature = TaskSignature(function, task_name, declaration)
    if declaration.needs_build:
        try:
            signature.build()
        except Exception as error:  # Pydantic has no common class for what it raises about a type
            raise _unbuildable(function, signature, error) from error
    return signature


def _unbuildable(
    function: Callable[..., Any], signature: "TaskSignature", error: Exception
) -> TaskDefinitionError:
    place, declared = "result", signature.ok_type
    for item in signature.parameters:
        try:
            codec_for(item.annotation if not item.injected else object)
        except Exception as found:
            place, declared, error = f"parameter {item.name!r}", item.annotation, found
            break
    reason = str(error).partition("For further information")[0].strip()
    return TaskDefinitionError(
        f"task {signature.task_name!r}: {place} has the type {type_name(declared)}, which cannot travel: {reason}",
        code=ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION,
        location=SourceLocation.from_function(function),
        help_text="change the type so that Pydantic can build a schema for it",
    )


class TaskSignature:
    """What a task takes and gives, and how both travel.

    Attributes:
        task_name: The task's name.
        parameters: Its parameters in order.
        ok_type: The type of its success value; `type(None)` for `None`.
        is_async: It is an `async def` function.
        inspect_signature: The function's own signature, as `inspect.signature` gives it.
    """

    __slots__ = (
        "_arguments",
        "_injected",
        "_injected_names",
        "_needs_engine",
        "_ok",
        "_positional",
        "_required",
        "_sendable",
        "inspect_signature",
        "is_async",
        "ok_type",
        "parameters",
        "task_name",
    )

    def __init__(self, function: Callable[..., Any], task_name: str, declaration: ReadSignature) -> None:
        parameters = declaration.parameters
        self.task_name = task_name
        self.parameters: tuple[Parameter, ...] = parameters
        self.ok_type: Any = declaration.ok_type
        self.is_async = inspect.iscoroutinefunction(function)
        self.inspect_signature = declaration.inspected
        names = {parameter.name for parameter in parameters if parameter.injected}
        self._injected_names = frozenset(names)
        self._injected = InjectedParameters(
            context="workflow_ctx" in names,
            meta="workflow_meta" in names,
            results=frozenset(item.name for item in parameters if item.taskresult_of is not None),
        )
        self._positional = tuple(parameter.name for parameter in parameters if parameter.positional)
        self._required = frozenset(parameter.name for parameter in parameters if parameter.required)
        self._sendable = frozenset(parameter.name for parameter in parameters if not parameter.injected)
        self._needs_engine = not self._required.isdisjoint(names)
        self._arguments: TypeCodec | None = None
        self._ok: TypeCodec | None = None

    def __repr__(self) -> str:
        return f"<TaskSignature of {self.task_name!r}: {self.inspect_signature}>"

    def build(self) -> None:
        """Build the codecs now instead of at their first use."""
        self._arguments_codec()
        self._ok_codec()

    def bind(
        self, args: tuple[object, ...], kwargs: dict[str, object], *, injected: Collection[str] = _NOTHING
    ) -> dict[str, object]:
        """Bind a call's arguments to parameter names, without looking at their values.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments; may be returned as they are, and are never changed.
            injected: Parameters that the workflow engine will fill in, so that they are not missing.

        Returns:
            The given arguments by name. Parameters left to their default are not in it.

        Raises:
            ArgumentError: The arguments do not go with the parameters.
        """
        if args:
            bound: dict[str, object] = dict(zip(self._positional, args, strict=False))
            if kwargs:
                bound.update(kwargs)
            if len(bound) != len(args) + len(kwargs):
                self._refuse_positions(args, kwargs)
        else:
            bound = kwargs
        given = bound.keys()
        if not (self._required <= given <= self._sendable):
            self._check_names(given, injected)
        return bound

    def encode(self, bound: dict[str, object]) -> str | None:
        """Bound arguments as JSON text; `None` if there are none.

        Raises:
            EncodeError: An argument does not fit its declared type or cannot be written; `__cause__` says why.
        """
        if not bound:
            return None
        codec = self._arguments
        try:
            return (codec or self._arguments_codec()).encode(bound)
        except Exception as error:  # also what validators of the user's models raise
            self._refuse_argument(bound, error)

    def encode_many(self, calls: Iterable[dict[str, object]]) -> list[str | None]:
        """The arguments of several calls, each as for `encode`.

        Raises:
            EncodeError: As for `encode`, for the first call that cannot be encoded; the message begins with its
                index.
        """
        encode = self._arguments_codec().encode
        texts: list[str | None] = []
        for bound in calls:
            try:
                texts.append(encode(bound) if bound else None)
            except Exception as error:  # as in encode
                try:
                    self._refuse_argument(bound, error)
                except EncodeError as refused:
                    raise EncodeError(f"item {len(texts)}: {refused}") from refused.__cause__
        return texts

    def decode(self, text: str | None, ok_types: OkTypes | None = None) -> dict[str, object]:
        """Stored arguments as keyword arguments for the function.

        Args:
            text: What `encode` returned, with what the workflow engine added.
            ok_types: Finds the declared type of the task that an injected result comes from.

        Raises:
            DecodeError: The text cannot be read, an argument does not fit, is unknown or is missing.
        """
        try:
            if text is None or text == "null" or self._needs_engine or may_hold_reserved_key(text):
                return self._decode_with_care(text, ok_types or _no_types)
            value = (self._arguments or self._arguments_codec()).decode(text)
        except Exception as error:  # as in encode
            self._refuse_stored(error)
        return cast("dict[str, object]", value)

    def encode_ok(self, value: object) -> str:
        """A success value as JSON text.

        Raises:
            ReturnTypeMismatch: It is not of the declared type.
            StrictJsonError: It is, but cannot be written as strict JSON.
        """
        return self._ok_codec().write(self.validate_ok(value))

    def validate_ok(self, value: object) -> Any:
        """A success value as its declared type, converted where Pydantic's lax mode does so.

        Raises:
            ReturnTypeMismatch: It is not of the declared type.
            StrictJsonError: It has no place in JSON, as NaN has not.
        """
        codec = self._ok or self._ok_codec()
        try:
            return codec.validate(value)
        except ValidationError as error:
            unwritable = as_strict_json_error(error)
            if unwritable is not None:
                raise unwritable from error
            expected = type_name(self.ok_type)
            raise ReturnTypeMismatch(
                f"task {self.task_name!r} returned {type_name(type(value))}, which is no {expected}: {summary(error)}",
                mismatch_details("ok", expected, value, error_list(error)),
            ) from error
        except Exception as error:  # what a validator of the user's model raised
            raise StrictJsonError(f"validating the returned value raised {reason_of(error)}") from error

    def _arguments_codec(self) -> TypeCodec:
        if self._arguments is None:
            self._arguments = codec_for_object(
                {item.name: (item.annotation, item.required) for item in self.parameters if not item.injected}
            )
        return self._arguments

    def _ok_codec(self) -> TypeCodec:
        if self._ok is None:
            self._ok = codec_for(self.ok_type)
        return self._ok

    def _decode_with_care(self, text: str | None, ok_types: OkTypes) -> dict[str, object]:
        data: object = None if text is None else parse_json(text)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise StrictJsonError(f"stored arguments are an object, not {type(data).__name__}")
        arguments = cast("dict[str, Any]", data)
        size = len(arguments)
        taken = self._injected.take(arguments, ok_types)
        unchanged = text is not None and text != "null" and len(arguments) == size
        user_text = text if unchanged and text is not None else write_json(arguments)
        decoded: dict[str, object] = self._arguments_codec().decode(user_text)
        missing = self._required & self._injected_names - taken.keys()
        if missing:
            raise StrictJsonError(
                f"missing argument {min(missing)!r}, which only the workflow engine can fill in"
            )
        return decoded | taken

    def _refuse_positions(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Never:
        known = self._positional
        if len(args) > len(known):
            can = f"{len(known)} positional argument{'' if len(known) == 1 else 's'}"
            raise self._argument_error(f"takes {can}, but {len(args)} were given")
        doubled = next(name for name in known[: len(args)] if name in kwargs)
        raise self._argument_error(f"got argument {doubled!r} both by position and by name")

    def _check_names(self, given: Collection[str], injected: Collection[str]) -> None:
        for name in given:
            if name in self._injected_names:
                raise self._argument_error(
                    f"does not take argument {name!r} from a caller: the workflow engine fills it in"
                )
            if name not in self._sendable:
                known = ", ".join(item.name for item in self.parameters if not item.injected)
                raise self._argument_error(f"has no parameter {name!r}; it has: {known or 'none'}")
        for item in self.parameters:
            if item.required and item.name not in given and item.name not in injected:
                advice = ", which only a workflow can fill in" if item.injected else ""
                raise self._argument_error(f"is missing argument {item.name!r}{advice}")

    def _argument_error(self, reason: str) -> ArgumentError:
        return ArgumentError(f"task {self.task_name!r} {reason}")

    def _refuse_argument(self, bound: dict[str, object], error: Exception) -> Never:
        for item in self.parameters:
            if item.name in bound and not item.injected:
                try:
                    codec_for(item.annotation).encode(bound[item.name])
                except Exception as found:
                    reason = reason_of(found)
                    raise EncodeError(
                        f"task {self.task_name!r}: argument {item.name!r} cannot be sent as "
                        f"{type_name(item.annotation)}: {reason}"
                    ) from found
        raise EncodeError(
            f"task {self.task_name!r}: the arguments cannot be sent: {reason_of(error)}"
        ) from error

    def _refuse_stored(self, error: Exception) -> NoReturn:
        reason = reason_of(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            name = first["loc"][0] if first["loc"] else None
            if name is not None:
                reason = f"argument {name!r}: {summary(error, skip=1)}"
            if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
                reason = f"unknown argument {name!r}"
            elif first["type"] == "missing" and len(first["loc"]) == 1:
                reason = f"missing argument {name!r}"
        raise DecodeError(
            f"task {self.task_name!r}: the stored arguments cannot be read: {reason}"
        ) from error


def _no_types(task_name: str) -> NoReturn:
    raise LookupError(task_name)
