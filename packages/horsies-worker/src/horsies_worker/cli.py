"""The command `horsies worker`, also `horsies-worker` and `python -m horsies_worker`: defined here once."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from horsies.app_locator import load_app, locator_argument
from horsies.errors.diagnostic import HorsiesError
from horsies.process_logs import LogFormat, LogLevel, configure_logging
from horsies.suppression import suppress_sends
from horsies_worker.options import WorkerOptions
from horsies_worker.run import start


class DefaultExecutor(StrEnum):
    """Where `def` tasks run that do not say."""

    process = "process"
    thread = "thread"


ModuleArgument = Annotated[
    str | None, typer.Argument(help="The app: `package.module:attribute` or `path/file.py:attribute`.")
]
ModuleOption = Annotated[str | None, typer.Option("--module", "-m", help="The same as an option.")]
ProcessesOption = Annotated[int, typer.Option(min=1, help="Executor processes.")]
ConcurrencyOption = Annotated[
    int, typer.Option(min=1, help="Thread and async tasks at once per executor process.")
]
ExecutorOption = Annotated[DefaultExecutor, typer.Option(help="Where `def` tasks run that do not say.")]
QueuesOption = Annotated[str | None, typer.Option(help="Queues to serve, separated by commas; default: all.")]
MaxTasksPerChildOption = Annotated[
    int, typer.Option(min=0, help="Replace an executor after so many tasks; 0: never.")
]
MaxMemoryPerChildMbOption = Annotated[
    int | None, typer.Option(min=1, help="Replace an executor above this memory in MB.")
]
DrainTimeoutOption = Annotated[
    float, typer.Option(min=0, help="Seconds running tasks have after a stop signal; 0: no limit.")
]
HttpPortOption = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port of the health and metrics endpoints.")
]
HttpHostOption = Annotated[str, typer.Option(help="Address of the endpoints.")]
NoMigrateOption = Annotated[bool, typer.Option("--no-migrate", help="Do not create or upgrade the schema.")]
LoglevelOption = Annotated[LogLevel, typer.Option(case_sensitive=False, help="What is logged.")]
LogFormatOption = Annotated[LogFormat, typer.Option(help="Log lines for people or for programs.")]


def worker(
    module: ModuleArgument = None,
    module_option: ModuleOption = None,
    processes: ProcessesOption = 1,
    concurrency: ConcurrencyOption = 10,
    executor: ExecutorOption = DefaultExecutor.process,
    queues: QueuesOption = None,
    max_tasks_per_child: MaxTasksPerChildOption = 0,
    max_memory_per_child_mb: MaxMemoryPerChildMbOption = None,
    drain_timeout: DrainTimeoutOption = 300,
    http_port: HttpPortOption = None,
    http_host: HttpHostOption = "127.0.0.1",
    no_migrate: NoMigrateOption = False,
    loglevel: LoglevelOption = LogLevel.INFO,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Claim and run the tasks of an app.

    \b
    Examples:
      horsies worker instance:app --processes 8
      horsies worker shop/jobs.py:app --queues mail,bulk --loglevel DEBUG

    Stops on SIGTERM or Ctrl+C once running tasks have ended; a second signal ends them by force.
    """  # noqa: D301 - click's mark for lines that are not to be wrapped
    configure_logging(loglevel.value, log_format.value)
    try:
        locator = locator_argument(module, module_option)
        with suppress_sends():
            app = load_app(locator)
        options = WorkerOptions(
            processes=processes,
            concurrency=concurrency,
            executor=executor.value,
            queues=None if queues is None else tuple(name.strip() for name in queues.split(",")),
            max_tasks_per_child=max_tasks_per_child,
            max_memory_per_child_mb=max_memory_per_child_mb,
            drain_timeout_s=drain_timeout,
            http_port=http_port,
            http_host=http_host,
            migrate=not no_migrate,
        )
        code = start(app, locator, options, loglevel.value, log_format.value)
    except HorsiesError as error:
        sys.stderr.write(error.format_rust_style() + "\n")
        code = 1
    raise typer.Exit(code)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(name="worker")(worker)


def main() -> None:
    """Console script."""
    app(prog_name="horsies-worker")
