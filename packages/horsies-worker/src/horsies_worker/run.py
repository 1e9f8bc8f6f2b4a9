"""`run_worker`: check the app, print the banner, run a worker in this process (R-001, R-009)."""

import asyncio
import logging
import sys
from importlib.metadata import version
from typing import Literal

from horsies.app import Horsies
from horsies.app_locator import locator_of
from horsies.banner import build_banner
from horsies.process_logs import configure_logging
from horsies_worker.options import WorkerOptions
from horsies_worker.worker import EXIT_FAILED, Worker

logger = logging.getLogger("horsies.worker")


def run_worker(
    app: Horsies,
    *,
    processes: int = 1,
    queues: tuple[str, ...] | list[str] | None = None,
    concurrency: int = 10,
    executor: Literal["process", "thread"] = "process",
    max_tasks_per_child: int = 0,
    max_memory_per_child_mb: int | None = None,
    drain_timeout_s: float = 300.0,
    http_port: int | None = None,
    http_host: str = "127.0.0.1",
    migrate: bool = True,
    loglevel: str = "INFO",
    log_format: Literal["text", "json"] = "text",
) -> int:
    """Run a worker until it is told to stop (SIGTERM, SIGINT); for a `worker.py` of one's own.

    Args:
        app: the application; executors find it again by the module that holds it, so it must be a module's attribute.
        processes: executor processes.
        queues: queues served; None means all.
        concurrency: thread and async tasks at once per executor process.
        executor: kind for `def` tasks that name none.
        max_tasks_per_child: replace an executor after so many tasks; 0 never.
        max_memory_per_child_mb: replace an executor above this resident memory in MB; None never.
        drain_timeout_s: seconds that running tasks have after a stop signal; 0 without limit.
        http_port: port of the health and metrics endpoints; None without.
        http_host: their address.
        migrate: create or upgrade the schema.
        loglevel: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        log_format: `text` or `json`.

    Returns:
        The exit code: 0 drained, 1 failure, 3 ended by force.
    """
    options = WorkerOptions(
        processes=processes,
        concurrency=concurrency,
        executor=executor,
        queues=None if queues is None else tuple(queues),
        max_tasks_per_child=max_tasks_per_child,
        max_memory_per_child_mb=max_memory_per_child_mb,
        drain_timeout_s=drain_timeout_s,
        http_port=http_port,
        http_host=http_host,
        migrate=migrate,
    )
    configure_logging(loglevel, log_format)
    return start(app, locator_of(app), options, loglevel, log_format)


def start(app: Horsies, locator: str, options: WorkerOptions, loglevel: str, log_format: str) -> int:
    """Check, import, announce, work; the exit code. Logging is configured by the caller."""
    app.role = "worker"
    errors = app.check(live=False)
    if errors:
        sys.stderr.write("\n".join(error.format_rust_style() for error in errors) + "\n")
        if len(errors) > 1:
            sys.stderr.write(f"\nerror: aborting due to {len(errors)} previous errors\n")
        return EXIT_FAILED
    app.import_task_modules()
    if not app.get_discovered_task_modules() and not app.list_tasks():
        logger.warning(
            "no task is registered: name the modules that define tasks with app.discover_tasks([...])"
        )
    banner = build_banner(
        app.config,
        role="worker",
        version=version("horsies-worker"),
        task_names=app.list_tasks(),
        app_name=type(app).__name__,
    )
    sys.stdout.write(banner + "\n")
    sys.stdout.flush()
    return asyncio.run(Worker(app, locator, options, loglevel=loglevel, log_format=log_format).run())
