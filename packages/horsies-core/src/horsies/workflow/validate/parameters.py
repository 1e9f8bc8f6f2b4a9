"""Phase 3, parameters: what a node is given has a parameter of a fitting type, and every parameter gets something."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import cast

from horsies.codec.problems import type_name
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.workflow.node import Node
from horsies.workflow.nodes import CallNode, SubWorkflowNode
from horsies.workflow.type_fit import UNKNOWN, fits, result_type
from horsies.workflow.validate.draft import Draft

_BUILD_WITH_OWN = ("app", "cls")


def unknown(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-019."""
    for index, node in _with_parameters(draft):
        signature = draft.signature(index)
        if signature.takes_anything:
            continue
        taken = _BUILD_WITH_OWN if isinstance(node, SubWorkflowNode) else ()  # HRS-023 is their error
        for name in dict.fromkeys((*node.kwargs, *node.args_from)):
            if name in signature.parameters or name in taken:
                continue
            close = get_close_matches(str(name), signature.parameters, 1)
            yield draft.error(
                ErrorCode.WORKFLOW_INVALID_KWARG_KEY,
                index,
                f"is given {name!r}, and {node.name!r} has no such parameter",
                f"did you mean {close[0]!r}?" if close else "use one of its parameters",
                f"its parameters: {', '.join(signature.parameters) or 'none'}",
            )


def unfitting_results(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-024."""
    for index, node in _with_parameters(draft):
        parameters = draft.signature(index).parameters
        for name, source in node.args_from.items():
            if name not in parameters or not isinstance(cast("object", source), Node):
                continue
            declared = parameters[name].annotation
            target = result_type(declared)
            problem = _misfit(source, target)
            if problem is not None:
                yield draft.error(
                    ErrorCode.WORKFLOW_ARGS_FROM_TYPE_MISMATCH,
                    index,
                    f"takes {name!r} from {draft.label_of(source)}: {problem}",
                    "results arrive whole, errors included: declare the parameter as "
                    + _declaration(name, source),
                    f"{name!r} of {node.name!r} is declared as {type_name(declared)}",
                )


def missing(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-020."""
    for index, node in _with_parameters(draft):
        given = {*node.kwargs, *node.args_from, *node.filled_in}
        lacking = [
            name
            for name, parameter in draft.signature(index).parameters.items()
            if parameter.required and name not in given
        ]
        if lacking:
            yield draft.error(
                ErrorCode.WORKFLOW_MISSING_REQUIRED_PARAMS,
                index,
                f"does not give {', '.join(repr(name) for name in lacking)} to {node.name!r}",
                f"give a static value, kwargs={{{lacking[0]!r}: ...}}, "
                f"or a node's result, waits_for=[node], args_from={{{lacking[0]!r}: node}}",
            )


def _with_parameters(draft: Draft) -> Iterator[tuple[int, CallNode[object]]]:
    """The nodes whose arguments matter; a child that takes none has an error of its own for them."""
    return ((index, node) for index, node in draft.calls() if not draft.takes_no_arguments(index))


def _declaration(name: str, source: Node[object]) -> str:
    given = "T" if source.ok_type is UNKNOWN else type_name(source.ok_type)
    return f"{name}: TaskResult[{given}, TaskError]"


def _misfit(source: Node[object], target: object) -> str | None:
    if target is UNKNOWN:
        return "the parameter does not take a TaskResult"
    given = source.ok_type
    if given is UNKNOWN:
        return "nothing declares the type of that node's result; write class ...(WorkflowDefinition[T])"
    if not fits(given, target):
        return f"a result of {type_name(given)} does not go where one of {type_name(target)} is expected"
    return None
