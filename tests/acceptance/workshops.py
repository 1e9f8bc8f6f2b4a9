"""Opens tests/acceptance/apps/workshop.py on a test's database and starts workers for it."""

import json
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.acceptance.fresh_module import fresh_module
from tests.helpers import RunningProcess, running_module

ROOT = Path(__file__).parent.parent.parent
MODULE = "tests.acceptance.apps.workshop"


@dataclass(frozen=True, slots=True)
class Workshop:
    """The app as this process has it, and how its workers are started."""

    tasks: Any
    environment: dict[str, str | None]

    @contextmanager
    def worker(self, *arguments: str, ready: str = "ready:") -> Generator[RunningProcess]:
        """A worker for the time of the block; with `ready`, from the moment it has written that."""
        with running_module(
            "horsies_worker", f"{MODULE}:app", *arguments, environment=self.environment, directory=ROOT
        ) as worker:
            if ready:
                worker.wait_for(ready, 40)
            yield worker


type OpenWorkshop = Callable[..., AbstractContextManager[Workshop]]


@contextmanager
def open_workshop(database_url: str, **settings: object) -> Generator[Workshop]:
    """The app with these fields of AppConfig, in this process and in its workers."""
    environment = {"ACCEPTANCE_DATABASE_URL": database_url, "WORKSHOP_SETTINGS": json.dumps(settings)}
    with patch.dict(os.environ, environment), fresh_module(MODULE) as tasks:
        yield Workshop(tasks, {**environment})
