"""DefinitionBase: what nodes and checks need to know of a `WorkflowDefinition` class."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from horsies.errors.diagnostic import SourceLocation
from horsies.workflow.call_signature import BuildSignature
from horsies.workflow.node import Node
from horsies.workflow.type_fit import UNKNOWN

_FACTS = "__horsies_facts__"


@dataclass(frozen=True, slots=True)
class DefinitionFacts:
    """What a definition class says, read once when the class is made.

    Attributes:
        nodes: The nodes of its own body by attribute name, in order, each once.
        key: Its definition key; `None` if its own body has no usable one.
        output_type: The T of `WorkflowDefinition[T]`; `UNKNOWN` if it has none.
        build: The parameters of its own or inherited `build_with`; `None` for the default one.
        location: Where the class statement is.
    """

    nodes: Mapping[str, Node[Any]] = MappingProxyType({})
    key: str | None = None
    output_type: Any = UNKNOWN
    build: BuildSignature | None = None
    location: SourceLocation | None = None


_NO_FACTS = DefinitionFacts()


class DefinitionBase[T]:
    """A workflow by its class. `T` is the output's success value.

    Attributes:
        name: The workflow's name.
        definition_key: Names the definition in the database, for workers; unique among all definitions.
    """

    name: ClassVar[str]
    definition_key: ClassVar[str]


type DefinitionClass = type[DefinitionBase[Any]]


def facts_of(definition: DefinitionClass) -> DefinitionFacts:
    """What a definition class says."""
    facts: DefinitionFacts = vars(definition).get(_FACTS, _NO_FACTS)
    return facts


def find_node(definition: DefinitionClass, node_id: str) -> Node[Any] | None:
    """The node of a definition that a stored node row stands for; `None` if the class has none of that id."""
    return next((node for node in facts_of(definition).nodes.values() if node.node_id == node_id), None)


def keep_facts(definition: DefinitionClass, facts: DefinitionFacts) -> None:
    """Attach to a definition class what it says."""
    setattr(definition, _FACTS, facts)


def name_of(definition: DefinitionClass) -> str | None:
    """The name of the workflow that a definition class describes; `None` if it has no usable one."""
    name: object = getattr(definition, "name", None)
    return name if isinstance(name, str) and name else None


def label_of(definition: DefinitionClass) -> str:
    """A definition class in messages."""
    return f"workflow definition {definition.__qualname__.rpartition('<locals>.')[2]}"
