"""Databases per test: the template and its copies, an app put on one of them, the fixtures (01 §14)."""

import uuid

import psycopg
import pytest

from horsies import Horsies, TaskError, TaskResult
from horsies.testing import DatabaseTemplate, drain, enqueued, on_database
from tests.core.apps import make_app


@pytest.mark.parametrize("n", [1, 2])
def test_each_test_has_an_app_on_a_database_of_its_own(horsies_app: Horsies, n: int) -> None:
    @horsies_app.task("note")
    def note() -> TaskResult[int, TaskError]:
        return TaskResult(ok=n)

    note.send().unwrap()
    (info,) = drain(horsies_app)
    assert info.decoded_result is not None
    assert info.decoded_result.unwrap() == n


def test_an_app_is_put_on_another_database_and_back(database_url: str) -> None:
    app = make_app()
    own = app.get_broker()

    @app.task("note")
    def note() -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    assert note.send().is_err()
    with on_database(app, database_url) as same:
        assert same is app
        handle = note.send().unwrap()
        assert len(enqueued(app)) == 1
        drain(app)
        assert handle.get(timeout_ms=0).is_ok()
    assert app.get_broker() is own
    assert note.send().is_err()


def test_an_empty_database_is_migrated_at_its_first_use(empty_database_url: str) -> None:
    with on_database(make_app(), empty_database_url) as app:
        assert enqueued(app) == []


def test_a_template_is_made_once_and_all_of_it_goes(server_url: str) -> None:
    prefix = f"horsies_try_{uuid.uuid4().hex[:8]}"
    query = "select count(*) from pg_database where starts_with(datname, %s)"
    with psycopg.connect(server_url, autocommit=True) as look:
        with DatabaseTemplate(server_url, prefix=prefix, schema="jobs") as template:
            with template.copy() as url, psycopg.connect(url) as connection:
                connection.execute("select from jobs.tasks")
                assert look.execute(query, [prefix]).fetchone() == (2,)
            with DatabaseTemplate(server_url, prefix=prefix, schema="jobs") as again, again.copy() as url:
                assert url != template.url(template.name)
            assert look.execute(query, [prefix]).fetchone() == (1,)
            template.drop_all()
        assert look.execute(query, [prefix]).fetchone() == (0,)
