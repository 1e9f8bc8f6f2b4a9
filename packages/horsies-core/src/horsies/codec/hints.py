"""Resolves a function's annotations, one by one, so that an error can name the parameter it is about."""

import inspect
from collections.abc import Callable, Mapping
from types import FrameType, FunctionType
from typing import Any, cast, get_type_hints

RETURN = "return"


class HintReader:
    """Reads the annotations of one function.

    A function inside a function may name what stands around it; such names are taken from the calls that are still
    running, so the reader has to be made while the function is being defined.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._annotations: Mapping[str, Any] = inspect.get_annotations(function)
        self._module = cast("dict[str, Any]", getattr(function, "__globals__", {}))
        self._type_parameters = getattr(function, "__type_params__", ())
        self._local = _enclosing_names(function)

    def has(self, name: str) -> bool:
        """Whether a parameter (or `"return"`) has an annotation."""
        return name in self._annotations

    def read(self, name: str) -> Any:
        """The annotation of a parameter (or `"return"`) as a type.

        Raises:
            Exception: It cannot be resolved; which kind depends on what stands there.
        """
        annotation = self._annotations[name]
        if isinstance(annotation, type) or annotation is None:
            return annotation
        return get_type_hints(_One(name, annotation, self._type_parameters), self._module, self._local, True)[
            name
        ]


class _One:
    """An object with one annotation, for `get_type_hints`."""

    def __init__(self, name: str, annotation: object, type_parameters: object) -> None:
        self.__annotations__ = {name: annotation}
        self.__type_params__ = type_parameters


def _enclosing_names(function: Callable[..., Any]) -> dict[str, Any]:
    path = getattr(function, "__qualname__", "")
    if "." not in path or not isinstance(function, FunctionType):
        return {}
    scopes: list[Mapping[str, Any]] = []
    frame: FrameType | None = inspect.currentframe()
    file = function.__code__.co_filename
    while frame is not None:
        code = frame.f_code
        if code.co_filename == file and path.startswith(f"{code.co_qualname}."):
            scopes.append(frame.f_locals)
        frame = frame.f_back
    names: dict[str, Any] = {}
    for scope in reversed(scopes):  # inner scopes hide outer ones
        names |= scope
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet, as the function's own name while it is being decorated
            continue
    return names
