"""`horsies check`: look for mistakes in an app before it runs (09 §4)."""

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from horsies.app_checks import Findings, inspect_app
from horsies.app_locator import load_app, locator_argument
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.errors.report import ValidationReport
from horsies.process_logs import LogFormat, LogLevel, configure_logging
from horsies.suppression import suppress_sends
from horsies_cli.colour import wants_colour
from horsies_cli.output import write_data, write_failure

_LOADING = "the app's module"
_NO_TASKS = "no task is registered: name the modules that define tasks with app.discover_tasks([...])"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: horsies check instance:app --live")
def check(
    module: Annotated[
        str | None, typer.Argument(help="The app: `package.module:attribute` or `path/file.py:attribute`.")
    ] = None,
    module_option: Annotated[
        str | None, typer.Option("--module", "-m", help="The same as an option.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the database too; changes nothing there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document for programs.")] = False,
    loglevel: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="What is logged.")
    ] = LogLevel.WARNING,
) -> None:
    """Look for mistakes in an app: configuration, task modules, workflows, schedules.

    Imports what a worker would import, builds every workflow, sends nothing. The steps go in this order; all mistakes
    of the first step that finds any are shown.
    """
    configure_logging(loglevel, LogFormat.TEXT)
    # The app's modules may print; standard output is for the answer.
    with redirect_stdout(sys.stderr):
        names, found = _inspect(module, module_option, live)
    if as_json:
        _answer(names, found)
    else:
        _show(names, found)
    if found.errors:
        raise typer.Exit(1)


def _inspect(module: str | None, option: str | None, live: bool) -> tuple[list[str], Findings]:
    """The names of the app's tasks, and what was found; an app that cannot be loaded is found too."""
    try:
        with suppress_sends():
            target = load_app(locator_argument(module, option))
    except HorsiesError as error:
        report = ValidationReport(_LOADING)
        report.add(error)
        return [], Findings(_LOADING, report.errors)
    found = inspect_app(target, live=live)
    names = target.list_tasks()
    if not names and not found.errors:
        found.warnings.append(_NO_TASKS)
    return names, found


def _show(names: list[str], found: Findings) -> None:
    for warning in found.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    if not found.errors:
        sys.stdout.write(f"ok: all validations passed\n  {len(names)} task(s) registered\n")
        return
    colours = wants_colour(sys.stderr)
    if len(found.errors) == 1:
        text = found.errors[0].format_rust_style(colours)
    else:
        report = ValidationReport(found.phase)
        report.errors = found.errors
        text = report.format_rust_style(colours)
    sys.stderr.write(f"{text}\n")
    if found.phase != _LOADING:
        sys.stderr.write(f"\nfound while checking: {found.phase}; what comes after that was not checked\n")


def _answer(names: list[str], found: Findings) -> None:
    if not found.errors:
        write_data({"tasks": names, "warnings": found.warnings})
        return
    first, number = found.errors[0], len(found.errors)
    write_failure(
        None if first.code is None else first.code.value,
        first.message if number == 1 else f"{number} errors, found while checking: {found.phase}",
        retryable=any(error.code is ErrorCode.BROKER_INIT_FAILED for error in found.errors),
        more={
            "phase": found.phase,
            "errors": [_facts(error) for error in found.errors],
            "warnings": found.warnings,
        },
    )


def _facts(error: HorsiesError) -> dict[str, object]:
    location = error.location
    return {
        "code": None if error.code is None else error.code.value,
        "message": error.message,
        "file": None if location is None else location.file,
        "line": None if location is None else location.line,
        "notes": error.notes,
        "help": error.help_text,
    }
