"""Pytest fixtures, loaded when asked for: `pytest_plugins = ["horsies.testing.plugin"]` in a conftest.py.

`horsies_database` is the URL of a migrated database of the test's own, `horsies_app` an app on it. The
server is the one that HORSIES_TEST_DATABASE_URL names, whose role may create databases; else a private one,
which needs `horsies-core[embedded]` and ends with the run. pytest-xdist's processes share server and
template.
"""

import os
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from horsies.app import Horsies
from horsies.app_locator import load_app
from horsies.config.app import AppConfig
from horsies.config.broker import PostgresConfig
from horsies.embedded import EmbeddedServer, throwaway_directory
from horsies.testing.databases import DatabaseTemplate, on_database

URL_VARIABLE = "HORSIES_TEST_DATABASE_URL"
RUN_VARIABLE = "HORSIES_TEST_RUN"
DIRECTORY_VARIABLE = "HORSIES_TEST_SERVER_DIRECTORY"
APP_OPTION = "horsies_app"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The app that `horsies_app` gives, in the ini file."""
    parser.addini(
        APP_OPTION, "locator of the app that the fixture horsies_app puts on a test database", default=""
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the names of this run; the processes of pytest-xdist inherit them."""
    if _is_worker(config):
        return
    os.environ[RUN_VARIABLE] = f"horsies_test_{uuid.uuid4().hex[:10]}"
    os.environ.pop(DIRECTORY_VARIABLE, None)
    if not os.environ.get(URL_VARIABLE):
        directory = throwaway_directory()
        directory.rmdir()  # only the name: a run without a database leaves nothing to clean
        os.environ[DIRECTORY_VARIABLE] = str(directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    """On a server that was given: remove what this run has left. A private server goes as a whole."""
    run = os.environ.get(RUN_VARIABLE)
    if _is_worker(config) or run is None or os.environ.get(DIRECTORY_VARIABLE):
        return
    with DatabaseTemplate(os.environ[URL_VARIABLE], prefix=run) as template:
        template.drop_all()


@pytest.fixture(scope="session")
def horsies_server() -> Generator[str]:
    """The URL of the run's server, of its maintenance database. Override it to use a server of your own making."""
    directory = os.environ.get(DIRECTORY_VARIABLE)
    if directory is None:
        yield os.environ[URL_VARIABLE]
        return
    with EmbeddedServer(Path(directory), durable=False, remove=True) as server:
        yield server.url()


@pytest.fixture(scope="session")
def horsies_template(horsies_server: str) -> Generator[DatabaseTemplate]:
    """The template that `horsies_database` copies."""
    with DatabaseTemplate(horsies_server, prefix=os.environ[RUN_VARIABLE]) as template:
        yield template


@pytest.fixture
def horsies_database(horsies_template: DatabaseTemplate) -> Generator[str]:
    """The URL of a database of this test's own, with the schema of horsies in it."""
    with horsies_template.copy() as url:
        yield url


@pytest.fixture
def horsies_app(horsies_database: str, pytestconfig: pytest.Config) -> Generator[Horsies]:
    """On the test's database: the app that `horsies_app` in the ini file names, with task modules; else a new one."""
    locator: str = pytestconfig.getini(APP_OPTION)
    if locator:
        app = load_app(locator)
        app.import_task_modules()
        with on_database(app, horsies_database):
            yield app
        return
    app = Horsies(AppConfig(broker=PostgresConfig(database_url=horsies_database)))
    yield app
    app.get_broker().close()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
