"""The command `horsies-syce`, also `horsies syce` and `python -m horsies_syce`."""

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help="Shows tasks, workflows, workers and schedules of a horsies database in the terminal.")
def syce() -> None:
    """Say what this version cannot do yet."""
    typer.echo("error: this version of horsies-syce has no monitor yet", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Run the command with the arguments of this process."""
    app(prog_name="horsies-syce")
