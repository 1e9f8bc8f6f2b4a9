"""The checks a workflow passes before it becomes a spec: phases 1 to 4, in order.

Each phase collects all its errors; one with errors is the last that runs.
"""

from collections.abc import Callable, Iterator, Mapping

from horsies.errors.diagnostic import HorsiesError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.workflow.validate import (
    children,
    conditions,
    graph,
    identity,
    joins,
    outcome,
    parameters,
    static_arguments,
    wiring,
)
from horsies.workflow.validate.draft import Draft
from horsies.workflow.validate.static_arguments import EncodedArguments

type Check = Callable[[Draft], Iterator[HorsiesError]]

PHASES: tuple[tuple[Check, ...], ...] = (
    (identity.no_name, identity.no_nodes),
    (identity.invalid_ids, identity.duplicate_ids),
    (
        graph.no_roots,
        graph.foreign_dependencies,
        graph.cycles,
        wiring.foreign_sources,
        wiring.foreign_context,
        wiring.context_not_taken,
        wiring.positional_arguments,
        wiring.misplaced_markers,
        wiring.overlapping_arguments,
        children.missing_keys,
        children.arguments_without_build_with,
        children.unusable_arguments,
        parameters.unknown,
        parameters.unfitting_results,
        parameters.missing,
        outcome.foreign_output,
        outcome.unusable_policy,
        joins.unusable_joins,
        conditions.unusable_conditions,
        children.nested_in_a_circle,
    ),
)


def validate(draft: Draft) -> Mapping[int, EncodedArguments]:
    """Check a draft.

    Returns:
        The static arguments of its nodes, encoded, by index.

    Raises:
        WorkflowValidationError: One error was found.
        MultipleValidationErrors: Several errors were found in one phase.
    """
    for checks in PHASES:
        _raise(draft, (error for check in checks for error in check(draft)))
    encoded: dict[int, EncodedArguments] = {}
    _raise(draft, static_arguments.encode_all(draft, encoded))
    return encoded


def _raise(draft: Draft, errors: Iterator[HorsiesError]) -> None:
    report = ValidationReport(f"workflow {draft.name!r}")
    for error in errors:
        report.add(error)
    raise_collected(report)
