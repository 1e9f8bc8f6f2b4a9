"""The terms of a cron field, and the set of numbers that a list of terms selects."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal, assert_never

from pydantic import Field, StrictInt

from horsies.schedule.fields import Domain, Month, Weekday, number_of
from horsies.schedule.parts import Integers, Many, SchedulePart


class CronEvery(SchedulePart):
    """Every value of the field."""

    kind: Literal["every"] = "every"


class CronStep(SchedulePart):
    """Every `step`-th value, counted from the first value of the field."""

    kind: Literal["step"] = "step"
    step: StrictInt

    def _problems(self) -> Iterator[str]:
        yield from _step_problems(self.step)


class CronValues(SchedulePart):
    """The listed values."""

    kind: Literal["values"] = "values"
    values: Integers

    def _problems(self) -> Iterator[str]:
        yield from _value_problems(self.values)


class CronRange(SchedulePart):
    """Every `step`-th value from `start` to `end`, both included; a range does not wrap."""

    kind: Literal["range"] = "range"
    start: StrictInt
    end: StrictInt
    step: StrictInt = 1

    def _problems(self) -> Iterator[str]:
        yield from _order_problems(self.start, self.end)
        yield from _step_problems(self.step)


class CronEnumStep[E: (Month, Weekday)](SchedulePart):
    """Every `step`-th month from January, or weekday from Monday."""

    kind: Literal["enum_step"] = "enum_step"
    step: StrictInt

    def _problems(self) -> Iterator[str]:
        yield from _step_problems(self.step)


class CronEnumValues[E: (Month, Weekday)](SchedulePart):
    """The listed months or weekdays."""

    kind: Literal["enum_values"] = "enum_values"
    values: Many[E]

    def _problems(self) -> Iterator[str]:
        yield from _value_problems(self.values)


class CronEnumRange[E: (Month, Weekday)](SchedulePart):
    """Every `step`-th month or weekday from `start` to `end`, both included; a range does not wrap."""

    kind: Literal["enum_range"] = "enum_range"
    start: E
    end: E
    step: StrictInt = 1

    def _problems(self) -> Iterator[str]:
        yield from _order_problems(self.start, self.end)
        yield from _step_problems(self.step)


type NumericTerm = Annotated[CronEvery | CronStep | CronValues | CronRange, Field(discriminator="kind")]
type MonthTerm = Annotated[
    CronEvery | CronEnumStep[Month] | CronEnumValues[Month] | CronEnumRange[Month],
    Field(discriminator="kind"),
]
type WeekdayTerm = Annotated[
    CronEvery | CronEnumStep[Weekday] | CronEnumValues[Weekday] | CronEnumRange[Weekday],
    Field(discriminator="kind"),
]
type Term = (
    CronEvery
    | CronStep
    | CronValues
    | CronRange
    | CronEnumStep[Month]
    | CronEnumValues[Month]
    | CronEnumRange[Month]
    | CronEnumStep[Weekday]
    | CronEnumValues[Weekday]
    | CronEnumRange[Weekday]
)


def selected(terms: Iterable[Term], domain: Domain) -> frozenset[int]:
    """The union of the values of all terms (S-011), as numbers of the domain."""
    return frozenset(number for term in terms for number in _numbers(term, domain))


def selects_all(terms: Iterable[Term], domain: Domain) -> bool:
    """Whether the terms leave out no value of the domain."""
    return len(selected(terms, domain)) == domain.span + 1


def field_problems(terms: Sequence[Term], domain: Domain, prefix: str = "") -> Iterator[str]:
    """Yield the problems of one field's terms (S-012), each naming the field."""
    where = prefix + domain.name
    if not terms:
        yield f"{where} is empty: give at least one term, CronEvery() for all values"
    for position, term in enumerate(terms):
        yield from _term_problems(term, f"{where}[{position}].", domain)


def _numbers(term: Term, domain: Domain) -> Iterable[int]:
    match term:
        case CronEvery():
            return range(domain.low, domain.high + 1)
        case CronStep(step=step) | CronEnumStep(step=step):
            return range(domain.low, domain.high + 1, step)
        case CronValues(values=numbers):
            return numbers
        case CronRange(start=first, end=last, step=step):
            return range(first, last + 1, step)
        case CronEnumValues(values=members):
            return [number_of(member) for member in members]
        case CronEnumRange(start=start, end=end, step=step):
            return range(number_of(start), number_of(end) + 1, step)
        case _:
            assert_never(term)


def _term_problems(term: Term, where: str, domain: Domain) -> Iterator[str]:
    match term:
        case CronEvery():
            pass
        case CronStep(step=step) | CronEnumStep(step=step):
            yield from _step_problems(step, where, domain)
        case CronValues(values=numbers):
            yield from _value_problems(numbers, where)
            for number in numbers:
                yield from _bound_problems(number, f"{where}values", domain)
        case CronEnumValues(values=members):
            yield from _value_problems(members, where)
        case CronRange(start=first, end=last, step=step):
            yield from _bound_problems(first, f"{where}start", domain)
            yield from _bound_problems(last, f"{where}end", domain)
            yield from _order_problems(first, last, where)
            yield from _step_problems(step, where, domain)
        case CronEnumRange(start=start, end=end, step=step):
            yield from _order_problems(start, end, where)
            yield from _step_problems(step, where, domain)
        case _:
            assert_never(term)


def _value_problems(values: Sequence[object], where: str = "") -> Iterator[str]:
    if not values:
        yield f"{where}values is empty: give at least one value"


def _order_problems(
    start: int | Month | Weekday, end: int | Month | Weekday, where: str = ""
) -> Iterator[str]:
    first, last = (each if isinstance(each, int) else number_of(each) for each in (start, end))
    if first > last:
        yield f"{where}start {start} is after end {end}: a range does not wrap, give two ranges"


def _step_problems(step: int, where: str = "", domain: Domain | None = None) -> Iterator[str]:
    """Check a step; a term built on its own does not know its field, and with it the widest step."""
    if step < 1:
        yield f"{where}step must be at least 1, not {step}"
    elif domain is not None and step > domain.span:
        yield f"{where}step must be at most {domain.span}, not {step}"


def _bound_problems(number: int, where: str, domain: Domain) -> Iterator[str]:
    if not domain.low <= number <= domain.high:
        yield f"{where}: {number} is outside {domain.low}-{domain.high}"
