"""Kinds of tasks side by side: none waits for a place of another kind, and many async ones share a process."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.acceptance.notes import notes
from tests.acceptance.workshops import Workshop, open_workshop
from tests.helpers import eventually

WAIT_MS = 30_000


@pytest.fixture
def shop(database_url: str) -> Generator[Workshop]:
    with open_workshop(database_url) as opened:
        yield opened


def test_a_kind_without_a_free_place_holds_up_no_other(shop: Workshop, tmp_path: Path) -> None:
    """R-032: an async task passes a row of `process` tasks that are due before it, and the other way round."""
    folder = str(tmp_path)
    with shop.worker("--processes", "2", "--concurrency", "3"):
        hold = shop.tasks.anap.send(folder, "hold", 2.0).unwrap()
        eventually(lambda: "begin hold" in notes(tmp_path))
        sends = [{"folder": folder, "name": f"p{n}", "seconds": 0.4} for n in range(40)]
        shop.tasks.nap.with_options(queue_name="high").send_many(sends).unwrap()
        eventually(lambda: "begin p0" in notes(tmp_path))
        assert shop.tasks.anoop.send(1).unwrap().get(WAIT_MS).ok_value == 1
        assert "end hold" not in notes(tmp_path), "the place beside the async task was not used"
        assert "begin p39" not in notes(tmp_path)
        # Now the shared executor is full: `process` tasks go on with the other one.
        more = [{"folder": folder, "name": f"a{n}", "seconds": 1.0} for n in range(5)]
        shop.tasks.anap.with_options(queue_name="high").send_many(more).unwrap()
        eventually(lambda: sum(note.startswith("begin a") for note in notes(tmp_path)) >= 2)
        before = sum(note.startswith("end p") for note in notes(tmp_path))
        eventually(lambda: sum(note.startswith("end p") for note in notes(tmp_path)) > before + 1)
        assert hold.get(WAIT_MS).is_ok()


def test_an_idle_executor_goes_to_the_kind_that_is_first_in_the_order(shop: Workshop, tmp_path: Path) -> None:
    """R-032, R-050: one executor, kinds alternating along the order of claims."""
    folder = str(tmp_path)
    wanted = [("high", "write"), ("normal", "awrite"), ("normal", "write"), ("low", "awrite")]
    for number, (queue, task) in reversed(list(enumerate(wanted))):
        priority = 10 * (number + 1)
        sender = getattr(shop.tasks, task).with_options(queue_name=queue, priority=priority)
        sender.send(folder, f"{queue} {task}").unwrap()
    with shop.worker("--processes", "1", "--concurrency", "1"):
        eventually(lambda: len(notes(tmp_path)) == len(wanted), 30)
    assert notes(tmp_path) == [f"{queue} {task}" for queue, task in wanted]


def test_a_process_task_that_comes_first_waits_for_no_backlog_of_async_tasks(
    shop: Workshop, tmp_path: Path
) -> None:
    """R-032, R-050: the one executor, which always has an async task left, makes room for a better priority."""
    folder = str(tmp_path)
    with shop.worker("--processes", "1", "--concurrency", "3"):
        sends = [{"folder": folder, "name": f"b{n}", "seconds": 0.1 + 0.013 * (n % 7)} for n in range(200)]
        shop.tasks.anap.send_many(sends).unwrap()
        eventually(lambda: "end b0" in notes(tmp_path))
        first = shop.tasks.write.with_options(queue_name="high").send(folder, "first").unwrap()
        assert first.get(WAIT_MS).is_ok()
        assert "begin b199" not in notes(tmp_path)
        eventually(lambda: "end b199" in notes(tmp_path), 30)


def test_an_async_task_that_comes_first_waits_for_no_backlog_of_process_tasks(
    shop: Workshop, tmp_path: Path
) -> None:
    """R-032, R-041, R-050: likewise the other way round, where the executor has always read ahead."""
    folder = str(tmp_path)
    with shop.worker("--processes", "1", "--concurrency", "3"):
        shop.tasks.write.send_many([{"folder": folder, "text": f"b{n}"} for n in range(6_000)]).unwrap()
        eventually(lambda: "b300" in notes(tmp_path))
        first = shop.tasks.awrite.with_options(queue_name="high").send(folder, "first").unwrap()
        assert first.get(WAIT_MS).is_ok()
        assert "b5999" not in notes(tmp_path)


def test_many_async_tasks_share_one_process(shop: Workshop, tmp_path: Path) -> None:
    """R-031: 200 tasks of half a second, 50 at once as --concurrency says, never more, in one process."""
    sends = [{"folder": str(tmp_path), "name": str(n), "seconds": 0.5} for n in range(200)]
    with shop.worker("--processes", "1", "--concurrency", "50"):
        handles = shop.tasks.anap.send_many(sends).unwrap()
        assert all(handle.get(WAIT_MS).is_ok() for handle in handles)
        infos = [handle.info().unwrap() for handle in handles]
    running = most = 0
    for note in notes(tmp_path):
        running += 1 if note.startswith("begin") else -1
        most = max(most, running)
    first = min(info.sent_at for info in infos)
    last = max(info.completed_at for info in infos)
    print(
        f"\n200 async tasks of 0.5 s, 50 at once: {(last - first).total_seconds():.2f} s from first send to last end"
    )
    assert most == 50
    assert len({info.worker_pid for info in infos}) == 1
