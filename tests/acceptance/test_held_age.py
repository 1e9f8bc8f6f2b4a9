"""A row that is held for too long behind a long run goes to a worker that has room for it."""

from pathlib import Path

from horsies import TaskStatus
from tests.acceptance.notes import notes
from tests.acceptance.workshops import open_workshop
from tests.helpers import eventually


def test_a_row_held_for_too_long_runs_elsewhere(database_url: str, tmp_path: Path) -> None:
    """CF-17: although the worker that held it has all its places taken, and would like to hold another one."""
    settings = {
        "prefetch_buffer": 1,
        "claim_lease_ms": 2_000,
        "max_claim_renew_age_ms": 2_000,
        "resilience": {"notify_poll_interval_ms": 1_000},
    }
    with open_workshop(database_url, **settings) as shop, shop.worker("--processes", "1"):
        shop.tasks.nap.send(str(tmp_path), "long", 60.0).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin long"])
        held = shop.tasks.nap.send(str(tmp_path), "held", 0.0).unwrap()
        eventually(lambda: held.info().unwrap().status is TaskStatus.CLAIMED)
        with shop.worker("--processes", "1") as other:
            assert held.get(30_000).ok_value == "held"
            assert notes(tmp_path) == ["begin long", "begin held", "end held"]
            assert other.stop() == 0
