"""The T of `WorkflowDefinition[T]`: read off the class, and compared with what a workflow gives in the end."""

import types
from typing import Any, TypeVar, get_args, get_origin

from horsies.codec.problems import type_name
from horsies.codec.structure import is_any
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import WorkflowValidationError
from horsies.workflow.definition_base import DefinitionBase, DefinitionClass, facts_of, label_of
from horsies.workflow.spec_base import SpecBase
from horsies.workflow.type_fit import UNKNOWN, fits


def read_output_type(definition: DefinitionClass) -> Any:
    """The T that a class gives to `WorkflowDefinition`, itself or by a class it derives from; else `UNKNOWN`."""
    declared = _argument(definition, {})
    if declared is UNKNOWN or isinstance(declared, TypeVar):
        return UNKNOWN
    return type(None) if declared is None else declared


def output_type_error(
    spec: SpecBase[Any], definition: DefinitionClass | None = None
) -> WorkflowValidationError | None:
    """HRS-025, if a spec does not give what its definition declares.

    Args:
        spec: The spec.
        definition: The class; left out: the one the spec was built from.
    """
    definition = spec.workflow_def_cls if definition is None else definition
    declared = UNKNOWN if definition is None else facts_of(definition).output_type
    if definition is None or declared is UNKNOWN or is_any(declared):
        return None
    if spec.output is None:
        problem = "has no output node"
        advice = "name the node that gives it, in quotes: class Meta: output = 'node'"
        if declared is type(None):
            return None
    else:
        given = spec.output.ok_type
        problem = f"gives {type_name(given)} by its output node {spec.output.node_id!r}"
        advice = "name another node in Meta.output, or declare what this one gives: "
        advice += f"WorkflowDefinition[{'T' if given is UNKNOWN else type_name(given)}]"
        if given is not UNKNOWN and fits(given, declared):
            return None
    return WorkflowValidationError(
        f"{label_of(definition)} declares {type_name(declared)}, and its workflow {problem}",
        code=ErrorCode.WORKFLOW_OUTPUT_TYPE_MISMATCH,
        location=facts_of(definition).location,
        help_text=advice,
    )


def _argument(kind: Any, arguments: dict[Any, Any]) -> Any:
    """Follow T from a class up to `DefinitionBase`, replacing type parameters by what they stand for."""
    for base in types.get_original_bases(kind):
        origin: Any = get_origin(base) or base
        if DefinitionBase not in getattr(origin, "__mro__", ()):
            continue
        given = [_substitute(item, arguments) for item in get_args(base)]
        if origin is DefinitionBase:
            return given[0] if given else UNKNOWN
        parameters = getattr(origin, "__type_params__", ()) or getattr(origin, "__parameters__", ())
        found = _argument(origin, dict(zip(parameters, given, strict=False)))
        if found is not UNKNOWN:
            return found
    return UNKNOWN


def _substitute(declared: Any, arguments: dict[Any, Any]) -> Any:
    if declared in arguments:
        return arguments[declared]
    parameters = getattr(declared, "__parameters__", ())
    if parameters and not isinstance(declared, type):
        return declared[tuple(arguments.get(item, item) for item in parameters)]
    return declared
