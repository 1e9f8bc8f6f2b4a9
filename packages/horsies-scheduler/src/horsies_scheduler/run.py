"""`run_scheduler`: check the app, print the banner, run a scheduler in this process (S-030, R-009)."""

import asyncio
import logging
import sys
from importlib.metadata import version
from typing import Literal

from horsies.app import Horsies
from horsies.banner import build_banner
from horsies.errors.report import ValidationReport
from horsies.process_logs import configure_logging
from horsies.scheduled_send import enabled_schedules, settle
from horsies_scheduler.options import SchedulerOptions
from horsies_scheduler.scheduler import EXIT_FAILED, Scheduler

logger = logging.getLogger("horsies.scheduler")


def run_scheduler(
    app: Horsies,
    *,
    http_port: int | None = None,
    http_host: str = "127.0.0.1",
    migrate: bool = True,
    loglevel: str = "INFO",
    log_format: Literal["text", "json"] = "text",
) -> int:
    """Run a scheduler until it is told to stop (SIGTERM, SIGINT); for a `scheduler.py` of one's own.

    Args:
        app: The application; its `AppConfig.schedule` says what to send and when.
        http_port: Port of the health and metrics endpoints; None without.
        http_host: Their address.
        migrate: Create or upgrade the schema.
        loglevel: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        log_format: `text` or `json`.

    Returns:
        The exit code: 0 stopped, 1 failure.
    """
    configure_logging(loglevel, log_format)
    return start(app, SchedulerOptions(http_port=http_port, http_host=http_host, migrate=migrate))


def start(app: Horsies, options: SchedulerOptions) -> int:
    """Check, announce, schedule; the exit code. Logging is configured by the caller."""
    app.role = "scheduler"
    config = app.config.schedule
    if config is None or not config.enabled:
        state = "has no schedule" if config is None else "has its schedule switched off (enabled=False)"
        sys.stderr.write(f"error: this app {state}; set AppConfig.schedule=ScheduleConfig(schedules=[...])\n")
        return EXIT_FAILED
    report = ValidationReport("the app")
    for error in app.check(live=False):
        report.add(error)
    if report.has_errors():
        sys.stderr.write(report.format_rust_style() + "\n")
        return EXIT_FAILED
    sends = [settle(app, schedule) for schedule in enabled_schedules(app.config)]
    banner = build_banner(
        app.config,
        role="scheduler",
        version=version("horsies-scheduler"),
        task_names=app.list_tasks(),
        app_name=type(app).__name__,
    )
    sys.stdout.write(banner + "\n")
    sys.stdout.flush()
    logger.info(
        "%d schedules enabled, %d disabled; one look every %d s",
        *(len(sends), len(config.schedules) - len(sends), config.check_interval_seconds),
    )
    return asyncio.run(Scheduler(app, config, sends, options).run())
