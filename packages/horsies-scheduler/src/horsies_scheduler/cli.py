"""The command `horsies scheduler`, also `horsies-scheduler` and `python -m horsies_scheduler`: defined here once."""

import sys
from typing import Annotated

import typer

from horsies.app_locator import load_app, locator_argument
from horsies.errors.diagnostic import HorsiesError
from horsies.process_logs import LogFormat, LogLevel, configure_logging
from horsies.suppression import suppress_sends
from horsies_scheduler.options import SchedulerOptions
from horsies_scheduler.run import start


def scheduler(
    module: Annotated[
        str | None, typer.Argument(help="The app: `package.module:attribute` or `path/file.py:attribute`.")
    ] = None,
    module_option: Annotated[
        str | None, typer.Option("--module", "-m", help="The same as an option.")
    ] = None,
    http_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the health and metrics endpoints.")
    ] = None,
    http_host: Annotated[str, typer.Option(help="Address of the endpoints.")] = "127.0.0.1",
    no_migrate: Annotated[
        bool, typer.Option("--no-migrate", help="Do not create or upgrade the schema.")
    ] = False,
    loglevel: Annotated[LogLevel, typer.Option(case_sensitive=False, help="What is logged.")] = LogLevel.INFO,
    log_format: Annotated[
        LogFormat, typer.Option(help="Log lines for people or for programs.")
    ] = LogFormat.TEXT,
) -> None:
    """Enqueue the tasks of an app's schedule, each slot exactly once.

    Any number may run: one leads, the others stand by and take over within seconds.

    \b
    Examples:
      horsies scheduler instance:app
      horsies scheduler shop/jobs.py:app --http-port 9100 --log-format json

    Stops on SIGTERM or Ctrl+C once the slot in progress is written.
    """  # noqa: D301 - click's mark for lines that are not to be wrapped
    configure_logging(loglevel.value, log_format.value)
    try:
        with suppress_sends():
            app = load_app(locator_argument(module, module_option))
        code = start(app, SchedulerOptions(http_port=http_port, http_host=http_host, migrate=not no_migrate))
    except HorsiesError as error:
        sys.stderr.write(error.format_rust_style() + "\n")
        code = 1
    raise typer.Exit(code)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(name="scheduler")(scheduler)


def main() -> None:
    """Console script."""
    app(prog_name="horsies-scheduler")
