"""Phase 3, the end of a workflow: its output and its success policy speak of its own nodes."""

from collections.abc import Iterator
from typing import cast

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from horsies.workflow.validate.draft import Draft


def foreign_output(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-011."""
    if draft.output is not None and draft.place(draft.output) is None:
        yield draft.general_error(
            ErrorCode.WORKFLOW_INVALID_OUTPUT,
            f"its output {draft.output!r} is not one of its nodes",
            _reference_help(draft, "give a node out of tasks"),
            draft.known_nodes,
        )


def unusable_policy(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-012."""
    policy = draft.policy
    if policy is None:
        return
    code = ErrorCode.WORKFLOW_INVALID_SUCCESS_POLICY
    example = "for example SuccessPolicy(cases=[SuccessCase(required=[node])])"
    if not isinstance(policy, SuccessPolicy):
        yield draft.general_error(code, f"success_policy is {policy!r}, not a SuccessPolicy", example)
        return
    if not policy.cases:
        yield draft.general_error(code, "its success policy has no cases", example)
    for number, case in enumerate(policy.cases, 1):
        if not isinstance(cast("object", case), SuccessCase):
            yield draft.general_error(code, f"case {number} of its success policy is {case!r}", example)
        elif not case.required:
            yield draft.general_error(
                code, f"case {number} of its success policy requires no node", "name a node at least"
            )
        else:
            yield from _foreign_members(draft, case.required, f"case {number} of its success policy")
    yield from _foreign_members(draft, policy.optional or (), "optional of its success policy")


def _foreign_members(draft: Draft, members: object, where: str) -> Iterator[HorsiesError]:
    for member in cast("tuple[object, ...]", members):
        if draft.place(member) is None:
            yield draft.general_error(
                ErrorCode.WORKFLOW_INVALID_SUCCESS_POLICY,
                f"{where} names {member!r}, which is not one of its nodes",
                _reference_help(draft, "name nodes out of tasks"),
                draft.known_nodes,
            )


def _reference_help(draft: Draft, plain: str) -> str:
    if draft.definition is None:
        return plain
    return "name a node by its attribute, or by its task if only one node runs it"
