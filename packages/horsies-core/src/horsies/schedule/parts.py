"""Base of all schedule models: what pydantic does not check is reported together, as HRS-205."""

from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    StrictInt,
    model_validator,
)

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.errors.report import ValidationReport, raise_collected

# Lists are kept as tuples, so that schedules are hashable and cannot change after they were checked.
type Many[T] = Annotated[Sequence[T], AfterValidator(tuple)]
type Integers = Many[StrictInt]

_inside_another: ContextVar[bool] = ContextVar("_inside_another", default=False)


class SchedulePart(BaseModel):
    """An immutable piece of a schedule.

    A piece read from JSON as part of another one stays silent: the outermost piece reports the
    problems of the whole, each with the path of its field.
    """

    # Building the validators costs more than importing the module; an app without schedules never needs them.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="wrap")
    @classmethod
    def _report_problems(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if _inside_another.get():
            return handler(data)
        token = _inside_another.set(True)
        try:
            part = handler(data)
        finally:
            _inside_another.reset(token)
        raise_problems(cls.__name__, part._problems())
        return part

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong, each text beginning with the name of the field."""
        yield from ()


def raise_problems(owner: str, problems: Iterable[str]) -> None:
    """Raise every problem as HRS-205, two or more of them together.

    Args:
        owner: What the problems belong to, the first words of each message.
        problems: One text per problem.

    Raises:
        ConfigurationError: There is one problem.
        MultipleValidationErrors: There are several.
    """
    report = ValidationReport("schedules")
    for problem in problems:
        report.add(ConfigurationError(f"{owner}: {problem}", code=ErrorCode.CONFIG_INVALID_SCHEDULE))
    raise_collected(report)
