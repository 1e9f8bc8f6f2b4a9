"""Cron text split into checked numbers; what the numbers mean as typed terms is decided in `cron_text`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.schedule.fields import DAY_OF_MONTH, HOUR, MINUTE, MONTH, MONTHS, WEEKDAYS, Domain

# In cron text a week runs from Sunday, 0, to Saturday, 6, and 7 is Sunday again.
_DAY_OF_WEEK = Domain("day_of_week", 0, 6)
_SUNDAY_AGAIN = 7
_MONTH_NAMES = {month.value[:3]: number for number, month in enumerate(MONTHS, start=1)}
_WEEKDAY_NAMES = {weekday.value[:3]: number % 7 for number, weekday in enumerate(WEEKDAYS, start=1)}
_NO_NAMES: Mapping[str, int] = {}

_ITEM = re.compile(
    r"(?:(?P<star>\*)|(?P<first>[0-9a-z]+)(?:-(?P<last>[0-9a-z]+))?)(?:/(?P<step>[0-9]+))?", re.ASCII
)
_LAST_OR_WORKING_DAY = re.compile(r"l|w|lw|l-[0-9]+|[0-9]+[lw]|(?:mon|tue|wed|thu|fri|sat|sun)l")
_SPELLED_OUT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * sun",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronTextError(ConfigurationError, ValueError):
    """Cron text that the typed terms cannot express; `reasons` has every reason."""

    def __init__(self, text: str, reasons: Sequence[str]) -> None:
        summary = reasons[0] if len(reasons) == 1 else f"{len(reasons)} problems"
        super().__init__(
            f"cannot read the cron text {text!r}: {summary}",
            code=ErrorCode.CONFIG_INVALID_SCHEDULE,
            notes=reasons if len(reasons) > 1 else (),
        )
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True)
class Item:
    """One member of a list: the numbers from `first` to `last`, every `step`-th.

    Attributes:
        star: Written as `*`, so the bounds are those of the field.
    """

    first: int
    last: int
    step: int = 1
    star: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether the item leaves the field unrestricted."""
        return self.star and self.step == 1


@dataclass(frozen=True, slots=True)
class CronItems:
    """The items of the five fields; in `day_of_week` Monday is 1 and Sunday is 7."""

    minute: list[Item]
    hour: list[Item]
    day_of_month: list[Item]
    month: list[Item]
    day_of_week: list[Item]


class _RefusedError(Exception):
    """An item cannot be read; the text says why."""


def read_cron(text: str) -> CronItems:
    """Split cron text into numbers.

    Raises:
        CronTextError: The text is not five-field cron, or holds what is no number, name, list, range or step.
    """
    fields = text.split()
    if text.lstrip().startswith("@"):
        same = _SPELLED_OUT.get(text.strip().lower())
        advice = f"write {same!r}" if same else "write the five fields out"
        raise CronTextError(text, [f"names that begin with '@' are not read, {advice}"])
    if len(fields) != 5:
        wanted = "five fields are needed: minute, hour, day of month, month, day of week"
        raise CronTextError(text, [f"{wanted} (no seconds, no years); there are {len(fields)}"])
    problems: list[str] = []
    minute, hour, day_of_month, month, day_of_week = (
        _read_field(field, domain, names, problems)
        for field, domain, names in zip(
            fields,
            (MINUTE, HOUR, DAY_OF_MONTH, MONTH, _DAY_OF_WEEK),
            (_NO_NAMES, _NO_NAMES, _NO_NAMES, _MONTH_NAMES, _WEEKDAY_NAMES),
            strict=True,
        )
    )
    if problems:
        raise CronTextError(text, problems)
    weekdays = list(chain.from_iterable(_monday_first(item) for item in day_of_week))
    return CronItems(minute, hour, day_of_month, month, weekdays)


def _read_field(text: str, domain: Domain, names: Mapping[str, int], problems: list[str]) -> list[Item]:
    items: list[Item] = []
    for item in text.lower().split(","):
        try:
            items.append(_read_item(item, domain, names))
        except _RefusedError as refused:
            problems.append(f"{domain.name}: {refused}")
    if any(item.is_everything for item in items):
        return [Item(domain.low, domain.high, star=True)]
    return items


def _read_item(text: str, domain: Domain, names: Mapping[str, int]) -> Item:
    found = _ITEM.fullmatch(text)
    if found is None or _LAST_OR_WORKING_DAY.fullmatch(text):
        raise _RefusedError(f"{text!r} {_why_unreadable(text)}")
    step = int(found["step"] or 1)
    if not 1 <= step <= domain.span:
        raise _RefusedError(f"the step of {text!r} must be 1-{domain.span}")
    if found["star"]:
        return Item(domain.low, domain.high, step, star=True)
    first = last = _read_number(found["first"], domain, names)
    if found["last"]:
        last = _read_number(found["last"], domain, names)
    elif found["step"]:
        last = domain.high
    if domain is _DAY_OF_WEEK:
        first, last = _settle_sunday(first, last)
    if first > last:
        raise _RefusedError(f"{text!r} is a range that wraps, write two ranges")
    return Item(first, last, step)


def _read_number(token: str, domain: Domain, names: Mapping[str, int]) -> int:
    number = int(token) if token.isdecimal() else names.get(token)
    if number is None:
        raise _RefusedError(f"{token!r} {_why_unreadable(token)}")
    highest = _SUNDAY_AGAIN if domain is _DAY_OF_WEEK else domain.high
    if not domain.low <= number <= highest:
        raise _RefusedError(f"{number} is outside {domain.low}-{highest}")
    return number


def _why_unreadable(text: str) -> str:
    if _LAST_OR_WORKING_DAY.fullmatch(text):
        return "is a last day (L) or nearest working day (W): no typed term says that"
    if "#" in text:
        return "is the n-th weekday of a month (#): use BothDays with that weekday and a range of seven days"
    if "?" in text:
        return "is not cron text: write '*'"
    return "is not a number, name, '*', range or step of this field"


def _settle_sunday(first: int, last: int) -> tuple[int, int]:
    """Sunday opens a range as 0 and closes it as 7, however it was written."""
    if first == 0 and last == _SUNDAY_AGAIN:
        return first, last
    if first % 7 == last % 7 == 0:
        return _SUNDAY_AGAIN, _SUNDAY_AGAIN
    return first % 7, last or _SUNDAY_AGAIN


def _monday_first(item: Item) -> Iterator[Item]:
    """The same weekdays without Sunday in front, because the typed week begins on Monday."""
    if item.is_everything:
        yield item
    elif item.first > 0:
        yield Item(item.first, item.last, item.step)
    elif item.step > 1:
        for number in range(0, item.last + 1, item.step):
            yield Item(number or _SUNDAY_AGAIN, number or _SUNDAY_AGAIN)
    elif item.last == _SUNDAY_AGAIN:
        yield Item(1, _SUNDAY_AGAIN)
    else:
        yield Item(_SUNDAY_AGAIN, _SUNDAY_AGAIN)
        yield Item(1, item.last)
