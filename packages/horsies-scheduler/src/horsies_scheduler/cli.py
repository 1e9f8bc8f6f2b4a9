"""The command `horsies-scheduler`, also `horsies scheduler` and `python -m horsies_scheduler`."""

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help="Enqueues the tasks of an app's schedule, each slot exactly once.")
def scheduler() -> None:
    """Say what this version cannot do yet."""
    typer.echo("error: this version of horsies-scheduler has no scheduler yet", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Run the command with the arguments of this process."""
    app(prog_name="horsies-scheduler")
