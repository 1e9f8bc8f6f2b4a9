"""A claim that meets a task past its deadline: how it ends (T-64)."""

from datetime import UTC, datetime, timedelta

from horsies import Horsies
from tests.core.control.conftest import Send
from tests.core.control.looks import Rows, ended, one
from tests.core.cycle_driver import CycleDriver


def test_what_expired_before_its_start_has_no_start_and_no_attempt(
    app: Horsies, send: Send, worker: CycleDriver, rows: Rows
) -> None:
    """T-64, T-70: the time of the claim stays, a time of a start there is none."""
    task_id = send(good_until=datetime.now(UTC) - timedelta(seconds=1))
    (claim,) = worker.claim().expired
    worker.fail(claim, "TASK_EXPIRED", status="EXPIRED")
    row = one(ended(rows, task_id))
    assert (row["status"], row["error_code"], row["started_at"]) == ("EXPIRED", "TASK_EXPIRED", None)
    assert row["claimed_at"] is not None
    info = app.get_task_info(task_id, include_attempts=True).unwrap()
    assert info is not None
    assert (info.started_at, info.attempts) == (None, [])
