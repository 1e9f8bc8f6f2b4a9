"""Which type a node's stored result has, found by the name that the engine stores beside it.

That is a task's name, or `horsies.subworkflow:<definition key>` for a child workflow, as in the schema's source_name.
"""

from collections.abc import Callable
from typing import Any

from horsies.workflow.definition_base import facts_of
from horsies.workflow.definition_registry import DEFINITIONS
from horsies.workflow.type_fit import UNKNOWN

CHILD_PREFIX = "horsies.subworkflow:"


def result_types(ok_type_of: Callable[[str], Any]) -> Callable[[str], Any]:
    """Finds the declared type of a success value by the name of its source.

    Args:
        ok_type_of: An app's types by task name; gives `None` for a task that is not registered here.

    Returns:
        A function that raises `LookupError` for a task or definition that is unknown in this process.
    """

    def find(name: str) -> Any:
        if name.startswith(CHILD_PREFIX):
            return child_type(name.removeprefix(CHILD_PREFIX))
        found = ok_type_of(name)
        if found is None:
            raise LookupError(name)
        return found

    return find


def child_type(definition_key: str) -> Any:
    """The type of a child workflow's output; `Any` where its definition names none.

    Raises:
        LookupError: This process knows no definition of that key.
    """
    definition = DEFINITIONS.find(definition_key)
    if definition is None:
        raise LookupError(definition_key)
    declared = facts_of(definition).output_type
    return Any if declared is UNKNOWN else declared
