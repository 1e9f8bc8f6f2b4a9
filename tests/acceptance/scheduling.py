"""Real schedulers for the app of tests.acceptance.apps.scheduled."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.helpers import RunningProcess, running_module

ROOT = Path(__file__).parent.parent.parent
APP = "tests.acceptance.apps.scheduled:app"


def beats(number: int, *, seconds: int = 1, catch_up: bool = True, start: int = 0) -> list[dict[str, Any]]:
    """Interval schedules, each with a number of its own as the argument of its task."""
    return [
        {
            "name": f"beat {n}",
            "task_name": "beat",
            "kwargs": {"n": n},
            "pattern": {"type": "interval", "seconds": seconds},
            "catch_up_missed": catch_up,
        }
        for n in range(start, start + number)
    ]


def environment(url: str, schedules: Sequence[dict[str, Any]] | None, **settings: Any) -> dict[str, str]:
    """What a scheduler process needs; without schedules the app has none configured."""
    found = {"ACCEPTANCE_DATABASE_URL": url}
    if schedules is not None:
        found["ACCEPTANCE_SCHEDULE"] = json.dumps({"schedules": list(schedules), **settings})
    return found


def scheduler(
    url: str, schedules: Sequence[dict[str, Any]], *arguments: str, **settings: Any
) -> AbstractContextManager[RunningProcess]:
    """A scheduler process for the time of the block."""
    return running_module(
        "horsies_scheduler",
        APP,
        *arguments,
        environment=environment(url, schedules, **settings),
        directory=ROOT,
    )
