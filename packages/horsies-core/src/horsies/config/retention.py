"""RetentionConfig: how long finished tasks, workflows and worker samples are kept."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from horsies.config.base import ConfigModel
from horsies.durations import format_exact
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.errors.report import ValidationReport, raise_collected

STANDARD_CLASS = "standard_30d"
FOREVER_CLASS = "forever"
_STANDARD_HOURS = 30 * 24
_LONGEST_KEY = 18
_QUEUE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

type _Duration = Annotated[timedelta, Field(strict=True)]


class RetentionConfig(ConfigModel):
    """How long records are kept after their end.

    A task's retention class is fixed when it is sent; later changes here concern later sends.

    Attributes:
        terminal_record_retention_hours: for tasks of queues not named below, and for workflows; None keeps
            for ever.
        queue_retention: queue name to how long its tasks are kept, whole seconds; None keeps for ever.
        worker_state_retention_hours: for samples of worker state; None keeps for ever.
        paused_workflow_auto_cancel_after: cancel workflows paused for this long; None never does.
    """

    terminal_record_retention_hours: int | None = Field(default=720, strict=True, ge=1, le=43_800)
    queue_retention: dict[str, _Duration | None] = Field(default={})
    worker_state_retention_hours: int | None = Field(default=168, strict=True, ge=1, le=8_760)
    paused_workflow_auto_cancel_after: _Duration | None = Field(default=None, gt=timedelta(0))

    @property
    def default_class(self) -> str:
        """Retention class of tasks whose queue has no duration of its own."""
        hours = self.terminal_record_retention_hours
        if hours is None:
            return FOREVER_CLASS
        return STANDARD_CLASS if hours == _STANDARD_HOURS else f"keep_{format_exact(timedelta(hours=hours))}"

    def class_for_queue(self, queue: str) -> str:
        """Give the retention class of tasks sent to a queue without a choice of their own."""
        if queue not in self.queue_retention:
            return self.default_class
        return _class_of(queue, self.queue_retention[queue])

    def class_for_key(self, key: str | None) -> str | None:
        """Give the retention class for an explicit `retention_class_key`.

        Args:
            key: None for ever, `standard_30d`, or a key derived from this application's `queue_retention`.

        Returns:
            The class, or None when this application has no such key.
        """
        if key is None:
            return FOREVER_CLASS
        return key if key == STANDARD_CLASS or key in self._derived() else None

    def classes(self) -> dict[str, timedelta | None]:
        """Give every retention class this application can use and how long it keeps; None keeps for ever."""
        hours = self.terminal_record_retention_hours
        return {
            STANDARD_CLASS: timedelta(hours=_STANDARD_HOURS),
            FOREVER_CLASS: None,
            self.default_class: None if hours is None else timedelta(hours=hours),
            **self._derived(),
        }

    def _derived(self) -> dict[str, timedelta]:
        return {
            _class_of(queue, duration): duration
            for queue, duration in self.queue_retention.items()
            if duration is not None
        }

    @model_validator(mode="after")
    def _check_queues(self) -> Self:
        report = ValidationReport("RetentionConfig")
        for queue, duration in self.queue_retention.items():
            for message, help_text in _problems(queue, duration):
                report.add(
                    ConfigurationError(message, code=ErrorCode.CONFIG_INVALID_RETENTION, help_text=help_text)
                )
        raise_collected(report)
        return self


def _class_of(queue: str, duration: timedelta | None) -> str:
    return FOREVER_CLASS if duration is None else f"q_{queue}_{format_exact(duration)}"


def _problems(queue: str, duration: timedelta | None) -> Iterator[tuple[str, str]]:
    if not _QUEUE_NAME.fullmatch(queue):
        yield (
            f"queue_retention: {queue!r} cannot be part of a retention key",
            "a queue with a duration of its own is named with a-z, 0-9 and '_',\n"
            "begins with a letter and has at most 63 characters",
        )
    if duration is None:
        return
    if duration <= timedelta(0) or duration % timedelta(seconds=1):
        yield (
            f"queue_retention[{queue!r}] is {duration}, not a positive number of whole seconds",
            "for example timedelta(days=7); None keeps for ever",
        )
    elif len(key := _class_of(queue, duration)) > _LONGEST_KEY:
        yield (
            f"queue_retention[{queue!r}] makes the key {key!r}, which is {len(key)} characters long",
            f"at most {_LONGEST_KEY} fit; use a shorter queue name or a rounder duration (7d, 36h)",
        )
