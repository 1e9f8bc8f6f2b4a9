"""Frozen copies: what a spec keeps of the nodes, values and policy it was given."""

from collections.abc import Hashable, Mapping, Sequence, Set
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Literal, cast

from horsies.workflow.node import Node
from horsies.workflow.nodes import CallNode
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from horsies.workflow.validate.draft import Draft
from horsies.workflow.validate.static_arguments import EncodedArguments

type Copies = Mapping[int, Node[Any]]
"""A spec's nodes by the identity of the nodes they are copies of."""


def copy_nodes(draft: Draft, encoded: Mapping[int, EncodedArguments]) -> tuple[Node[Any], ...]:
    """Frozen copies of a valid draft's nodes, which refer to each other and no longer to the originals."""
    nodes = draft.nodes
    copies: dict[int, Node[Any]] = {id(node): object.__new__(type(node)) for node in nodes}
    for index, node in enumerate(nodes):
        values: dict[str, object] = {
            name: freeze_value(getattr(node, name), copies)
            for name in _fields(type(node))
            if hasattr(node, name)
        }
        values |= {
            "waits_for": freeze_value(draft.dependencies(index), copies),
            "index": index,
            "_node_id": draft.ids[index],
            "_has_derived_id": False,
            "_in_class": False,
            "_original": node.original,
        }
        if isinstance(node, CallNode):
            arguments = encoded[index]
            values |= {"kwargs": freeze_value(arguments.values, copies), "kwargs_json": arguments.text}
        write(copies[id(node)], **values, _frozen=True)
    return tuple(copies[id(node)] for node in nodes)


def copy_policy(policy: SuccessPolicy | None, copies: Copies) -> SuccessPolicy | None:
    """A policy that names the copies."""
    if policy is None:
        return None
    return SuccessPolicy(
        [SuccessCase(freeze_value(case.required, copies)) for case in policy.cases],
        None if policy.optional is None else freeze_value(policy.optional, copies),
    )


def freeze_value(value: Any, copies: Copies) -> Any:
    """A value whose containers cannot be changed, with nodes replaced by their copies."""
    kind = _kind_of(cast("Hashable", type(value)))
    if kind == "other":
        return value
    if kind == "node":
        return copies.get(id(cast("object", value)), cast("object", value))
    if kind == "mapping":
        pairs = cast("Mapping[object, object]", value).items()
        return MappingProxyType({key: freeze_value(item, copies) for key, item in pairs})
    if kind == "set":
        return frozenset(cast("Set[object]", value))
    return tuple(freeze_value(item, copies) for item in cast("Sequence[object]", value))


@lru_cache(1000)
def _kind_of(hashable: Hashable) -> Literal["node", "mapping", "set", "sequence", "other"]:
    """Kept, since the questions to abstract classes would be the dear part of a copy."""
    kind = cast("type[object]", hashable)
    if issubclass(kind, Node):
        return "node"
    if issubclass(kind, Mapping):
        return "mapping"
    if issubclass(kind, Set):
        return "set"
    # A NamedTuple is more than its items.
    if hasattr(kind, "_fields") or issubclass(kind, str | bytes | bytearray):
        return "other"
    return "sequence" if issubclass(kind, Sequence) else "other"


def write(frozen: object, **values: object) -> None:
    """Set attributes past the guard of a frozen object."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


@cache
def _fields(kind: type[Node[Any]]) -> tuple[str, ...]:
    return tuple(
        name for each in kind.__mro__ for name in vars(each).get("__slots__", ()) if name != "_frozen"
    )
