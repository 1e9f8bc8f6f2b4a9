"""Binding a workflow to an app: every node that goes to a queue learns which, and with what priority."""

from collections.abc import Mapping, Sequence
from typing import Any

from horsies.config.app import AppConfig
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError, WorkflowValidationError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.state import OnError
from horsies.task_options import check_queue, queue_priority
from horsies.workflow.definition_base import DefinitionBase
from horsies.workflow.freeze import write
from horsies.workflow.host import WorkflowHost
from horsies.workflow.node import Node
from horsies.workflow.nodes import TaskNode
from horsies.workflow.policy import SuccessPolicy
from horsies.workflow.spec import WorkflowSpec


def make_bound_spec(
    host: WorkflowHost,
    name: str,
    tasks: Sequence[Node[Any]],
    *,
    on_error: OnError | str,
    output: Node[Any] | None,
    success_policy: SuccessPolicy | None,
    definition_key: str | None,
    workflow_def_cls: type[DefinitionBase[Any]] | None = None,
) -> WorkflowSpec[Any]:
    """A spec that belongs to an app.

    Raises:
        ConfigurationError: HRS-103 or HRS-200, a node goes to a queue that the app does not have.
        ValueError: There is no such `on_error`.
        WorkflowValidationError: HRS-001 to HRS-033.
        MultipleValidationErrors: Several errors were found in one phase.
    """
    tasks = tuple(tasks)
    _resolve(name, tasks, host.config)
    spec: WorkflowSpec[Any] = WorkflowSpec(
        name,
        tasks,
        on_error,
        output,
        success_policy,
        definition_key,
        workflow_def_cls,
    )
    bind(spec, host)
    return spec


def bind(spec: WorkflowSpec[Any], host: WorkflowHost) -> None:
    """Make a spec belong to an app; one that has an app keeps it.

    Raises:
        ConfigurationError: HRS-103 or HRS-200, a node goes to a queue that the app does not have.
        MultipleValidationErrors: Several nodes do.
    """
    if spec.host is not None:
        return
    for index, (queue, priority) in _resolve(spec.name, spec.tasks, host.config).items():
        write(spec.tasks[index], queue=queue, priority=priority)
    write(
        spec,
        _host=host,
        resend_on_transient_err=spec.resend_on_transient_err or host.config.resend_on_transient_err,
    )


def _resolve(
    workflow: object, nodes: Sequence[Node[Any]], config: AppConfig
) -> Mapping[int, tuple[str, int]]:
    report = ValidationReport(f"workflow {workflow!r}")
    resolved: dict[int, tuple[str, int]] = {}
    for index, node in enumerate(nodes):
        if not isinstance(node, TaskNode):
            continue
        queue = node.fn.task_queue_name if node.queue is None else node.queue
        where = f"workflow {workflow!r}: node {node.node_id or index!r} (task {node.name!r})"
        try:
            check_queue(queue, config)
            problem = priority_problem(node.priority)
            if problem is not None:
                report.add(_bad_priority(node, where, problem))
            else:
                resolved[index] = (
                    queue,
                    (queue_priority(queue, config) if node.priority is None else node.priority),
                )
        except ConfigurationError as error:
            report.add(_bad_queue(node, where, error))
    raise_collected(report)
    return resolved


def priority_problem(priority: object) -> str | None:
    """Tell what is wrong with a node's priority; `None` when it is fine or not given."""
    if priority is None:
        return None
    if isinstance(priority, bool) or not isinstance(priority, int):
        return f"priority is a number from 1 to 100, not a {type(priority).__name__}"
    return None if 1 <= priority <= 100 else f"priority is {priority}, outside of 1 to 100"


def _bad_queue(node: Node[Any], where: str, error: ConfigurationError) -> HorsiesError:
    return ConfigurationError(
        f"{where}: {error.message}",
        code=error.code,
        location=node.location,
        notes=error.notes,
        help_text=error.help_text,
    )


def _bad_priority(node: Node[Any], where: str, problem: str) -> HorsiesError:
    return WorkflowValidationError(
        f"{where}: {problem}",
        code=ErrorCode.WORKFLOW_UNRESOLVED_PRIORITY,
        location=node.location,
        help_text="leave it out to take the queue's, or use 1 (first) to 100",
    )
