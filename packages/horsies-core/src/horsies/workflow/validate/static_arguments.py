"""Phase 4: static arguments are encoded, decoded again as the worker will do, and kept as text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from horsies.codec.problems import DecodeError, StrictJsonError
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError, WorkflowValidationError
from horsies.workflow.arguments import decode_arguments, encode_argument, join_arguments
from horsies.workflow.nodes import CallNode, TaskNode
from horsies.workflow.validate.draft import Draft


@dataclass(frozen=True, slots=True)
class EncodedArguments:
    """The static arguments of one node.

    Attributes:
        text: As they are stored; `None` without any.
        values: As they will arrive.
    """

    text: str | None
    values: Mapping[str, Any]


def encode_all(draft: Draft, encoded: dict[int, EncodedArguments]) -> Iterator[HorsiesError]:
    """HRS-031; fills `encoded` by index."""
    for index, node in draft.calls():
        if isinstance(node, TaskNode):
            yield from _deadline(draft, index, cast("TaskNode[object]", node))
        if node.is_frozen:
            yield from _taken_over(draft, index, node, encoded)
            continue
        texts: dict[str, str] = {}
        values: dict[str, Any] = {}
        for name, value in node.kwargs.items():
            try:
                texts[name], values[name] = _encode(draft, index, name, value)
            except StrictJsonError as error:
                yield _error(draft, index, f"has a value for {name!r} that {error}", error)
            except Exception as error:  # methods of the user's own models
                yield _error(
                    draft,
                    index,
                    f"has a value for {name!r} that raised {type(error).__name__}: {error}",
                    error,
                )
        encoded[index] = EncodedArguments(join_arguments(texts), values)


def _taken_over(
    draft: Draft, index: int, node: CallNode[Any], encoded: dict[int, EncodedArguments]
) -> Iterator[HorsiesError]:
    """A node of another spec: its values were frozen, so that the text is what is left of them."""
    try:
        values = decode_arguments(draft.signature(index), node.kwargs_json)
        encoded[index] = EncodedArguments(node.kwargs_json, values)
    except DecodeError as error:
        yield _error(draft, index, f"has arguments of another workflow's node: {error}", error)


def _encode(draft: Draft, index: int, name: str, value: object) -> tuple[str, Any]:
    signature = draft.signature(index)
    parameter = signature.parameters.get(name)
    if parameter is not None and parameter.injected:
        what = (
            "takes the result of a node"
            if parameter.taskresult_of is not None
            else "is filled in by the engine"
        )
        raise StrictJsonError(f"cannot be static: the parameter {what}")
    return encode_argument(signature, name, value)


def _deadline(draft: Draft, index: int, node: TaskNode[object]) -> Iterator[HorsiesError]:
    deadline = cast("object", node.good_until)
    if deadline is None:
        return
    if not isinstance(deadline, datetime):
        yield _error(
            draft, index, f"has a good_until that is a {type(deadline).__name__}, not a datetime", None
        )
    elif deadline.utcoffset() is None:
        yield _error(
            draft, index, "has a good_until without a time zone; use datetime(..., tzinfo=UTC)", None
        )


def _error(draft: Draft, index: int, problem: str, cause: Exception | None) -> WorkflowValidationError:
    error = draft.error(
        ErrorCode.WORKFLOW_KWARGS_NOT_SERIALIZABLE,
        index,
        problem,
        "static values have to travel as JSON by the types of their parameters",
    )
    error.__cause__ = cause
    return error
