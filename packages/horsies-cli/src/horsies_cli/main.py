"""The command `horsies`: a list of commands, each imported only when it is invoked or its help is asked for.

Commands of this package are named in a table, those of other distributions by the entry-point group
`horsies.commands` (name = command, value = a Typer app or a function). The root knows their names only.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points

import typer

from horsies.errors.diagnostic import HorsiesError
from horsies_cli.colour import instruct_typer, wants_colour

ENTRY_POINT_GROUP = "horsies.commands"

BUILT_IN: Mapping[str, tuple[str, str]] = {
    "check": ("horsies_cli.check:app", "Look for mistakes in an app."),
    "demo": ("horsies_cli.demo:app", "See it work: a private PostgreSQL, a worker, and tasks of every kind."),
    "dev": ("horsies_cli.dev:app", "Run an app with a private PostgreSQL, for development."),
    "version": ("horsies_cli.version:app", "Show the installed versions."),
}
"""Commands of this package: where each is, and its line in the list."""

CONTRIBUTED: Mapping[str, tuple[str, str]] = {
    "scheduler": ("horsies-scheduler", "Enqueue the tasks of an app's schedule."),
    "syce": ("horsies-syce", "Watch tasks, workflows and workers in the terminal."),
    "worker": ("horsies-worker", "Execute the tasks of an app."),
}
"""Commands of the sibling distributions: the distribution, and the command's line in the list."""

_PASS_EVERYTHING_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": list[str](),
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the list."""

    name: str
    summary: str
    load: Callable[[], object]
    provider: str


class CommandFailedError(Exception):
    """A command cannot run; the message is for the user, `status` the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def find_commands(contributions: Iterable[EntryPoint]) -> tuple[dict[str, Command], list[str]]:
    """All commands of this installation by name, and warnings about contributions that were left out."""
    commands = {name: _built_in(name, target, summary) for name, (target, summary) in BUILT_IN.items()}
    warnings: list[str] = []
    for point in sorted(contributions, key=lambda point: (not _is_sibling(point), point.name)):
        provider = point.dist.name if point.dist else point.value
        if point.name in commands:
            owner = commands[point.name].provider
            warnings.append(
                f"the command '{point.name}' of {provider} is ignored: {owner} has one of that name"
            )
            continue
        summary = CONTRIBUTED[point.name][1] if _is_sibling(point) else f"(from {provider})"
        commands[point.name] = Command(point.name, summary, point.load, provider)
    return commands, warnings


def _is_sibling(point: EntryPoint) -> bool:
    known = CONTRIBUTED.get(point.name)
    return known is not None and point.dist is not None and point.dist.name == known[0]


def _built_in(name: str, target: str, summary: str) -> Command:
    module, attribute = target.split(":")
    return Command(name, summary, lambda: getattr(importlib.import_module(module), attribute), "horsies-cli")


def build_root(commands: Mapping[str, Command]) -> typer.Typer:
    """The command line of this installation."""
    missing = {name: owner for name, (owner, _) in CONTRIBUTED.items() if name not in commands}
    root = typer.Typer(
        name="horsies",
        help="Background tasks and workflows for Python on PostgreSQL.",
        epilog="\n\n".join(f"{name}: not installed, provided by {owner}" for name, owner in missing.items()),
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )

    @root.callback(invoke_without_command=True)
    def show_help(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction]
        if context.invoked_subcommand is None:
            sys.stdout.write(context.get_help())
            raise typer.Exit(1)

    for name, command in sorted(commands.items()):
        _add(root, name, command.summary, partial(_run, command))
    for name, owner in missing.items():
        _add(root, name, "", partial(_refuse, name, owner), hidden=True)
    return root


def _add(
    root: typer.Typer, name: str, summary: str, run: Callable[[list[str]], None], *, hidden: bool = False
) -> None:
    """A line of the list that hands every argument, `--help` included, to the real command."""

    def invoke(context: typer.Context) -> None:
        run(context.args)

    root.command(name, help=summary, hidden=hidden, context_settings=_PASS_EVERYTHING_ON)(invoke)


def _run(command: Command, arguments: list[str]) -> None:
    try:
        target = command.load()
    except HorsiesError:
        raise
    except Exception as error:
        raise CommandFailedError(
            f"the command '{command.name}' of {command.provider} cannot be loaded: "
            f"{type(error).__name__}: {error}",
            1,
        ) from error
    if not isinstance(target, typer.Typer):
        if not callable(target):
            raise CommandFailedError(
                f"the command '{command.name}' of {command.provider} is neither a Typer app nor a function", 1
            )
        function, target = target, typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        target.command()(function)
    target(args=arguments, prog_name=f"horsies {command.name}")


def _refuse(name: str, owner: str, _arguments: list[str]) -> None:
    raise CommandFailedError(
        f"command '{name}' is provided by {owner}, which is not installed\nadd it with: pip install {owner}",
        2,
    )


def main() -> None:
    """Run the command line with the arguments of this process; leaves with the exit status."""
    instruct_typer(sys.stdout)
    commands, warnings = find_commands(entry_points(group=ENTRY_POINT_GROUP))
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")
    try:
        build_root(commands)(prog_name="horsies")
    except CommandFailedError as failure:
        sys.stderr.write(f"error: {failure}\n")
        sys.exit(failure.status)
    except HorsiesError as error:
        sys.stderr.write(error.format_rust_style(wants_colour(sys.stderr)) + "\n")
        sys.exit(1)
