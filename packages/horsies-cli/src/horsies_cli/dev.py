"""`horsies dev`: an app with everything it needs, in one terminal (09 §7)."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from horsies.app_locator import locator_argument
from horsies.process_logs import LogLevel
from horsies_cli.console import PrefixedConsole
from horsies_cli.session import DevOptions, DevSession, RefusedError

DEFAULT_DATA_DIRECTORY = Path(".horsies/pg")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: horsies dev shop.app:app --reload")
def dev(
    module: Annotated[
        str | None, typer.Argument(help="The app: package.module:app or dir/file.py:app.")
    ] = None,
    module_option: Annotated[
        str | None, typer.Option("--module", "-m", help="The same as an option.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Executor processes of the worker.")] = 2,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Thread and async tasks at once.")] = None,
    data_dir: Annotated[Path, typer.Option(help="Where the database lives.")] = DEFAULT_DATA_DIRECTORY,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="A database that is removed at the end.")
    ] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the database.")] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when a .py file changes.")] = False,
    no_scheduler: Annotated[bool, typer.Option("--no-scheduler", help="Run no scheduler.")] = False,
    loglevel: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="Of worker and scheduler.")
    ] = LogLevel.INFO,
) -> None:
    """Run an app with a private PostgreSQL: database, worker and, if it has a schedule, scheduler.

    The app's own database is never contacted. Ctrl+C stops everything in order.
    """
    options = DevOptions(
        locator=locator_argument(module, module_option),
        processes=processes,
        concurrency=concurrency,
        data_directory=None if ephemeral else data_dir.absolute(),
        port=port,
        reload=reload,
        scheduler=not no_scheduler,
        loglevel=loglevel.value,
    )
    try:
        status = DevSession(options, PrefixedConsole()).run()
    except RefusedError as error:
        sys.stderr.write(f"error: {error}\n")
        status = 1
    raise typer.Exit(status)
