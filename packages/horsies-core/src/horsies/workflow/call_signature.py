"""What a node's user code takes: the parameters of its task, or of its child definition's `build_with`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter as Kind
from types import MappingProxyType
from typing import Any, cast

from horsies.codec.hints import HintReader
from horsies.codec.parameters import Parameter
from horsies.codec.signature import TaskSignature
from horsies.workflow.type_fit import UNKNOWN, result_type


@dataclass(frozen=True, slots=True)
class CallSignature:
    """Parameters by name.

    Attributes:
        parameters: Those that can be named.
        takes_anything: Names without a parameter are taken too (`**kwargs`).
        unresolved: Complaints about annotations that cannot be read.
    """

    parameters: Mapping[str, Parameter]
    takes_anything: bool = False
    unresolved: tuple[str, ...] = ()

    def is_required(self, name: str) -> bool:
        """Whether a parameter of that name exists and has no default."""
        parameter = self.parameters.get(name)
        return parameter is not None and parameter.required


NO_PARAMETERS = CallSignature(MappingProxyType({}))


def signature_of_task(signature: TaskSignature) -> CallSignature:
    """The parameters of a task."""
    return CallSignature({parameter.name: parameter for parameter in signature.parameters})


class BuildSignature:
    """The parameters of a `build_with`, read when they are first needed.

    It has to be made while the class is being defined, so that annotations may name what stands around it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Keep a function's parameters.

        Args:
            function: The function below the `classmethod`; its first two parameters are `cls` and `app`.
        """
        self._parameters = list(inspect.signature(function).parameters.values())
        self._hints = HintReader(function)
        self._call: CallSignature | None = None

    @property
    def required(self) -> list[str]:
        """The parameters without a default."""
        return [name for name, parameter in self.call.parameters.items() if parameter.required]

    @property
    def call(self) -> CallSignature:
        """The parameters behind `app`."""
        if self._call is None:
            self._call = self._read()
        return self._call

    def _read(self) -> CallSignature:
        unresolved: list[str] = []
        named: dict[str, Parameter] = {}
        for item in self._parameters[2:]:
            if item.kind in (Kind.POSITIONAL_OR_KEYWORD, Kind.KEYWORD_ONLY):
                named[item.name] = self._read_parameter(item, unresolved)
        takes_anything = any(item.kind is Kind.VAR_KEYWORD for item in self._parameters)
        return CallSignature(named, takes_anything, tuple(unresolved))

    def _read_parameter(self, item: inspect.Parameter, unresolved: list[str]) -> Parameter:
        annotation: Any = Any
        if self._hints.has(item.name):
            try:
                annotation = self._hints.read(item.name)
            except Exception as error:  # whatever evaluating the user's text raises
                unresolved.append(f"the annotation of {item.name!r}: {type(error).__name__}: {error}")
        result = result_type(annotation)
        return Parameter(
            name=item.name,
            annotation=annotation,
            required=item.default is Kind.empty,
            injected=result is not UNKNOWN,
            taskresult_of=None if result is UNKNOWN else result,
            positional=item.kind is Kind.POSITIONAL_OR_KEYWORD,
        )


def build_with_problem(member: object) -> str | None:
    """Tell what is wrong with an override of `build_with`; `None` when it can be called as the library does.

    Args:
        member: What stands under the name `build_with` in the class's own body.
    """
    if not isinstance(member, classmethod):
        return "is not a classmethod"
    function: object = cast("Any", member).__func__
    if not inspect.isfunction(function):
        return "is not a plain function below @classmethod"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "is async; it has to return the spec itself"
    parameters = list(inspect.signature(function).parameters.values())
    by_position = (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD)
    app = parameters[1] if len(parameters) > 1 else None
    if app is None or app.name != "app" or app.kind not in by_position:
        return "does not take app as its first parameter"
    hidden = [item.name for item in parameters[2:] if item.kind is Kind.POSITIONAL_ONLY]
    if hidden:
        return f"has the positional-only parameter {hidden[0]!r}, and parameters are passed by name"
    return None
