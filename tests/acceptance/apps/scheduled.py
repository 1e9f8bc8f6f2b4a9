"""An app whose schedules come from the environment, as JSON; the acceptance tests run schedulers for it."""

import json
import os

from horsies import (
    AppConfig,
    Horsies,
    PostgresConfig,
    ScheduleConfig,
    TaskError,
    TaskResult,
    TaskSchedule,
    WorkerResilienceConfig,
)

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
SCHEDULE = os.environ.get("ACCEPTANCE_SCHEDULE")


def _schedule() -> ScheduleConfig | None:
    if SCHEDULE is None:
        return None
    settings = json.loads(SCHEDULE)
    schedules = [TaskSchedule.model_validate(each) for each in settings.pop("schedules")]
    return ScheduleConfig(schedules=schedules, **settings)


app = Horsies(
    AppConfig(
        broker=PostgresConfig(database_url=URL),
        resilience=WorkerResilienceConfig(
            db_retry_initial_ms=100,
            db_retry_max_ms=500,
            db_retry_max_attempts=int(os.environ.get("ACCEPTANCE_ATTEMPTS", "0")),
        ),
        schedule=_schedule(),
    )
)


@app.task("beat")
def beat(n: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=n)
