"""Which `build_with` is running, and which specs it has made so far."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from horsies.workflow.definition_base import DefinitionClass


class BuildCall:
    """One call of a `build_with`.

    Attributes:
        definition: The class it was called on.
        made: The specs constructed during the call.
    """

    __slots__ = ("definition", "made")

    def __init__(self, definition: DefinitionClass) -> None:
        self.definition = definition
        self.made: list[object] = []

    def has_made(self, spec: object) -> bool:
        """Whether a spec was constructed during the call."""
        return any(made is spec for made in self.made)


_calls: ContextVar[tuple[BuildCall, ...]] = ContextVar("horsies_build_calls", default=())


@contextmanager
def building(definition: DefinitionClass) -> Generator[BuildCall]:
    """Mark a `build_with` as running; calls nest."""
    call = BuildCall(definition)
    token = _calls.set((*_calls.get(), call))
    try:
        yield call
    finally:
        _calls.reset(token)


def definition_being_built() -> DefinitionClass | None:
    """The class of the innermost running `build_with`; `None` outside of any."""
    calls = _calls.get()
    return calls[-1].definition if calls else None


def note_spec(spec: object) -> None:
    """Tell every running `build_with` that a spec was constructed."""
    for call in _calls.get():
        call.made.append(spec)
