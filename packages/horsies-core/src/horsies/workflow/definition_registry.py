"""The definitions of this process: all of them for checks, and by key for those who run them."""

import os
import threading
from dataclasses import dataclass

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import SourceLocation, WorkflowValidationError
from horsies.workflow.definition_base import DefinitionClass, label_of


@dataclass(frozen=True, slots=True)
class _Entry:
    definition: DefinitionClass
    place: SourceLocation | None


class DefinitionRegistry:
    """Definition classes by key; those that have none, by the place of their class statement."""

    def __init__(self) -> None:
        self._entries: dict[str | tuple[object, ...], _Entry] = {}
        self._lock = threading.Lock()

    def collision(
        self, definition: DefinitionClass, key: str, place: SourceLocation | None
    ) -> WorkflowValidationError | None:
        """The error of a class whose key another class has; the same class statement again is no other class."""
        entry = self._entries.get(key)
        if entry is None or _spot(entry) == _spot(_Entry(definition, place)):
            return None
        first = entry.place
        return WorkflowValidationError(
            f"{label_of(definition)}: definition_key {key!r} belongs to {label_of(entry.definition)} already",
            code=ErrorCode.WORKFLOW_DUPLICATE_DEFINITION_KEY,
            location=place,
            notes=[f"first defined at {first.format_short()}" if first else "first defined elsewhere"],
            help_text="give each definition a key of its own; running workflows find their definition by it",
        )

    def add(self, definition: DefinitionClass, key: str | None, place: SourceLocation | None) -> None:
        """Keep a class; one from the same class statement, as after a re-import, takes the place of the earlier one."""
        entry = _Entry(definition, place)
        with self._lock:
            self._entries[_spot(entry) if key is None else key] = entry

    def find(self, key: str) -> DefinitionClass | None:
        """The class of that key; `None` if this process knows none."""
        entry = self._entries.get(key)
        return None if entry is None else entry.definition

    def all(self) -> list[DefinitionClass]:
        """Every class, in the order of their definition."""
        return [entry.definition for entry in list(self._entries.values())]


DEFINITIONS = DefinitionRegistry()
"""The definitions of this process."""


def _spot(entry: _Entry) -> tuple[object, ...]:
    # One file can be reached by two paths and run under two names, as the main program and as a module.
    name = entry.definition.__qualname__
    if entry.place is None:
        return entry.definition.__module__, name
    return os.path.realpath(entry.place.file), entry.place.line, name
