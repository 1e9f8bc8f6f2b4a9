"""`python -m horsies_cli.schedule_probe LOCATOR`: exit status 0 if the app has an enabled schedule.

A process of its own, so that the code of the app is never imported into `horsies dev` itself.
"""

import sys

from horsies.app import Horsies
from horsies.app_locator import load_app


def has_enabled_schedule(app: Horsies) -> bool:
    """Whether a scheduler would have something to do."""
    schedule = app.config.schedule
    return schedule is not None and schedule.enabled and any(entry.enabled for entry in schedule.schedules)


if __name__ == "__main__":
    sys.exit(0 if has_enabled_schedule(load_app(sys.argv[1])) else 10)
