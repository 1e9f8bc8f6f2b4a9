"""TaskSchedule and ScheduleConfig: which task runs when."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from horsies.schedule.parts import Many, SchedulePart
from horsies.schedule.patterns import SchedulePattern

# PostgreSQL text cannot hold U+0000.
type ScheduleName = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[^\x00]+$")
]


class TaskSchedule(SchedulePart):
    """One task that is sent again and again.

    Whether zone, task, queue and arguments exist is checked when the app is checked, for enabled schedules
    only (S-002, S-031).

    Attributes:
        name: Identity of the schedule in the database; keep it when other fields change.
        task_name: A registered task.
        pattern: When to send.
        args: Positional values, bound to parameter names before anything is sent.
        kwargs: Values by name.
        queue_name: Queue in CUSTOM mode; None is the queue of the task.
        enabled: False leaves the schedule out.
        timezone: IANA name of the zone whose local clock the pattern reads.
        catch_up_missed: Whether slots missed while no scheduler ran are sent later.
        max_catch_up_runs: Most slots sent in one tick when catching up.
    """

    name: ScheduleName
    task_name: str
    pattern: SchedulePattern
    args: Many[object] = ()
    kwargs: Mapping[str, object] = Field(default_factory=dict[str, object])
    queue_name: str | None = None
    enabled: StrictBool = True
    timezone: str = "UTC"
    catch_up_missed: StrictBool = False
    max_catch_up_runs: StrictInt = Field(default=100, ge=1, le=10_000)


class ScheduleConfig(SchedulePart):
    """The schedules of an app.

    Attributes:
        enabled: False keeps the scheduler from starting.
        schedules: The schedules; an empty list is valid.
        check_interval_seconds: Seconds between two looks for due schedules, 1-60.
    """

    enabled: StrictBool = True
    schedules: list[TaskSchedule] = Field(default_factory=list[TaskSchedule])
    check_interval_seconds: StrictInt = Field(default=1, ge=1, le=60)

    def _problems(self) -> Iterator[str]:
        counts = Counter(schedule.name for schedule in self.schedules)
        repeated = [name for name, count in counts.items() if count > 1]
        if repeated:
            yield f"schedules use a name more than once: {', '.join(map(repr, repeated))}"
