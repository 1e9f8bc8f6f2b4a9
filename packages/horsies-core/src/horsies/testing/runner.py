"""The code that runs tasks: horsies-worker's, found by its entry point, as core knows no other package."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol, cast

from horsies.app import Horsies
from horsies.definition import TaskDefinition
from horsies.errors.diagnostic import HorsiesError

ENTRY_POINT_GROUP = "horsies.testing"


class InlineRunner(Protocol):
    """A worker without processes: it runs tasks in the thread that calls it, which has no running event loop."""

    def run(self, task: TaskDefinition, kwargs: str | None) -> str:
        """Run a task once.

        Args:
            task: The task.
            kwargs: Its encoded arguments.

        Returns:
            The envelope that a worker would store.
        """
        ...

    def drain(self, app: Horsies, queues: Sequence[str] | None, timeout_s: float) -> list[str]:
        """Run what is due, and what comes of it.

        Args:
            app: The app whose tasks they are.
            queues: The queues to drain; None: all of the app.
            timeout_s: Seconds after which nothing more is begun.

        Returns:
            The ids of the tasks that were run, in the order in which they first began.

        Raises:
            TimeoutError: There was more to do after `timeout_s`.
        """
        ...


@cache
def inline_runner() -> InlineRunner:
    """The runner of the installed horsies-worker.

    Raises:
        HorsiesError: It is not installed.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP, name="runner"):
        return cast("Callable[[], InlineRunner]", point.load())()
    raise HorsiesError(
        "running tasks in a test needs the package horsies-worker",
        notes=["tasks are run by the worker's own code, so that a test shows what a worker would do"],
        help_text="pip install horsies-worker",
    )


def without_loop[T](call: Callable[[], T]) -> T:
    """The call's result; made in a thread of its own where this one has a running event loop, which then waits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(1, thread_name_prefix="horsies-testing") as thread:
        return thread.submit(call).result()
