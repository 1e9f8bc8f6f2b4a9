"""Reads a task function's parameters and result type, and refuses what cannot travel."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter as Kind
from typing import Any, Never, get_args, get_origin

from horsies.codec.hints import RETURN, HintReader
from horsies.codec.injected import CONTEXT_PARAMETER, META_PARAMETER
from horsies.codec.problems import type_name
from horsies.codec.rules import TypeRules
from horsies.codec.structure import TypeProblem, is_union, unwrap
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import SourceLocation, TaskDefinitionError
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.context import WorkflowContext, WorkflowMeta

_ENGINE_PARAMETERS = {CONTEXT_PARAMETER: WorkflowContext, META_PARAMETER: WorkflowMeta}
_RESULT_HELP = "declare -> TaskResult[X, TaskError], with the type of the success value as X"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a task.

    Attributes:
        name: Its name, under which the argument travels.
        annotation: Its declared type, resolved.
        required: It has no default.
        injected: The workflow engine fills it in; a producer may not.
        taskresult_of: For a parameter that takes another task's result, the type of that result's success value.
        positional: A caller may give it by position.
    """

    name: str
    annotation: Any
    required: bool
    injected: bool
    taskresult_of: Any
    positional: bool


@dataclass(frozen=True, slots=True)
class ReadSignature:
    """What a task function declares.

    Attributes:
        parameters: Its parameters in order.
        ok_type: The type of its success value; `type(None)` for `None`.
        needs_build: Only building the codec shows whether every type can travel.
        inspected: The function's own signature.
    """

    parameters: tuple[Parameter, ...]
    ok_type: Any
    needs_build: bool
    inspected: inspect.Signature


def read_declaration(function: Callable[..., Any], task_name: str, *, keyword_only: bool) -> ReadSignature:
    """Read and check what a task function declares.

    Args:
        function: The undecorated function.
        task_name: The task's name, for messages.
        keyword_only: Whether parameters that can be given by position are refused.

    Raises:
        TaskDefinitionError: The declaration cannot work as a task.
    """
    return _Reader(function, task_name).read(keyword_only)


