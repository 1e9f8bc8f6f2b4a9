"""Names of channels: the same in Python and in the schema, never too long (11-database section 5, D-005)."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from horsies import channels

NAMES = [
    "default",
    "a",
    "mit Leerzeichen und \"Anführung\" 'beiderlei'",
    "punkt.doppel:punkt;",
    "x" * 52,
    "x" * 53,
    "x" * 255,
    "é" * 40,
    "長い名前の待ち行列" * 5,
    "🐎" * 63,
    "x" + "🐎" * 62,
    "xx" + "🐎" * 61,
    "xxx" + "🐎" * 60,
]


def test_the_fixed_names() -> None:
    assert channels.queue_channel("horsies", "mail") == "horsies:q:mail"
    assert channels.task_done("horsies") == "horsies:task_done"
    assert channels.workflow_done("horsies") == "horsies:workflow_done"
    assert channels.control("horsies") == "horsies:ctl"
    assert channels.task_hints("horsies") == "horsies:task"
    assert channels.workflow_hints("horsies") == "horsies:workflow"
    assert channels.worker_hints("horsies") == "horsies:worker"
    assert channels.ping("horsies") == "horsies:ping"
    assert channels.pong("horsies", "17") == "horsies:pong:17"


def test_the_longest_name_that_is_not_cut() -> None:
    assert channels.queue_channel("horsies", "x" * 53) == f"horsies:q:{'x' * 53}"
    assert channels.queue_channel("horsies", "x" * 54) == f"horsies:q:{'x' * 36}:ed577fb7cad36c5f"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=90))
def test_every_name_fits_and_is_its_own(queue: str) -> None:
    name = channels.queue_channel("horsies", queue)
    assert len(name.encode()) <= 63
    assert name.startswith("horsies:q:")
    assert name != channels.queue_channel("horsies", queue + "x")


@pytest.mark.parametrize("queue", NAMES)
def test_the_schema_has_the_same_rule(queue: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute("select horsies.channel('q:' || %s)", [queue]).fetchone()
        assert row == (channels.queue_channel("horsies", queue),)


@pytest.mark.parametrize("queue", NAMES)
def test_postgresql_takes_the_name_whole(queue: str, empty_database_url: str) -> None:
    # D-005: a name that was cut would come with a notice, and nobody would hear the message
    name = channels.queue_channel("horsies", queue)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("listen {}").format(sql.Identifier(name)))
        connection.execute("select pg_notify(%s, 'x')", [name])
        assert [note.channel for note in connection.notifies(timeout=5, stop_after=1)] == [name]
