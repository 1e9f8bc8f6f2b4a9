"""What the actions, and what they added to hot paths, read: by index, never a whole table (D-020, D-021, D-024)."""

from typing import Any

import psycopg
import pytest

from horsies.ids import new_task_id
from tests.core.control.conftest import QUEUES, Connect
from tests.core.control.looks import Rows
from tests.core.cycle_driver import CycleDriver


class Plans:
    """The plans of everything a connection runs, statements inside functions included."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.texts: list[str] = []
        for setting in (
            "load 'auto_explain'",
            "set auto_explain.log_min_duration = 0",
            "set auto_explain.log_nested_statements = on",
            "set client_min_messages = log",
        ):
            connection.execute(setting.encode())
        connection.add_notice_handler(lambda diagnostic: self.texts.append(diagnostic.message_primary or ""))

    def of(self, table: str) -> str:
        """The plans that touch the table."""
        found = [text for text in self.texts if f" on {table}" in text]
        assert found, f"no plan touches {table}: {self.texts}"
        return "\n".join(found)


@pytest.fixture
def plans(connect: Connect) -> Plans:
    return Plans(connect())


@pytest.fixture
def claims(rows: Rows) -> None:
    """Much to do, little of it in flight; keys for some of it."""
    rows.execute("insert into horsies.queues (name) values ('mail'), ('bulk')")
    rows.execute("insert into horsies.queues (name) select 'queue ' || n from generate_series(1, 2000) n")
    rows.execute(
        "select horsies.enqueue('pack', '{}', 'mail', idempotency_key => 'k' || n)"
        " from generate_series(1, 5000) n"
    )
    rows.execute("analyze horsies.tasks, horsies.queues, horsies.idempotency_keys")


@pytest.mark.usefixtures("claims")
def test_a_claim_asks_for_paused_queues_by_index(plans: Plans, rows: Rows) -> None:
    """R-061: nearly always empty, so one look, however many queues there are"""
    rows.execute("update horsies.queues set paused = true where name = 'queue 7'")
    rows.execute("vacuum horsies.queues")
    worker = CycleDriver(plans.connection, QUEUES)
    assert len(worker.claim(2).claimed) == 2
    found = plans.of("queues")
    assert "queues_paused" in found
    assert "Seq Scan" not in found


@pytest.mark.usefixtures("claims")
def test_the_end_of_a_task_finds_its_key_by_index(plans: Plans) -> None:
    """D-014, D-026"""
    worker = CycleDriver(plans.connection, QUEUES)
    claims = worker.claim(3).claimed
    plans.texts.clear()
    worker.complete(*claims)
    assert "idempotency_keys_task" in plans.of("idempotency_keys")


@pytest.mark.usefixtures("claims")
def test_a_pause_reads_what_is_in_flight(plans: Plans, rows: Rows) -> None:
    """D-021"""
    held = rows.execute("select id::text from horsies.tasks limit 3").fetchall()
    CycleDriver(rows, QUEUES).prefetch(*[row["id"] for row in held])
    plans.connection.execute("select * from horsies.pause_queue('mail', null)")
    found = plans.of("tasks")
    assert "tasks_in_flight" in found
    assert "Seq Scan" not in found


@pytest.mark.usefixtures("claims")
def test_a_cancel_reads_one_row(plans: Plans, rows: Rows) -> None:
    """M-050, D-012, D-024"""
    (row,) = rows.execute("select id::text from horsies.tasks limit 1").fetchall()
    for task_id in (row["id"], row["id"], new_task_id()):
        plans.connection.execute("select * from horsies.cancel_task(%s, false, null)", [task_id])
    assert "Seq Scan" not in plans.of("tasks")
    assert "Index Scan using task_history_standard_30d" in "\n".join(plans.texts)


@pytest.mark.usefixtures("claims")
def test_an_enqueue_reads_the_queue_s_row_only(plans: Plans) -> None:
    """D-027, T-40: history is asked for a given id or key only"""
    plans.connection.execute("select horsies.enqueue('pack')")
    assert "queues_pkey" in plans.of("queues")
    assert "task_history" not in "\n".join(plans.texts)
