"""Workers and executors are killed while workflows of 20 nodes run: all end as the rules say, nothing begins twice."""

import os
import random
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.notes import notes
from tests.acceptance.random_runs import imported, keys_with, working
from tests.acceptance.replay import Replay
from tests.core.workflow_engine.engine import Engine
from tests.core.workflow_engine.state import check_invariants, read_tree
from tests.helpers import RunningProcess

LONG = os.environ.get("HORSIES_CHAOS") == "long"
COUNT = int(os.environ.get("WORKFLOW_GRAPHS", "100" if LONG else "15"))
FIRST = int(os.environ.get("WORKFLOW_SEED", "1"))
BLOWS = 60 if LONG else 5
SLEEP_S = 0.5 if LONG else 0.2
WAIT_S = 1000.0 if LONG else 180.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200 if LONG else 240)]


class Killer:
    """Kills a random worker or executor every 1 to 2 s; two workers are kept going."""

    def __init__(self, stack: ExitStack, environment: dict[str, str]) -> None:
        self._stack = stack
        self._environment = environment
        self._chance = random.Random(FIRST)
        self.workers: list[RunningProcess] = []
        self.killed_workers: list[int] = []
        self.gave_up: list[int] = []
        self.killed_executors = 0

    def start(self, *, ready: bool) -> None:
        """One worker more."""
        self.workers.append(self._stack.enter_context(working(self._environment, ready=ready)))

    def living(self) -> list[RunningProcess]:
        """The workers that are to be there."""
        gone = {*self.killed_workers, *self.gave_up}
        return [worker for worker in self.workers if worker.pid not in gone]

    def tend(self) -> None:
        """A worker whose executors are killed while they start gives up (R-034): another one comes."""
        for worker in self.living():
            if worker.returncode is not None:
                assert "ended with exit code -9 while starting" in worker.stderr, worker.output
                self.gave_up.append(worker.pid)
                self.start(ready=False)

    def strike(self) -> None:
        """One blow, at a worker that has come to work."""
        at_work = [worker for worker in self.living() if "ready:" in worker.stderr]
        if not at_work:
            return
        process = psutil.Process(self._chance.choice(at_work).pid)
        children = process.children()
        if children and self._chance.random() < 0.7:
            with suppress(psutil.NoSuchProcess):
                self._chance.choice(children).kill()
            self.killed_executors += 1
        else:
            self.killed_workers.append(process.pid)
            process.kill()
            self.start(ready=False)

    def pause(self) -> float:
        """Seconds until the next blow."""
        return self._chance.uniform(1, 2)


def is_over(engine: Engine) -> bool:
    """Whether nothing is open any more."""
    return not engine.select(
        "select 1 from horsies.workflows where status in ('RUNNING', 'PAUSED')"
        " union all select 1 from horsies.tasks limit 1"
    )


def keep_striking(killer: Killer, engine: Engine) -> None:
    """So many blows, then wait for the end; what is paused by a failure is resumed."""
    until, next_blow = time.monotonic() + WAIT_S, time.monotonic() + 1
    while not is_over(engine):
        killer.tend()
        now = time.monotonic()
        assert now < until, "not at an end: " + "\n".join(worker.output for worker in killer.living())
        if next_blow <= now and len(killer.killed_workers) + killer.killed_executors < BLOWS:
            killer.strike()
            next_blow = now + killer.pause()
        for (key,) in engine.select("select id::text from horsies.workflows where status = 'PAUSED'"):
            engine.resume(key)
        time.sleep(0.05)


def test_workflows_outlive_kills(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-91, W-94, W-95, W-101, R-075, R-104, R-112: every workflow comes to the end that the rules give for what
    crashed; no task begins twice that did not ask for it; crashed without having begun: only by a worker's death."""
    environment = {
        "ACCEPTANCE_DATABASE_URL": database_url,
        "RANDOM_FLOWS_FOLDER": str(tmp_path),
        "RANDOM_FLOWS_SEEDS": f"{FIRST}:{FIRST + COUNT}",
        "RANDOM_FLOWS_SHAPE": "twenty",
        "RANDOM_FLOWS_SLEEP_S": str(SLEEP_S),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    engine = Engine(database_url)
    with ExitStack() as stack:
        flows: Any = stack.enter_context(imported())
        killer = Killer(stack, environment)
        killer.start(ready=False)
        killer.start(ready=True)
        killer.workers[0].wait_for("ready:", 120)
        begun = time.monotonic()
        roots = {
            seed: definition.build(flows.app).start().unwrap().workflow_id
            for seed, definition in flows.DEFINITIONS.items()
        }
        keep_striking(killer, engine)
        seconds = time.monotonic() - begun
    differences: list[str] = []
    statuses: Counter[str] = Counter()
    for seed, root in roots.items():
        tree = read_tree(engine, root)
        check_invariants(tree)
        statuses[tree[root].status] += 1
        differences += Replay(flows.GRAPHS[seed], tree, root).differences()
    starts = Counter(notes(tmp_path))
    crashed = engine.select(
        "select w.name || '.' || n.node_id, h.worker_id in (select k.id from horsies.workers k where k.pid = any (%s))"
        " from horsies.task_history h join horsies.workflows w on w.id = h.workflow_id"
        " join horsies.workflow_nodes n on n.workflow_id = h.workflow_id and n.node_index = h.node_index"
        " where h.error_code = 'WORKER_CRASHED' and h.task_name <> 'horsies.prepare'",
        [killer.killed_workers],
    )
    unbegun = [(key, by_worker) for key, by_worker in crashed if starts[key] == 0]
    stubborn = keys_with(flows.GRAPHS.values(), "stubborn")
    twice = [key for key, count in starts.items() if count > 1 and key not in stubborn]
    rerun = [key for key, count in starts.items() if count > 1 and key in stubborn]
    print(
        f"\nWORKFLOW_SEED={FIRST}: {COUNT} workflows of 20 nodes, {len(killer.killed_workers)} workers and "
        f"{killer.killed_executors} executors killed, {len(killer.gave_up)} workers gave up, {seconds:.1f} s, "
        f"{dict(statuses)}, {sum(starts.values())} runs, {len(crashed)} crashed, {len(unbegun)} of them without having "
        f"begun, begun twice {len(twice)}, run again as they asked for {len(rerun)}, {len(differences)} differences"
    )
    engine.close()
    assert differences == []
    assert twice == []
    assert [key for key, by_worker in unbegun if not by_worker] == []
