"""`horsies demo`: see it work, with nothing prepared and nothing left behind (09 §8)."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from horsies_cli.colour import wants_colour
from horsies_cli.demo_run import DemoStoppedError, run_demo
from horsies_cli.session import RefusedError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave database and worker up until Ctrl+C.")] = False,
) -> None:
    """Show what horsies does: a private PostgreSQL, a worker, and a task of every kind.

    Needs no app and no database, and leaves nothing behind.
    """
    coloured = wants_colour(sys.stdout)
    console = Console(force_terminal=coloured, no_color=not coloured, highlight=False)
    try:
        status = run_demo(console, keep=keep)
    except RefusedError as error:
        sys.stderr.write(f"error: {error}\n")
        status = 1
    except DemoStoppedError:
        status = 0 if keep else 130
    raise typer.Exit(status)
