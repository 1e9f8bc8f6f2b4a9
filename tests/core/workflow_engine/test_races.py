"""Several connections at once: claims against pauses and cancels, and a crowd on the same trees."""

import json
import random
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.core.cycle_driver import Claim, failed
from tests.core.workflow_engine.engine import STEPS, Engine, N, ok, plan
from tests.core.workflow_engine.state import check_invariants, read_tree
from tests.helpers import eventually

type Control = Callable[[Engine, str], tuple[bool, bool]]
CONTROLS = {"pause": Engine.pause, "cancel": Engine.cancel}


@contextmanager
def another(url: str) -> Generator[Engine]:
    """A second worker on a connection of its own."""
    engine = Engine(url)
    try:
        yield engine
    finally:
        engine.close()


def waits_for_a_lock(engine: Engine) -> bool:
    """Whether some session waits for a row that another one has locked."""
    return bool(
        engine.select(
            "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
    )


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_claim_in_flight_is_waited_for(engine: Engine, database_url: str, action: str) -> None:
    """W-42, W-81: the row that the claim started counts as executing, the other one does not start any more."""
    flow = engine.start(plan(N("a", priority=1), N("b")))
    with another(database_url) as other, ThreadPoolExecutor(1) as pool:
        with other.connection.transaction():
            assert len(other.worker.claim(1).claimed) == 1
            done = pool.submit(CONTROLS[action], engine, flow)
            eventually(lambda: waits_for_a_lock(other))
        assert done.result() == (True, True)
    assert [row["status"] for row in engine.tasks(flow) if not row["parked"]] == ["RUNNING"]
    assert engine.claim() == {}
    assert engine.nodes(flow) == {"a": "ENQUEUED", "b": "ENQUEUED" if action == "pause" else "SKIPPED"}


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_claim_skips_what_is_being_parked_or_removed(
    engine: Engine, database_url: str, action: str
) -> None:
    """W-42, W-99: before and after the commit."""
    flow, free = engine.start(plan(N("a"))), engine.start(plan(N("a")))
    with another(database_url) as other:
        with other.connection.transaction():
            CONTROLS[action](other, flow)
            assert [claim.workflow_id for claim in engine.worker.claim(5).claimed] == [free]
        assert engine.worker.claim(5).claimed == []


def test_two_ends_of_one_tree_at_once(engine: Engine, database_url: str) -> None:
    """W-41, W-95: the second one is busy while the first one's transaction is open, and loses nothing."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["a", "b"])))
    claims = engine.claim()
    with another(database_url) as other, engine.connection.transaction():
        engine.complete(claims["a"])
        assert other.complete(claims["b"]).busy == [claims["b"].id]
    engine.complete(claims["b"])
    assert engine.nodes(flow) == {"a": "COMPLETED", "b": "COMPLETED", "c": "ENQUEUED"}


def _crashed(engine: Engine, claim: Claim) -> Any:
    end = {
        "id": claim.id,
        "generation": claim.generation,
        "status": "FAILED",
        "result": failed("WORKER_CRASHED"),
    }
    worker = engine.worker.worker_id
    return engine.run("fail_running", worker=worker, ends=json.dumps([end]), threshold_ms=1000, now=None)


def _expired(engine: Engine, claim: Claim) -> Any:
    late = datetime.now(UTC) + timedelta(days=1)
    return engine.run("expire_pending", ids="{" + claim.id + "}", result=failed("TASK_EXPIRED"), now=late)


def _returned(engine: Engine, claim: Claim) -> Any:
    return engine.run("return_undispatched", worker=engine.worker.worker_id, kept="{}", generations="{}")


def _finished(engine: Engine, claim: Claim) -> Any:
    fence = {"id": claim.id, "generation": claim.generation, "workflow_id": claim.workflow_id}
    end = json.dumps([fence | {"status": "COMPLETED", "result": ok(1)}])
    return engine.run(
        "finish_busy",
        worker=engine.worker.worker_id,
        workflows="{" + str(claim.workflow_id) + "}",
        node_ends=end,
        node_backs=None,
        now=None,
    )


ROADS: dict[str, Callable[[Engine, Claim], Any]] = {
    "the waiting completion": _finished,
    "the recovery of running tasks": _crashed,
    "the expiry of waiting tasks": _expired,
    "the return of what was never dispatched": _returned,
    "pause": lambda engine, claim: engine.pause(str(claim.workflow_id)),
    "cancel": lambda engine, claim: engine.cancel(str(claim.workflow_id)),
    "resume": lambda engine, claim: engine.resume(str(claim.workflow_id)),
    "the expiry of paused workflows": lambda engine, claim: engine.run(
        "expire_workflow", id=claim.workflow_id, policy_s=0.0, now=None
    ),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("child", [False, True], ids=["root", "child"])
def test_the_tree_comes_first(engine: Engine, database_url: str, road: str, child: bool) -> None:
    """W-41, W-43, R-112: whoever waits for a tree holds no row of it yet, and does its work once it has the tree."""
    soon = (datetime.now(UTC) + timedelta(hours=1)) if "waiting tasks" in road else None
    inner = plan(N("a", good_until=soon), N("b", ["a"], allow_failed=True), name="kid")
    root = engine.start(plan(N("s", child="kid")) if child else inner)
    flow = engine.begin_child(inner) if child else root
    claim = engine.claim()["a"]
    if "waiting tasks" in road:
        engine.worker.hand_back(claim)
    elif road in ("resume", "the expiry of paused workflows"):
        engine.pause(flow)
    before = engine.workflow(flow), engine.nodes(flow), engine.tasks(flow)
    with another(database_url) as other, ThreadPoolExecutor(1) as pool:
        with other.connection.transaction():
            other.select("select id from horsies.workflows where id = %s for no key update", [root])
            done = pool.submit(ROADS[road], engine, claim)
            eventually(lambda: waits_for_a_lock(other))
            for table in ("tasks", "workflow_nodes"):
                other.select(
                    f"select 1 from horsies.{table} where workflow_id = %s for update nowait", [flow]
                )
        done.result()
    assert (engine.workflow(flow), engine.nodes(flow), engine.tasks(flow)) != before
    check_invariants(read_tree(engine, root))


def test_upkeep_leaves_busy_trees_alone(engine: Engine, database_url: str) -> None:
    """W-41, W-102, R-112: what need not wait does not; the rest of its work is done."""
    old, busy = engine.start(plan(N("a"))), engine.start(plan(N("a")))
    engine.complete(*engine.worker.claim(5).claimed)
    later = datetime.now(UTC) + timedelta(days=2)
    with psycopg.connect(database_url) as other:
        other.execute("select from horsies.workflows where id = %s for no key update", [busy])
        assert len(engine.run("clean_workflows", keep_hours=24, limit=500, now=later)) == 2
    assert engine.select("select id::text from horsies.workflows") == [(busy,)]
    assert old != busy
    assert len(engine.run("clean_workflows", keep_hours=24, limit=500, now=later)) == 2


def test_a_completion_does_not_wait_for_a_tree_for_ever(engine: Engine, database_url: str) -> None:
    """W-41, W-100, R-090: the worker's heartbeat uses the same connection; the ends are offered again."""
    flow = engine.start(plan(N("a")))
    claim = engine.claim()["a"]
    with psycopg.connect(database_url) as other:
        other.execute("select from horsies.workflows where id = %s for no key update", [flow])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            _finished(engine, claim)
    assert _finished(engine, claim) == []
    assert engine.status(flow) == "COMPLETED"


class Crowd:
    """Workers and operators on some trees; every worker ends what it claims, all of them until nothing is left."""

    def __init__(self, url: str, flows: list[str], seed: int) -> None:
        self.url = url
        self.flows = flows
        self.seed = seed
        self.problems: list[BaseException] = []
        self.over = threading.Event()

    def run(self, workers: int, operators: int) -> None:
        """Until all workflows have ended."""
        threads = [threading.Thread(target=self._guarded, args=(self._work, n)) for n in range(workers)]
        threads += [threading.Thread(target=self._guarded, args=(self._operate, n)) for n in range(operators)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, what: Callable[[Engine, random.Random], None], number: int) -> None:
        try:
            with another(self.url) as engine:
                what(engine, random.Random(f"{self.seed} {what} {number}"))
        except BaseException as problem:
            self.problems.append(problem)
            self.over.set()

    def _work(self, engine: Engine, chance: random.Random) -> None:
        held: list[tuple[Claim, dict[str, Any]]] = []
        while not self.over.is_set():
            answer = engine.worker.cycle(
                ended=[end for _, end in held], places=chance.choice([0, 1, 5]) if held else 5
            )
            assert answer.lost == []
            held = [(claim, end) for claim, end in held if claim.id in answer.busy]
            held += [(claim, self._end(claim, chance)) for claim in answer.claimed]
            if not held and self._is_over(engine):
                self.over.set()

    def _operate(self, engine: Engine, chance: random.Random) -> None:
        for _ in range(150):
            flow = chance.choice(self.flows)
            tree = [
                str(key)
                for (key,) in engine.select("select id from horsies.workflows where root_id = %s", [flow])
            ]
            action = chance.choices([engine.pause, engine.resume, engine.cancel], [10, 20, 1])[0]
            action(chance.choice(tree) if chance.random() < 0.5 else flow)
        while not self.over.is_set():
            for (key,) in engine.select("select id::text from horsies.workflows where status = 'PAUSED'"):
                engine.resume(key)

    def _end(self, claim: Claim, chance: random.Random) -> dict[str, Any]:
        is_step = claim.queue_name == STEPS
        fails = chance.random() < 0.1
        child = plan(N("x"), N("y", ["x"]), name="kid")
        result = json.dumps({"decision": "child", "child": child}) if is_step else ok(1)
        return {
            "id": claim.id,
            "generation": claim.generation,
            "workflow_id": claim.workflow_id,
            "status": "FAILED" if fails else "COMPLETED",
            "result": failed("BROKEN") if fails else result,
            "error_code": "BROKEN" if fails else None,
            "outcome": "FAILED",
            "retry_s": 0 if fails and chance.random() < 0.5 else None,
        }

    def _is_over(self, engine: Engine) -> bool:
        return (
            engine.select(
                "select 1 from horsies.workflows where status in ('RUNNING', 'PAUSED')"
                " union all select 1 from horsies.tasks"
            )
            == []
        )


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_on_the_same_trees(engine: Engine, database_url: str, seed: int) -> None:
    """W-41, W-94 to W-98, W-100: no deadlock, nothing lost, and the end is sound."""
    graph = plan(
        *(N(f"a{i}") for i in range(6)),
        N("s", ["a0", "a1"], child="kid", allow_failed=True),
        N("t", child="kid"),
        *(N(f"b{i}", [f"a{i}", "t"], join="any") for i in range(6)),
        N("last", ["s", "b0", "b1", "b2"], join="quorum", min_success=2),
        on_error="pause" if seed == 2 else "fail",
    )
    flows = [engine.start(graph) for _ in range(12)]
    crowd = Crowd(database_url, flows, seed)
    crowd.run(workers=4, operators=2)
    assert crowd.problems == []
    for flow in flows:
        tree = read_tree(engine, flow)
        check_invariants(tree)
        assert all(stored.status not in ("RUNNING", "PAUSED") for stored in tree.values())
    assert engine.select("select id from horsies.tasks") == []
