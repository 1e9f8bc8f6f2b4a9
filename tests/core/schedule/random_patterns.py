"""Random schedule patterns and cron texts, drawn from a seeded generator."""

import datetime as dt
from random import Random

from horsies.schedule import (
    BothDays,
    ByMonthDay,
    ByWeekday,
    CronEnumRange,
    CronEnumStep,
    CronEnumValues,
    CronEvery,
    CronRange,
    CronSchedule,
    CronStep,
    CronValues,
    DailySchedule,
    EitherDay,
    EveryDay,
    HourlySchedule,
    Month,
    MonthlySchedule,
    Weekday,
    WeeklySchedule,
)
from horsies.schedule.cron_terms import MonthTerm, NumericTerm, WeekdayTerm
from horsies.schedule.day_selectors import AnyDaySelector
from horsies.schedule.patterns import LocalPattern

MONTHS, WEEKDAYS = list(Month), list(Weekday)


def pattern_near(random: Random, wall: dt.datetime) -> LocalPattern:
    """A random pattern that has a good chance to occur at a local reading and close to it."""
    time = wall.time().replace(second=random.choice([0, random.randrange(60)]), microsecond=0)
    weekdays = random.sample(WEEKDAYS, random.randint(0, 3))
    weekdays = sorted({WEEKDAYS[wall.weekday()], *weekdays}, key=WEEKDAYS.index)
    match random.randrange(8):
        case 0:
            return HourlySchedule(
                minute=random.choice([wall.minute, random.randrange(60)]), second=time.second
            )
        case 1:
            return DailySchedule(time=time)
        case 2:
            return WeeklySchedule(days=weekdays, time=time)
        case 3:
            return MonthlySchedule(day=wall.day, time=time)
        case _:
            return CronSchedule(
                minute=numeric_terms(random, 0, 59, wall.minute),
                hour=_hours(random, wall.hour),
                month=random.choice([[CronEvery()], month_terms(random, wall.month)]),
                day=_day_selector(random, wall),
            )


def cron_schedule(random: Random) -> CronSchedule:
    """A random cron schedule; each of its days exists in January."""
    wall = dt.datetime(2024, 1, 1) + dt.timedelta(minutes=random.randrange(31 * 1440))
    return CronSchedule(
        minute=numeric_terms(random, 0, 59, wall.minute),
        hour=_hours(random, wall.hour),
        month=random.choice([[CronEvery()], month_terms(random, 1)]),
        day=_day_selector(random, wall),
    )


def numeric_terms(random: Random, low: int, high: int, wanted: int) -> list[NumericTerm]:
    """One to three terms, the first of which selects `wanted`."""
    others = [random.randint(low, high) for _ in range(random.choice([0, 0, 1, 2]))]
    return [_numeric_term(random, low, high, value) for value in (wanted, *others)]


def month_terms(random: Random, wanted: int) -> list[MonthTerm]:
    """One or two terms, the first of which selects the month with this number."""
    terms: list[MonthTerm] = []
    for month in [wanted, random.randint(1, 12)][: random.randint(1, 2)]:
        start = random.randint(1, month)
        candidates: list[MonthTerm] = [
            CronEnumValues[Month](values=[MONTHS[month - 1], random.choice(MONTHS)]),
            CronEnumRange[Month](
                start=MONTHS[start - 1],
                end=MONTHS[random.randint(month, 12) - 1],
                step=_step(random, month - start, 11),
            ),
            CronEnumStep[Month](step=_step(random, month - 1, 11)),
        ]
        terms.append(random.choice(candidates))
    return terms


def weekday_terms(random: Random, wanted: int) -> list[WeekdayTerm]:
    """One or two terms, the first of which selects the weekday with this number (Monday is 0)."""
    terms: list[WeekdayTerm] = []
    for weekday in [wanted, random.randrange(7)][: random.randint(1, 2)]:
        start = random.randint(0, weekday)
        candidates: list[WeekdayTerm] = [
            CronEnumValues[Weekday](values=[WEEKDAYS[weekday], random.choice(WEEKDAYS)]),
            CronEnumRange[Weekday](
                start=WEEKDAYS[start],
                end=WEEKDAYS[random.randint(weekday, 6)],
                step=_step(random, weekday - start, 6),
            ),
            CronEnumStep[Weekday](step=_step(random, weekday, 6)),
        ]
        terms.append(random.choice(candidates))
    return terms


def cron_text(random: Random) -> str:
    """Random cron text on which all cron programs agree.

    They differ on ranges of one value, and on day fields that name all their values other than by `*`.
    """
    days = _field_text(random, 1, 31) if random.random() < 0.5 else "*"
    weekdays = random.choice(
        ["*", "*", "1-5", "mon-fri", "sat,sun", "0", "7", "2-6/2", "sun,3", "5-7", "*/2"]
    )
    month = random.choice(["*", "*", "jan-mar", "2-12/3", "dec", "*/2", "1,4,7,10", "feb"])
    if month == "feb":
        days = "*" if days == "*" else f"{days},1"
    return f"{_field_text(random, 0, 59)} {_field_text(random, 0, 23)} {days} {month} {weekdays}"


def _field_text(random: Random, low: int, high: int) -> str:
    items: list[str] = []
    for _ in range(random.choice([1, 1, 2, 3])):
        first = random.randint(low, high - 1)
        last = random.randint(first + 1, high)
        step = random.randint(2, high - low)
        items.append(
            random.choice(
                [str(first), f"{first}-{last}", f"{first}-{last}/{step}", f"{first}/{step}", f"*/{step}"]
            )
        )
    return random.choice(["*", ",".join(items), ",".join(items)])


def _numeric_term(random: Random, low: int, high: int, wanted: int) -> NumericTerm:
    start = random.randint(low, wanted)
    match random.randrange(4):
        case 0:
            return CronEvery()
        case 1:
            return CronStep(step=_step(random, wanted - low, high - low))
        case 2:
            return CronValues(
                values=[wanted, *(random.randint(low, high) for _ in range(random.randrange(3)))]
            )
        case _:
            step = _step(random, wanted - start, high - low)
            return CronRange(start=start, end=random.randint(wanted, high), step=step)


def _step(random: Random, distance: int, span: int) -> int:
    """A step with which something this far from the start is selected."""
    return random.choice([step for step in range(1, span + 1) if distance % step == 0])


def _hours(random: Random, wanted: int) -> list[NumericTerm]:
    everything: list[NumericTerm] = [CronRange(start=0, end=11), CronRange(start=11, end=23)]
    only: list[NumericTerm] = [CronValues(values=[wanted])]
    return random.choice([numeric_terms(random, 0, 23, wanted), everything, only])


def _day_selector(random: Random, wall: dt.datetime) -> AnyDaySelector:
    numbers = numeric_terms(random, 1, 31, wall.day)
    weekdays = weekday_terms(random, wall.weekday())
    selectors: list[AnyDaySelector] = [
        EveryDay(),
        ByMonthDay(day_of_month=numbers),
        ByWeekday(day_of_week=weekdays),
        EitherDay(day_of_month=numbers, day_of_week=weekdays),
        BothDays(day_of_month=numbers, day_of_week=weekdays),
    ]
    return random.choice(selectors)
