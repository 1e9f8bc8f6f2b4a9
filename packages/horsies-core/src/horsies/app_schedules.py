"""The app's calls about schedules: those of its broker, with the app's own configuration at hand."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from horsies.config.app import AppConfig
from horsies.ops.schedules import row_of
from horsies.schedule.due import config_hash
from horsies.schedule.models import TaskSchedule
from horsies.schedule_actions import Configured, ScheduleCalls
from horsies.scheduled_send import enabled_schedules
from horsies.task import TaskFunction


class AppSchedules(ScheduleCalls):
    """Mixed into `Horsies`: a schedule of its configuration is known even if no scheduler has run with it yet."""

    config: AppConfig

    @property
    @abstractmethod
    def tasks(self) -> Mapping[str, TaskFunction[..., Any]]:
        """The registered tasks by name."""

    def configured_schedule(self, name: str) -> Configured:
        """What the app's configuration says of an enabled schedule."""
        found = next((each for each in enabled_schedules(self.config) if each.name == name), None)
        if found is None:
            return None
        return row_of(found, self._queue_of(found), config_hash(found.pattern, found.timezone)), found.pattern

    def _queue_of(self, schedule: TaskSchedule) -> str | None:
        task = self.tasks.get(schedule.task_name)
        return schedule.queue_name or (None if task is None else task.definition.queue_name)
