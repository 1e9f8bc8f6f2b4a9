"""Prepare steps: user code that shapes a workflow's graph, run before a node may begin (05 section 11).

First the node's conditions, then, for a child workflow, its `build_with`. What comes of it goes back as JSON data that
the transaction ending the step applies: skip the node, run it, or begin a child of this plan.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from horsies.app import Horsies
from horsies.codec.injected import OkTypes, read_argument, read_context
from horsies.codec.problems import DecodeError, StrictJsonError
from horsies.codec.strict import CONTEXT_KEY, parse_json
from horsies.errors.codes import BuiltInTaskCode, OperationalErrorCode
from horsies.ops.workflow_start import plan_data
from horsies.outcome import RunOutcome, finish_error
from horsies.suppression import suppress_sends
from horsies.task_result import TaskError
from horsies.workflow.arguments import decode_arguments
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.definition_base import facts_of
from horsies.workflow.definition_registry import DEFINITIONS
from horsies.workflow.node import Condition, Node
from horsies.workflow.nodes import SubWorkflowNode
from horsies.workflow.plan import plan_of

STEP_TASK = "horsies.prepare"
MAX_DEPTH = 32
_SHOWN = 200


class _StepError(Exception):
    """The node cannot begin; `error` says why."""

    def __init__(
        self, code: BuiltInTaskCode, message: str, *, data: object = None, cause: BaseException | None = None
    ) -> None:
        super().__init__(message)
        self.error = TaskError(error_code=code, message=message, data=data, exception=cause)


def run_step(app: Horsies, text: str, ok_types: OkTypes) -> RunOutcome:
    """Run one step.

    Args:
        app: The app.
        text: Its arguments, as the schema's step_input made them.
        ok_types: Finds the types of earlier results.

    Returns:
        The decision as JSON text, or the error that the node fails with. KeyboardInterrupt propagates.
    """
    try:
        with suppress_sends():
            return RunOutcome(json.dumps(_decide(app, text, ok_types)))
    except _StepError as problem:
        return finish_error(problem.error)


def _decide(app: Horsies, text: str, ok_types: OkTypes) -> Mapping[str, Any]:
    step = _read(text)
    if step["conditions"] and _is_skipped(step, ok_types):
        return {"decision": "skip"}
    if step["kind"] == SubWorkflowNode.kind:
        return {"decision": "child", "child": _child(app, step, ok_types)}
    return {"decision": "run"}


def _read(text: str) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", parse_json(text))
    except StrictJsonError as error:
        raise _StepError(
            OperationalErrorCode.WORKER_SERIALIZATION_ERROR,
            f"what is stored for this node cannot be read: {error}",
            cause=error,
        ) from error


# -- conditions


def _is_skipped(step: Mapping[str, Any], ok_types: OkTypes) -> bool:
    node = _guarded_node(step)
    try:
        context = read_context(step[CONTEXT_KEY], ok_types)
    except StrictJsonError as error:
        raise _StepError(
            OperationalErrorCode.WORKER_SERIALIZATION_ERROR,
            f"the context of node {step['node_id']!r} cannot be read: {error}",
            cause=error,
        ) from error

    def ask(name: str, condition: Condition) -> bool:
        try:
            return bool(condition(context))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _StepError(
                OperationalErrorCode.CONDITION_FAILED,
                f"{name} of node {step['node_id']!r} raised {_told(error)}",
                cause=error,
            ) from error

    if node.skip_when is not None and ask("skip_when", node.skip_when):
        return True
    return node.run_when is not None and not ask("run_when", node.run_when)


def _guarded_node(step: Mapping[str, Any]) -> Node[Any]:
    key, node_id = step["definition_key"], step["node_id"]
    definition = None if key is None else DEFINITIONS.find(key)
    if definition is not None:
        for node in facts_of(definition).nodes.values():
            if node.node_id == node_id and node.has_conditions:
                return node
    what = "definition" if definition is None else f"node {node_id!r} with a condition in the definition"
    raise _StepError(
        OperationalErrorCode.WORKER_RESOLUTION_ERROR,
        f"node {node_id!r} has a condition, and this worker knows no {what} {key!r}; import its module",
    )


# -- child workflows


def _child(app: Horsies, step: Mapping[str, Any], ok_types: OkTypes) -> Mapping[str, Any]:
    key = step["child_key"]
    definition = DEFINITIONS.find(key)
    if definition is None:
        raise _StepError(
            OperationalErrorCode.SUBWORKFLOW_LOAD_FAILED,
            f"this worker knows no workflow definition {key!r}; import its module or list it in discover_tasks",
            data={"definition_key": key},
        )
    if step["depth"] >= MAX_DEPTH:
        raise _enqueue_failed(
            step, f"workflows may nest to a depth of {MAX_DEPTH}, and this child would be deeper"
        )
    arguments = _arguments(step, cast("type[WorkflowDefinition[Any]]", definition), ok_types)
    try:
        spec = cast("type[WorkflowDefinition[Any]]", definition).build_with(app, **arguments)
        plan = plan_of(spec)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _enqueue_failed(
            step, f"building the child workflow raised {_told(error)}", cause=error
        ) from error
    return plan_data(
        plan,
        retention_class=app.config.retention.default_class,
        step_timeout_ms=app.config.workflow_step_timeout_ms,
    )


def _arguments(
    step: Mapping[str, Any], definition: type[WorkflowDefinition[Any]], ok_types: OkTypes
) -> dict[str, Any]:
    results: dict[str, Any] = step["results"]
    build = facts_of(definition).build
    try:
        arguments = {} if build is None else decode_arguments(build.call, step["kwargs"])
        both = arguments.keys() & results.keys()
        if both:
            raise _enqueue_failed(step, f"argument {min(both)!r} is both a stored value and a result")
        return arguments | {name: read_argument(name, data, ok_types) for name, data in results.items()}
    except (DecodeError, StrictJsonError) as error:
        raise _StepError(
            OperationalErrorCode.WORKER_SERIALIZATION_ERROR,
            f"the arguments of node {step['node_id']!r} cannot be read: {error}",
            cause=error,
        ) from error


def _enqueue_failed(
    step: Mapping[str, Any], reason: str, *, cause: BaseException | None = None
) -> _StepError:
    return _StepError(
        OperationalErrorCode.WORKFLOW_ENQUEUE_FAILED, f"node {step['node_id']!r}: {reason}", cause=cause
    )


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as failure:  # a broken __str__ must not hide what happened
        text = f"<no text: its __str__ raises {type(failure).__name__}>"
    return f"{type(error).__name__}: {text[:_SHOWN]}" if text else type(error).__name__
