"""TaskSendOptions: a task together with the options of `with_options`, ready to be sent."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from horsies.config.app import AppConfig
from horsies.handle import TaskHandle
from horsies.result import Err
from horsies.send_errors import TaskSendError, TaskSendResult
from horsies.send_failures import invalid, suppressed
from horsies.send_plan import OptionError, SendChoices, SendPlan, delay_seconds, plan_with
from horsies.sending import Sender
from horsies.suppression import sends_suppressed

type Delay = int | timedelta
"""Whole seconds, or a timedelta, which is rounded up to whole seconds."""


class TaskSendOptions[**P, T]:
    """Sends a task with options of the send; made by `TaskFunction.with_options`.

    An option that cannot be used comes back as `Err(VALIDATION_FAILED)` from the send.
    """

    __slots__ = ("_base", "_choices", "_config", "_plan", "_sender")

    def __init__(self, sender: Sender[T], base: SendPlan, choices: SendChoices, config: AppConfig) -> None:
        self._sender = sender
        self._base = base
        self._choices = choices
        self._config = config
        self._plan: SendPlan | TaskSendError | None = None

    def send(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskSendResult[TaskHandle[T]]:
        """As `TaskFunction.send`."""
        plan = self._planned()
        if isinstance(plan, TaskSendError):
            return Err(plan)
        return self._sender.send(plan, args, kwargs, plan.delay_s)

    async def send_async(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskSendResult[TaskHandle[T]]:
        """As `TaskFunction.send_async`."""
        plan = self._planned()
        if isinstance(plan, TaskSendError):
            return Err(plan)
        return await self._sender.send_async(plan, args, kwargs, plan.delay_s)

    def schedule(self, delay: Delay, /, *args: P.args, **kwargs: P.kwargs) -> TaskSendResult[TaskHandle[T]]:
        """As `TaskFunction.schedule`; not together with `with_options(delay=...)`."""
        delayed = self._delayed(delay)
        if isinstance(delayed, TaskSendError):
            return Err(delayed)
        plan, seconds = delayed
        return self._sender.send(plan, args, kwargs, seconds)

    async def schedule_async(
        self, delay: Delay, /, *args: P.args, **kwargs: P.kwargs
    ) -> TaskSendResult[TaskHandle[T]]:
        """As `TaskFunction.schedule_async`; not together with `with_options(delay=...)`."""
        delayed = self._delayed(delay)
        if isinstance(delayed, TaskSendError):
            return Err(delayed)
        plan, seconds = delayed
        return await self._sender.send_async(plan, args, kwargs, seconds)

    def send_many(self, items: Sequence[Mapping[str, Any]]) -> TaskSendResult[list[TaskHandle[T]]]:
        """As `TaskFunction.send_many`; the options apply to every item."""
        plan = self._planned()
        if isinstance(plan, TaskSendError):
            return Err(plan)
        return self._sender.send_many(plan, items, plan.delay_s)

    async def send_many_async(
        self, items: Sequence[Mapping[str, Any]]
    ) -> TaskSendResult[list[TaskHandle[T]]]:
        """As `TaskFunction.send_many_async`; the options apply to every item."""
        plan = self._planned()
        if isinstance(plan, TaskSendError):
            return Err(plan)
        return await self._sender.send_many_async(plan, items, plan.delay_s)

    def _planned(self) -> SendPlan | TaskSendError:
        if sends_suppressed():
            return suppressed(self._base.task_name)
        plan = self._plan
        if plan is None:
            try:
                plan = plan_with(self._base, self._choices, self._sender.task, self._config)
            except OptionError as problem:
                plan = invalid(self._base.task_name, str(problem))
            self._plan = plan
        return plan

    def _delayed(self, delay: object) -> tuple[SendPlan, int] | TaskSendError:
        plan = self._planned()
        if isinstance(plan, TaskSendError):
            return plan
        if plan.delay_s is not None:
            return invalid(plan.task_name, "delay= and schedule(...) both say when; use one of them")
        seconds = checked_delay(plan.task_name, delay)
        return seconds if isinstance(seconds, TaskSendError) else (plan, seconds)


def checked_delay(task_name: str, delay: object) -> int | TaskSendError:
    """Seconds of a `schedule` call, or the error to return; suppression goes first (E §7)."""
    if sends_suppressed():
        return suppressed(task_name)
    try:
        return delay_seconds(delay)
    except OptionError as problem:
        return invalid(task_name, str(problem))