class _Reader:
    def __init__(self, function: Callable[..., Any], task_name: str) -> None:
        self._function = function
        self._task_name = task_name
        self._hints = HintReader(function)
        self._rules = TypeRules()

    def read(self, keyword_only: bool) -> ReadSignature:
        if hasattr(self._function, "__wrapped__"):
            self._fail(
                ErrorCode.TASK_PREDECORATED_NOT_SUPPORTED,
                "the function is already wrapped by another decorator",
                "make @app.task the innermost decorator, or do the other's work inside the function",
            )
        result = self._read_result()
        inspected = inspect.signature(self._function)
        parameters = tuple(self._read_parameter(item, keyword_only) for item in inspected.parameters.values())
        self._check(result, "result")
        return ReadSignature(parameters, result, self._rules.needs_build, inspected)

    def _read_result(self) -> Any:
        if not self._hints.has(RETURN):
            self._fail(ErrorCode.TASK_NO_RETURN_TYPE, "the function has no return annotation", _RESULT_HELP)
        declared = self._unwrap(self._resolve(RETURN, "result"), "result")
        arguments = get_args(declared)
        if get_origin(declared) is not TaskResult or len(arguments) != 2:
            self._fail(
                ErrorCode.TASK_INVALID_RETURN_TYPE,
                f"the return type is {type_name(declared)}, not TaskResult[X, TaskError]",
                _RESULT_HELP,
            )
        ok_type, error_type = arguments
        self._check_error_slot(error_type, "result")
        return type(None) if ok_type is None else ok_type

    def _read_parameter(self, item: inspect.Parameter, keyword_only: bool) -> Parameter:
        place = f"parameter {item.name!r}"
        self._check_kind(item, place, keyword_only)
        if not self._hints.has(item.name):
            self._refuse(place, "has no annotation", "annotate it with the type of the argument")
        declared = self._resolve(item.name, place)
        injected, taskresult_of = self._read_injection(item.name, declared, place)
        if not injected:
            self._check(declared, place)
        return Parameter(
            name=item.name,
            annotation=declared,
            required=item.default is Kind.empty,
            injected=injected,
            taskresult_of=taskresult_of,
            positional=item.kind is Kind.POSITIONAL_OR_KEYWORD,
        )

    def _check_kind(self, item: inspect.Parameter, place: str, keyword_only: bool) -> None:
        if item.kind in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD):
            stars = "*" if item.kind is Kind.VAR_POSITIONAL else "**"
            self._refuse(
                place,
                f"is {stars}{item.name}, and arguments travel by declared names only",
                "declare each parameter, or one list or dict that holds them",
            )
        if item.kind is Kind.POSITIONAL_ONLY:
            self._refuse(
                place, "is positional-only, and arguments travel by name", "remove the / from the signature"
            )
        if keyword_only and item.kind is Kind.POSITIONAL_OR_KEYWORD:
            self._refuse(
                place,
                "can be given by position, which keyword_only_tasks=True forbids",
                f"put a bare * before it: def {self._function.__name__}(*, {item.name}: …)",
            )

    def _read_injection(self, name: str, declared: Any, place: str) -> tuple[bool, Any]:
        inner = self._without_none(declared, place)
        expected = _ENGINE_PARAMETERS.get(name)
        if expected is not None:
            if inner is not expected:
                kind = expected.__name__
                self._refuse(
                    place,
                    f"has the type {type_name(declared)}, but the name is kept for the workflow engine's {kind}",
                    f"declare {name}: {kind} | None, or choose another name",
                )
            return True, None
        if (get_origin(inner) or inner) is not TaskResult:
            return False, None
        arguments = get_args(inner)
        if len(arguments) != 2:
            self._refuse(
                place, "is a TaskResult without its two types", "declare it as TaskResult[X, TaskError]"
            )
        self._check_error_slot(arguments[1], place)
        self._check(arguments[0], place)
        return True, type(None) if arguments[0] is None else arguments[0]

    def _without_none(self, declared: Any, place: str) -> Any:
        bare = self._unwrap(declared, place)
        if is_union(bare):
            members = [member for member in get_args(bare) if member is not type(None)]
            if len(members) == 1 and len(get_args(bare)) == 2:
                return self._unwrap(members[0], place)
        return bare

    def _check_error_slot(self, error_type: Any, place: str) -> None:
        if self._unwrap(error_type, place) is not TaskError:
            self._refuse(
                place,
                f"has {type_name(error_type)} as the second type of TaskResult, which is always TaskError",
                "put your own error code and data into a TaskError",
            )

    def _check(self, declared: Any, place: str) -> None:
        try:
            self._rules.check(declared)
        except TypeProblem as problem:
            self._refuse_type(problem, declared, place)

    def _unwrap(self, declared: Any, place: str) -> Any:
        try:
            return unwrap(declared)[0]
        except TypeProblem as problem:
            self._refuse_type(problem, declared, place)

    def _resolve(self, name: str, place: str) -> Any:
        try:
            return self._hints.read(name)
        except Exception as error:  # whatever evaluating the user's text raises
            self._refuse(
                place,
                f"has an annotation that cannot be resolved: {type(error).__name__}: {error}",
                "import the name where the task is defined, outside of `if TYPE_CHECKING`",
            )

    def _refuse_type(self, problem: TypeProblem, declared: Any, place: str) -> Never:
        offending = type_name(problem.type)
        where = f"{place} ({', '.join(problem.place)})" if problem.place else place
        note = (
            () if offending == type_name(declared) else (f"the {place} is declared as {type_name(declared)}",)
        )
        self._refuse(
            where, f"has the type {offending}, which cannot travel: {problem.reason}", problem.fix, *note
        )

    def _refuse(self, place: str, reason: str, fix: str, *notes: str) -> Never:
        self._fail(ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION, f"{place} {reason}", fix, *notes)

    def _fail(self, code: ErrorCode, reason: str, fix: str, *notes: str) -> Never:
        raise TaskDefinitionError(
            f"task {self._task_name!r}: {reason}",
            code=code,
            location=SourceLocation.from_function(self._function),
            notes=notes,
            help_text=fix,
        )
