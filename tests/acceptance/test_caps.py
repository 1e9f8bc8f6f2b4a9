"""Limits of a whole cluster, as the tasks under them see it."""

from collections import Counter
from pathlib import Path

from tests.acceptance.notes import notes
from tests.acceptance.workshops import open_workshop
from tests.helpers import eventually

QUEUES = [{"name": "narrow", "priority": 10, "max_concurrency": 3}, {"name": "normal", "priority": 20}]
TASKS = 500


def test_two_workers_never_run_more_than_the_caps_allow_and_reach_them(
    database_url: str, tmp_path: Path
) -> None:
    """CF-15, CF-16, R-056, R-057, R-059: 3 of one queue, 5 in all, at every moment; both are reached."""
    folder = str(tmp_path)
    with open_workshop(database_url, custom_queues=QUEUES, cluster_wide_cap=5) as shop:
        for queue in ("narrow", "normal"):
            sends = [{"folder": folder, "name": queue, "seconds": 0.01}] * (TASKS // 2)
            shop.tasks.anap.with_options(queue_name=queue).send_many(sends).unwrap()
        with shop.worker("--concurrency", "10") as one, shop.worker("--concurrency", "10") as two:
            eventually(lambda: sum(note.startswith("end") for note in notes(tmp_path)) == TASKS, 60)
            assert (one.stop(), two.stop()) == (0, 0)
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for note in notes(tmp_path):
        what, queue = note.split()
        running[queue] += 1 if what == "begin" else -1
        most[queue] = max(most[queue], running[queue])
        most["all"] = max(most["all"], running.total())
    assert (most["narrow"], most["all"]) == (3, 5)
    assert running.total() == 0
