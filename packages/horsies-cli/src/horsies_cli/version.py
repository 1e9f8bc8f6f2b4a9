"""`horsies version`: what is installed, and with a database, what is there (C-005)."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

DISTRIBUTIONS = (
    "horsies",
    "horsies-core",
    "horsies-worker",
    "horsies-scheduler",
    "horsies-syce",
    "horsies-cli",
)
_CONNECT_SECONDS = 10

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def version(
    database_url: Annotated[
        str | None, typer.Option("--database-url", "-d", help="Show the server and schema versions there.")
    ] = None,
    module: Annotated[
        str | None, typer.Option("--module", "-m", help="The same for the database of an app.")
    ] = None,
    schema: Annotated[str | None, typer.Option(help="The schema's name, with a URL.")] = None,
) -> None:
    """Show the versions of the installed distributions and of Python.

    With a database given, those of the server and of the schema too.
    """
    if database_url and module:
        raise typer.BadParameter("give a database URL or a module, not both")
    if schema and not database_url:
        raise typer.BadParameter("--schema goes with --database-url; an app names its own schema")
    versions = installed_versions()
    width = max(map(len, DISTRIBUTIONS)) + 1
    for name, number in versions.items():
        typer.echo(f"{name:<{width}} {number}")
    typer.echo(f"{'python':<{width}} {platform.python_version()}")
    if disagreement := differing_minors(versions):
        sys.stderr.write(f"warning: {disagreement}\n")
    if database_url or module:
        server_version, schema_version = database_versions(database_url, module, schema)
        typer.echo(f"{'postgresql':<{width}} {server_version}")
        typer.echo(f"{'schema':<{width}} {schema_version}")


def installed_versions() -> dict[str, str]:
    """The versions of the distributions of horsies that are installed, core first after the meta one."""
    versions: dict[str, str] = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = installed_version(name)
        except PackageNotFoundError:
            continue
    return versions


def differing_minors(versions: Mapping[str, str]) -> str | None:
    """What to warn about when not all versions share their first two numbers."""
    minors = {".".join(number.split(".")[:2]) for number in versions.values()}
    if len(minors) < 2:
        return None
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"the installed distributions do not belong together: {listed}; install the same version of all"


def database_versions(database_url: str | None, module: str | None, schema: str | None) -> tuple[str, str]:
    """The server's version, and the schema's with its state.

    Raises:
        ConfigurationError: HRS-203 for an unacceptable URL, HRS-206 or HRS-210 for an app that is not found.
        HorsiesError: the database cannot be reached.
    """
    # Imported here: the plain command needs none of it (0.2 s).
    import psycopg

    from horsies.db.connect import connect
    from horsies.db.migrate import probe
    from horsies.embedded import resolve_database_url
    from horsies.errors.catalogue import ErrorCode
    from horsies.errors.diagnostic import HorsiesError
    from horsies.sql import Statements
    from horsies.urls import database_url_error, libpq_url, mask_password

    if module:
        database_url, schema = _database_of(module)
    url = database_url or ""
    if error := database_url_error(url, "--database-url"):
        raise error
    try:
        conninfo = libpq_url(resolve_database_url(url))
        with connect(conninfo, timeout=_CONNECT_SECONDS, prepare=False) as connection:
            number = connection.info.server_version
            status = probe(connection, Statements(schema or "horsies"))
    except psycopg.OperationalError as error:
        raise HorsiesError(
            f"cannot connect to {mask_password(url)}: {str(error).strip()}",
            code=ErrorCode.BROKER_INIT_FAILED,
        ) from None
    stored = "" if status.stored is None else f"{status.stored} "
    return f"{number // 10000}.{number % 10000}", f"{stored}({status.state})"


def _database_of(module: str) -> tuple[str, str]:
    from horsies.app_locator import load_app

    broker = load_app(module).config.broker
    return broker.connection_url(), broker.schema_name
