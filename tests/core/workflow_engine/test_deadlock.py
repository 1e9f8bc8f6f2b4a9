"""Eight clients on the same trees for a while: no deadlock, nothing that stays stuck, and the end is sound.

The short form runs with the other tests, the long one (10 minutes) with `make chaos`.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from horsies.embedded import EmbeddedServer, throwaway_directory
from tests.core.cycle_driver import Answer, Claim, failed
from tests.core.workflow_engine.engine import STEPS, Engine, N, ok, plan
from tests.core.workflow_engine.state import check_invariants, read_tree
from tests.fixtures.database import migrate_database

LONG = os.environ.get("HORSIES_CHAOS") == "long"
DURATION_S = float(os.environ.get("WORKFLOW_CROWD_SECONDS", "600" if LONG else "45"))
DRAIN_S = 300.0
CLIENTS = 8
MOST_TREES = 24
PATIENCE = 5
"""How many cycles find a tree busy before the waiting statement is used."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(DURATION_S + DRAIN_S + 60)]


@pytest.fixture
def private_server() -> Iterator[EmbeddedServer]:
    """A server whose log is this test's own."""
    with EmbeddedServer(throwaway_directory(), durable=False, remove=True) as server:
        migrate_database(server.url())
        yield server


def random_plan(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    """A tree of subworkflows comes of it as its steps are decided."""
    nodes: list[N] = []
    for index in range(chance.randint(2, 8)):
        deps = chance.sample([node.id for node in nodes], min(len(nodes), chance.randint(0, 2)))
        is_child = depth < 3 and chance.random() < 0.35
        nodes.append(
            N(
                f"n{index}",
                deps,
                join=chance.choice(["all", "any"]) if deps else "all",
                allow_failed=chance.random() < 0.5,
                conditions=not is_child and chance.random() < 0.1,
                child=f"kid {depth + 1}" if is_child else None,
            )
        )
    return plan(*nodes, name=f"kid {depth}", on_error=chance.choice(["fail", "fail", "pause"]))


class Client:
    """Starts, controls and works, all at random, until told to bring everything to its end."""

    def __init__(self, crowd: "Crowd", number: int) -> None:
        self.crowd = crowd
        self.engine = Engine(crowd.url)
        self.chance = random.Random(f"{crowd.seed} {number}")
        self.held: dict[str, tuple[Claim, dict[str, Any]]] = {}
        self.busy: Counter[str] = Counter()
        self.done: Counter[str] = crowd.done[number]
        self.actions: list[tuple[Callable[[], None], int]] = [
            (self.work, 50),
            (self.start, 8),
            (lambda: self.control(self.engine.pause), 8),
            (lambda: self.control(self.engine.resume), 16),
            (lambda: self.control(self.engine.cancel), 2),
            (self.expire, 1),
            (self.look, 3),
            (self.forget, 1),
            (self.bury_another, 1),
            (self.keep_house, 1),
        ]

    def run(self) -> None:
        """The whole life of the client."""
        try:
            what, how_often = zip(*self.actions, strict=True)
            while time.monotonic() < self.crowd.until and not self.crowd.problems:
                action = self.chance.choices(what, how_often)[0]
                action()
            while not (self.is_over() or self.crowd.problems):
                for (key,) in self.engine.select(
                    "select id::text from horsies.workflows where status = 'PAUSED'"
                ):
                    self.engine.resume(key)
                self.work()
                assert time.monotonic() < self.crowd.until + DRAIN_S, "something is stuck"
        except BaseException as problem:
            self.crowd.problems.append(problem)
        finally:
            self.engine.close()

    def is_over(self) -> bool:
        """Whether nothing is open any more."""
        return not self.held and not self.engine.select(
            "select 1 from horsies.workflows where status in ('RUNNING', 'PAUSED')"
            " union all select 1 from horsies.tasks limit 1"
        )

    # -- what it does

    def start(self) -> None:
        ((open_ones,),) = self.engine.select(
            "select count(*) from horsies.workflows where status in ('RUNNING', 'PAUSED') and id = root_id"
        )
        if open_ones < MOST_TREES:
            self.engine.start(random_plan(self.chance))
            self.done["trees"] += 1

    def control(self, action: Callable[[str], tuple[bool, bool]]) -> None:
        key = self.some_workflow("('RUNNING', 'PAUSED')")
        if key is not None and action(key)[1]:
            self.done[action.__name__] += 1

    def expire(self) -> None:
        key = self.some_workflow("('PAUSED')")
        if key is not None and self.engine.run("expire_workflow", id=key, policy_s=0.0, now=None) == [
            (True,)
        ]:
            self.done["expire"] += 1

    def look(self) -> None:
        key = self.some_workflow("('RUNNING', 'PAUSED')")
        if key is not None:
            self.engine.run("read_workflow", id=key, mark=True)
            self.engine.run("read_nodes", id=key)

    def forget(self) -> None:
        """The answers to its claims were lost (R-092)."""
        worker = self.engine.worker.worker_id
        self.engine.run("return_undispatched", worker=worker, kept="{}", generations="{}")
        self.held.clear()
        self.busy.clear()

    def bury_another(self) -> None:
        """Another client is taken for dead (R-112); what it ends later is lost."""
        worker = self.chance.choice(self.crowd.workers)
        rows = self.engine.select(
            "select id::text, claim_generation from horsies.tasks where worker_id = %s and status = 'RUNNING'",
            [worker],
        )
        ends = [
            {
                "id": key,
                "generation": generation,
                "status": "FAILED",
                "result": failed("WORKER_CRASHED"),
                "error_code": "WORKER_CRASHED",
                "outcome": "FAILED",
                "retry_s": self.chance.choice([0, None]),
            }
            for key, generation in rows
        ]
        answer = self.engine.run(
            "fail_running", worker=worker, ends=json.dumps(ends), threshold_ms=1, now=None
        )
        self.done["crashes"] += answer[0][0] or 0

    def keep_house(self) -> None:
        self.engine.run("cancel_orphans", limit=500, now=None)
        deleted = self.engine.run("clean_workflows", keep_hours=0, limit=500, now=None)
        self.done["rows deleted"] += len(deleted)

    def work(self) -> None:
        """Claim some, end some of what it holds; what is busy for long is written by the waiting statement."""
        ready = [key for key in self.held if self.chance.random() < 0.7]
        late = [key for key in ready if self.busy[key] >= PATIENCE]
        if late:
            self.wait_for(late)
        soon = [key for key in ready if key in self.held and key not in late]
        backs = [key for key in soon if self.chance.random() < 0.03]
        answer = self.engine.worker.cycle(
            ended=[self.held[key][1] for key in soon if key not in backs],
            back=tuple(self.held[key][0] for key in backs),
            places=self.chance.choice([0, 2, 6]) if self.held else 6,
        )
        self.settle(soon, answer.busy)
        self.take(answer)

    def wait_for(self, late: list[str]) -> None:
        ends = [self.held[key][1] for key in late]
        workflows = {str(end["workflow_id"]) for end in ends}
        try:
            self.engine.run(
                "finish_busy",
                worker=self.engine.worker.worker_id,
                workflows="{" + ",".join(workflows) + "}",
                node_ends=json.dumps(ends),
                node_backs=None,
                now=None,
            )
        except psycopg.errors.LockNotAvailable:
            self.done["waited in vain"] += 1
            return
        self.done["waited"] += len(late)
        self.settle(late, [])

    def settle(self, keys: list[str], busy: list[str]) -> None:
        self.busy.update(busy)
        for key in keys:
            if key not in busy:
                del self.held[key]
                del self.busy[key]
                self.done["ends"] += 1

    def take(self, answer: Answer) -> None:
        for claim in answer.claimed:
            self.held[claim.id] = claim, self.end(claim)

    def end(self, claim: Claim) -> dict[str, Any]:
        fails = self.chance.random() < 0.1
        result = ok(1)
        if claim.queue_name == STEPS:
            told = json.loads(claim.kwargs or "{}")
            decision: dict[str, Any] = {"decision": self.chance.choice(["run", "skip"])}
            if told["kind"] == "subworkflow":
                decision = {"decision": "child", "child": random_plan(self.chance, told["depth"] + 1)}
            result = json.dumps(decision)
        return {
            "id": claim.id,
            "generation": claim.generation,
            "workflow_id": claim.workflow_id,
            "status": "FAILED" if fails else "COMPLETED",
            "result": failed("BROKEN") if fails else result,
            "error_code": "BROKEN" if fails else None,
            "outcome": "FAILED",
            "retry_s": 0 if fails and self.chance.random() < 0.5 else None,
        }

    def some_workflow(self, statuses: str) -> str | None:
        found = self.engine.select(
            f"select id::text from horsies.workflows where status in {statuses} order by random() limit 1"
        )
        key: str | None = found[0][0] if found else None
        return key


class Crowd:
    """The clients, what they did, and what went wrong."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.seed = seed
        self.until = time.monotonic() + DURATION_S
        self.problems: list[BaseException] = []
        self.done = [Counter[str]() for _ in range(CLIENTS)]
        self.clients = [Client(self, number) for number in range(CLIENTS)]
        self.workers = [client.engine.worker.worker_id for client in self.clients]

    def run(self) -> Counter[str]:
        """All of them, side by side."""
        threads = [threading.Thread(target=client.run) for client in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(self.done, Counter[str]())


def test_no_deadlock_whatever_clients_do(private_server: EmbeddedServer) -> None:
    """W-41, W-94 to W-98, W-100, W-102: starts, claims, ends, returns, pauses, resumes, cancels, expiries, recovery and
    deletion on the same trees of subworkflows."""
    directory: Path = private_server.directory
    crowd = Crowd(private_server.url(), seed=int(os.environ.get("WORKFLOW_SEED", "1")))
    begun = time.monotonic()
    done = crowd.run()
    log = (directory / "postgres.log").read_text(errors="replace")
    deadlocks = log.count("deadlock detected")
    engine = Engine(private_server.url())
    roots = [key for (key,) in engine.select("select id::text from horsies.workflows where id = root_id")]
    statuses = Counter(status for (status,) in engine.select("select status from horsies.workflows"))
    print(
        f"\nWORKFLOW_SEED={crowd.seed}: {CLIENTS} clients, {time.monotonic() - begun:.0f} s, {dict(done)}, "
        f"left {dict(statuses)}, deadlocks {deadlocks}, problems {len(crowd.problems)}"
    )
    assert crowd.problems == []
    assert deadlocks == 0
    assert "starting PostgreSQL" in log, "this is the log that a deadlock would be in"
    assert statuses.keys() <= {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}
    assert engine.select("select id from horsies.tasks") == []
    for root in roots:
        check_invariants(read_tree(engine, root))
    engine.close()
