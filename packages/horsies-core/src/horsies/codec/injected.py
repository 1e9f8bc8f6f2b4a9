"""Arguments that the workflow engine adds beside the user's own: context, meta and earlier results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from horsies.codec.problems import StrictJsonError, reason_of
from horsies.codec.results import decode_task_result
from horsies.codec.strict import ARGUMENT_RESULT_KEY, CONTEXT_KEY, META_KEY
from horsies.errors.codes import OperationalErrorCode
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.context import WorkflowContext, WorkflowMeta

CONTEXT_PARAMETER = "workflow_ctx"
META_PARAMETER = "workflow_meta"

type OkTypes = Callable[[str], Any]
"""Gives the declared type of a task's success value by the task's name; raises `LookupError` for an unknown name."""

_SOURCE_KEYS = frozenset(("source_task_name", "inner"))
_META_KEYS: frozenset[str] = frozenset(("workflow_id", "task_index", "task_name"))


@dataclass(frozen=True, slots=True)
class InjectedParameters:
    """Which of a task's parameters the workflow engine fills in.

    Attributes:
        context: It declares `workflow_ctx`.
        meta: It declares `workflow_meta`.
        results: Names of its `TaskResult` parameters.
    """

    context: bool = False
    meta: bool = False
    results: frozenset[str] = frozenset()

    def take(self, arguments: dict[str, Any], ok_types: OkTypes) -> dict[str, Any]:
        """Remove what the engine added from stored arguments.

        Args:
            arguments: The stored arguments; what is not the user's is removed from them.
            ok_types: Finds the declared type of a source task.

        Returns:
            The values by parameter name.

        Raises:
            StrictJsonError: What the engine added is malformed, or names a task that is unknown here.
        """
        taken: dict[str, Any] = {}
        # Context data for a task that declares no such parameter is ignored.
        context = arguments.pop(CONTEXT_KEY, None)
        if self.context and context is not None:
            taken[CONTEXT_PARAMETER] = read_context(context, ok_types)
        meta = arguments.pop(META_KEY, None)
        if self.meta and meta is not None:
            taken[META_PARAMETER] = _read_meta(meta)
        for name in self.results & arguments.keys():
            taken[name] = read_argument(name, arguments.pop(name), ok_types)
        return taken


def read_argument(name: str, data: object, ok_types: OkTypes) -> TaskResult[Any, TaskError]:
    """The result that was stored for a parameter.

    Raises:
        StrictJsonError: It is malformed, of an unknown source or does not fit that source's type; the text names
            parameter and source.
    """
    fields = _object(data, f"the result for parameter {name!r}")
    if fields.get(ARGUMENT_RESULT_KEY) is not True or fields.keys() != _SOURCE_KEYS | {ARGUMENT_RESULT_KEY}:
        raise StrictJsonError(
            f"the result for parameter {name!r} has the keys {', '.join(fields)}, "
            f"not {ARGUMENT_RESULT_KEY}, source_task_name and inner"
        )
    try:
        return _read_source(fields, ok_types)
    except Exception as error:  # also what validators of the user's models raise
        source = fields["source_task_name"]
        raise StrictJsonError(
            f"the result for parameter {name!r}, from {source!r}, cannot be read: {reason_of(error)}"
        ) from error


def _read_source(fields: dict[str, Any], ok_types: OkTypes) -> TaskResult[Any, TaskError]:
    name = fields["source_task_name"]
    if not isinstance(name, str):
        raise StrictJsonError("a result of another task does not say which task it is from")
    try:
        ok_type = ok_types(name)
    except LookupError as error:
        raise StrictJsonError(
            f"a result comes from task {name!r}, which is not registered here; import the module that defines it"
        ) from error
    return decode_task_result(fields["inner"], ok_type)


def read_context(data: object, ok_types: OkTypes) -> WorkflowContext:
    """The stored context. A result in it that cannot be read is there as `RESULT_DESERIALIZATION_ERROR`.

    Raises:
        StrictJsonError: It is malformed.
    """
    fields = _object(data, "the workflow context")
    if frozenset(fields) - {"summaries"} != _META_KEYS | {"results"}:
        raise StrictJsonError(f"the workflow context has unexpected keys: {', '.join(fields)}")
    results: dict[str, TaskResult[Any, TaskError]] = {}
    for node, source in _object(fields["results"], "the results in the workflow context").items():
        entry = _object(source, f"the result of node {node!r}")
        if entry.keys() != _SOURCE_KEYS:
            raise StrictJsonError(f"the result of node {node!r} has unexpected keys: {', '.join(entry)}")
        try:
            results[node] = _read_source(entry, ok_types)
        except Exception as error:  # also what validators of the user's models raise
            results[node] = _unreadable(node, error)
    return WorkflowContext(
        workflow_id=_text(fields, "workflow_id"),
        task_index=_number(fields, "task_index"),
        task_name=_text(fields, "task_name"),
        results=results,
        summaries={
            node: _object(item, f"the summary of node {node!r}")
            for node, item in _object(
                fields.get("summaries", {}), "the summaries in the workflow context"
            ).items()
        },
    )


def _unreadable(node: str, error: Exception) -> TaskResult[Any, TaskError]:
    message = f"the result of node {node!r} cannot be read: {reason_of(error)}"
    code = OperationalErrorCode.RESULT_DESERIALIZATION_ERROR
    return TaskResult(err=TaskError(error_code=code, message=message))


def _read_meta(data: object) -> WorkflowMeta:
    fields = _object(data, "the workflow meta data")
    if frozenset(fields) - {"item_index"} != _META_KEYS:
        raise StrictJsonError(f"the workflow meta data has unexpected keys: {', '.join(fields)}")
    return WorkflowMeta(
        workflow_id=_text(fields, "workflow_id"),
        task_index=_number(fields, "task_index"),
        task_name=_text(fields, "task_name"),
        item_index=None if fields.get("item_index") is None else _number(fields, "item_index"),
    )


def _object(data: object, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise StrictJsonError(f"{what} must be an object, not {type(data).__name__}")
    return cast("dict[str, Any]", data)


def _text(fields: Mapping[str, Any], name: str) -> str:
    if not isinstance(fields[name], str):
        raise StrictJsonError(f"{name} must be text, not {type(fields[name]).__name__}")
    return cast("str", fields[name])


def _number(fields: Mapping[str, Any], name: str) -> int:
    if type(fields[name]) is not int:
        raise StrictJsonError(f"{name} must be a whole number, not {type(fields[name]).__name__}")
    return cast("int", fields[name])
