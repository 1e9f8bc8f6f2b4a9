"""Random workflows run by a real worker and by the model of the rules: both agree on every node's end state."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import IsolationLevel

from horsies.workflow.handle import WorkflowHandle
from tests.acceptance.notes import notes
from tests.acceptance.random_runs import imported, keys_with, working
from tests.acceptance.replay import Replay
from tests.core.workflow_engine.engine import Engine
from tests.core.workflow_engine.state import StoredFlow, check_invariants, read_tree

LONG = os.environ.get("HORSIES_CHAOS") == "long"
COUNT = int(os.environ.get("WORKFLOW_GRAPHS", "300" if LONG else "8"))
FIRST = int(os.environ.get("WORKFLOW_SEED", "1"))

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800 if LONG else 180)]


@pytest.fixture
def environment(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What worker and test have to make the same graphs of."""
    values = {
        "ACCEPTANCE_DATABASE_URL": database_url,
        "RANDOM_FLOWS_FOLDER": str(tmp_path),
        "RANDOM_FLOWS_SEEDS": f"{FIRST}:{FIRST + COUNT}",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def flows(environment: dict[str, str]) -> Iterator[Any]:
    """The module with the graphs."""
    with imported() as module:
        yield module


class Operator:
    """Pauses, resumes and cancels at random; at most one cancel a tree. In the end it only resumes."""

    def __init__(self, broker: Any, url: str, roots: list[str]) -> None:
        self.broker = broker
        self.roots = roots
        self.url = url
        self.chance = random.Random(FIRST)
        self.may_cancel = [root for root in roots if self.chance.random() < 0.3]
        self.calls: Counter[str] = Counter()
        self.problems: list[BaseException] = []
        self.over = threading.Event()

    def run(self) -> None:
        """Until told that it is over."""
        engine = Engine(self.url)
        try:
            for _ in range(15 * len(self.roots)):
                self._act(engine)
            while not self.over.wait(0.02):
                for (key,) in engine.select("select id::text from horsies.workflows where status = 'PAUSED'"):
                    self._call("resume", key)
        except BaseException as problem:
            self.problems.append(problem)
        finally:
            engine.close()

    def _act(self, engine: Engine) -> None:
        open_ones = engine.select(
            "select id::text, root_id::text from horsies.workflows where status in ('RUNNING', 'PAUSED')"
        )
        if self.over.wait(0.01) or not open_ones:
            return
        key, root = self.chance.choice(open_ones)
        action = self.chance.choice(["pause", "pause", "resume", "resume", "resume", "cancel"])
        if action == "cancel" and root in self.may_cancel:
            self.may_cancel.remove(root)
            self._call("cancel", key)
        elif action != "cancel":
            self._call(action, key)

    def _call(self, action: str, key: str) -> None:
        handle: WorkflowHandle[Any] = WorkflowHandle(key, self.broker)
        calls = {"pause": handle.pause, "resume": handle.resume, "cancel": handle.cancel}
        if calls[action]().unwrap() is not False:
            self.calls[action] += 1


def snapshot(engine: Engine, root: str) -> dict[str, StoredFlow]:
    """The tree as it is at one moment."""
    with engine.connection.transaction():
        return read_tree(engine, root)


def watch(engine: Engine, roots: list[str]) -> int:
    """Check the committed states until all have ended; how many were looked at."""
    looks, chance, deadline = 0, random.Random(FIRST), time.monotonic() + (1500 if LONG else 120)
    while True:
        open_ones = engine.select(
            "select distinct root_id::text from horsies.workflows where status in ('RUNNING', 'PAUSED')"
        )
        if not open_ones and not engine.select("select 1 from horsies.tasks limit 1"):
            return looks
        assert time.monotonic() < deadline, f"still open: {open_ones}"
        for (root,) in chance.sample(open_ones, min(len(open_ones), 3)):
            check_invariants(snapshot(engine, root))
            looks += 1


def test_random_workflows_end_as_the_rules_say(
    flows: Any, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    """W-44, W-50, W-51, W-60, W-66 to W-70, W-73 to W-81, W-84 to W-86, W-90, W-91, W-94 to W-99, W-101: graphs up to
    40 nodes with children, conditions, failures, retries and crashes, paused, resumed and cancelled at random."""
    print(f"\nWORKFLOW_SEED={FIRST} WORKFLOW_GRAPHS={COUNT}")
    begun_at = time.monotonic()
    engine = Engine(database_url)
    engine.connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with working(environment):
        roots = {
            seed: definition.build(flows.app).start().unwrap().workflow_id
            for seed, definition in flows.DEFINITIONS.items()
        }
        operator = Operator(flows.app.get_broker(), database_url, list(roots.values()))
        thread = threading.Thread(target=operator.run)
        thread.start()
        try:
            looks = watch(engine, list(roots.values()))
        finally:
            operator.over.set()
            thread.join()
    assert operator.problems == []
    problems: list[str] = []
    trees = {seed: read_tree(engine, root) for seed, root in roots.items()}
    for seed, tree in trees.items():
        check_invariants(tree)
        problems += Replay(flows.GRAPHS[seed], tree, roots[seed]).differences()
    starts = Counter(notes(tmp_path))
    crashed = engine.select("select 1 from horsies.task_history where error_code = 'WORKER_CRASHED'")
    engine.close()
    statuses = Counter(flow.status for tree in trees.values() for flow in tree.values())
    nodes = Counter(
        node["status"] for tree in trees.values() for flow in tree.values() for node in flow.nodes
    )
    print(
        f"{COUNT} graphs, {dict(statuses)} workflows, {dict(nodes)} nodes, {sum(starts.values())} runs, "
        f"{len(crashed)} crashed, {dict(operator.calls)} calls, {looks} states checked, "
        f"{time.monotonic() - begun_at:.1f} s, {len(problems)} differences"
    )
    assert problems == []
    again = keys_with(flows.GRAPHS.values(), "again")
    assert [key for key, count in starts.items() if count > 1 + (key in again)] == []
    assert bool(crashed) == bool(keys_with(flows.GRAPHS.values(), "die") & starts.keys())
