"""What names a worker and was never dispatched by it (R-092)."""

from horsies.db import arrays
from horsies.sql import Statements
from tests.core.cycle_driver import Claim, CycleDriver
from tests.worker.recovery.stage import Stage

STATEMENT = Statements("horsies")["return_undispatched"]


def return_undispatched(stage: Stage, worker: CycleDriver, *kept: Claim) -> int:
    params = {
        "worker": worker.worker_id,
        "kept": arrays.plain(claim.id for claim in kept),
        "generations": arrays.plain(claim.generation for claim in kept),
    }
    (row,) = stage.connection.execute(STATEMENT, params).fetchall()
    return int(row[0])


def statuses(stage: Stage) -> dict[str, str]:
    rows = stage.rows.execute("select id::text, status from horsies.tasks")
    return {row["id"]: row["status"] for row in rows}


def test_what_the_worker_knows_of_stays(stage: Stage) -> None:
    worker = stage.worker()
    known, unknown = stage.running(worker, 2)
    assert return_undispatched(stage, worker, known) == 1
    assert statuses(stage) == {known.id: "RUNNING", unknown.id: "PENDING"}


def test_a_row_claimed_again_by_the_cycle_that_gave_it_back_goes_back(stage: Stage) -> None:
    """The worker knows the id, of the return that it has yet to hear about, but not the claim."""
    worker = stage.worker()
    (given_back,) = stage.running(worker)
    assert worker.cycle(back=(given_back,), places=1).ids == [given_back.id]
    assert return_undispatched(stage, worker, given_back) == 1
    assert statuses(stage) == {given_back.id: "PENDING"}
