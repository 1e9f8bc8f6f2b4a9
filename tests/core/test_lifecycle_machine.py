"""Random lives of tasks on the real schema: sends, claims, ends, cancels, pauses, crashes, recovery, a moving clock.

Each step predicts what the schema's functions must do from the state before it, runs them, and compares every record
there is (T-40, T-44 to T-46, T-52, T-55 to T-70, T-83, T-84, CF-15, CF-16, D-004, D-010 to D-016, D-029, R-050, R-061,
R-070, R-110, R-112, R-113). `HORSIES_CHAOS=long` runs many more of them.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from horsies import RetryPolicy
from horsies.db import arrays
from horsies.db.drive import execute
from horsies.db.effects import Op, Run
from horsies.errors.codes import OperationalErrorCode
from horsies.ids import new_task_id
from horsies.ops import control, recover
from horsies.ops.enqueue import EnqueueRow, enqueue_keyed, enqueue_one, enqueue_replay
from horsies.ops.send import request_sha
from horsies.retry import retry_delay
from horsies.send_errors import format_utc
from horsies.send_plan import options_text
from horsies.sql import Statements
from horsies.state import TASK_TRANSITIONS, TaskStatus
from horsies.stored_policy import policy_of_options
from horsies_worker.low_water import LowWater
from tests.core.cycle_driver import Answer, Claim, CycleDriver, Marks
from tests.core.lifecycle_look import Look, Row, check_all, check_change, look

LONG = os.environ.get("HORSIES_CHAOS") == "long"
EXAMPLES = 1500 if LONG else 50
STEPS = 80 if LONG else 40

QUEUES = {"fast": 1, "mail": 10, "post": 10, "bulk": 90}
"""Name to rank; mail and post are of one rank and merged by their tasks' priority."""
SILENT_MS = 60_000
BEAT_MS = 10_000
KEYS = ("a", "b")
POLICY = RetryPolicy.fixed([1, 40], auto_retry_for=["BROKEN", "WORKER_CRASHED"], jitter=False)

PENDING, CLAIMED, RUNNING = TaskStatus.PENDING, TaskStatus.CLAIMED, TaskStatus.RUNNING
COMPLETED, FAILED = TaskStatus.COMPLETED, TaskStatus.FAILED
CANCELLED, EXPIRED = TaskStatus.CANCELLED, TaskStatus.EXPIRED

USUAL = {
    (None, PENDING),
    (PENDING, RUNNING),
    (PENDING, CANCELLED),
    (RUNNING, COMPLETED),
    (RUNNING, FAILED),
    (RUNNING, PENDING),
}
"""Moves that every run of this test makes; a long one makes all that there are."""

type Changes = dict[str, TaskStatus]
picks = st.integers(0, 999)


def no_jitter() -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is chosen about a send."""

    queue: str
    priority: int
    executor: str
    delay: int
    good_for: int | None
    key: str | None
    retries: bool
    retain: bool
    forever: bool


orders = st.builds(
    Order,
    queue=st.sampled_from(sorted(QUEUES)),
    priority=st.sampled_from([1, 50, 50, 100]),
    executor=st.sampled_from(["default", "process", "thread", "async"]),
    delay=st.sampled_from([0, 0, 0, 5, 300]),
    good_for=st.sampled_from([None, None, None, -1, 3, 60, 3600]),
    key=st.sampled_from([None, None, *KEYS]),
    retries=st.booleans(),
    retain=st.booleans(),
    forever=st.booleans(),
)


CHOICES: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "send": {"order": orders},
    "send_again": {"pick": picks, "altered": st.booleans(), "anew": st.booleans()},
    "rerun": {"pick": picks, "key": st.sampled_from([None, *KEYS])},
    "claim": {
        "pick": picks,
        "places": st.sampled_from([1, 1, 2, 3, 5, 0, 0]),
        "spare": st.sampled_from([0, 0, 1, 2]),
        "from_marks": st.sampled_from([False, False, True]),
    },
    "answer": {
        "pick": picks,
        "how": st.sampled_from(["ok", "ok", "BROKEN", "BROKEN", "OTHER", "back"]),
        "places": st.sampled_from([0, 0, 2]),
    },
    "end_claimed": {"pick": picks, "start": st.sampled_from([True, True, False])},
    "cancel": {"pick": picks, "include_running": st.booleans()},
    "pause_or_resume": {"queue": st.sampled_from(sorted(QUEUES)), "pause": st.booleans()},
    "wait_for": {"pick": picks},
    "time_passes": {"seconds": st.sampled_from([1, 2, 10, 41, 61, 61, 301, 90_000])},
    "dies_or_comes_back": {"pick": picks},
    "reap": {
        "step": st.sampled_from(["recover_claimed", "recover_running", "expire", "expire", "clean_keys"])
    },
}
"""The kinds of steps, and what is chosen about each."""
OFTEN = [
    *CHOICES,
    "send",
    "claim",
    "claim",
    "claim",
    "answer",
    "answer",
    "answer",
    "end_claimed",
    "time_passes",
    "reap",
]


@dataclass
class Hand:
    """A worker: what it was given and has not answered for, whether or not it still is its own."""

    driver: CycleDriver
    held: list[Claim]
    waiting: list[Claim]
    beats: bool = True
    marks: Marks = field(default_factory=dict[tuple[str, str, int], tuple[float, str]])

    def claims(self) -> list[Claim]:
        """Everything it was given."""
        return [*self.held, *self.waiting]


class Lives(RuleBasedStateMachine):
    """Tasks of four queues, three workers, one clock."""

    url = ""
    steps = 0
    moves: ClassVar[Counter[tuple[TaskStatus | None, TaskStatus]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.connection = psycopg.Connection[Any].connect(self.url, autocommit=True)
        self.statements = Statements("horsies")
        for table in ("tasks", "task_history", "idempotency_keys", "workers"):
            self.connection.execute(f"delete from horsies.{table}".encode())
        self.connection.execute(b"update horsies.queues set paused = false")
        self.now = datetime.now(UTC)
        self.before = Look()
        self.sent: list[EnqueueRow] = []
        self.hands: list[Hand] = []
        self.caps: Mapping[str, int | None] = {}
        self.cluster_cap: int | None = None

    def teardown(self) -> None:
        self.connection.close()

    @initialize(
        cap=st.sampled_from([None, None, 0, 1, 2]),
        cluster_cap=st.sampled_from([None, None, 3]),
        first=st.lists(orders, min_size=4, max_size=8),
    )
    def begin(self, cap: int | None, cluster_cap: int | None, first: list[Order]) -> None:
        """Three workers of one configuration, and something to do."""
        self.caps = {name: cap if name in ("mail", "bulk") else None for name in QUEUES}
        self.cluster_cap = cluster_cap
        served = {name: (rank, self.caps[name]) for name, rank in QUEUES.items()}
        for _ in range(3):
            hand = Hand(CycleDriver(self.connection, served, cluster_cap=cluster_cap), [], [])
            self.hands.append(hand)
            self.execute(
                "register_worker",
                id=hand.driver.worker_id,
                hostname="host",
                pid=1,
                version="0",
                heartbeat_interval_ms=BEAT_MS,
                snapshot="{}",
            )
        self.everybody_beats()
        self.settle({})
        for order in first:
            self.send(order)

    @rule(name=st.sampled_from(OFTEN), data=st.data())
    def step(self, name: str, data: st.DataObject) -> None:
        """Whatever comes next. With a rule for each kind of step, half of the kinds would be missing in most lives."""
        chosen = {key: data.draw(strategy, key) for key, strategy in CHOICES[name].items()}
        getattr(self, name)(**chosen)

    # -- sending

    def send(self, order: Order) -> None:
        """T-39, T-44 to T-46, T-55: a new request."""
        wait = order.good_for
        good_until = None if wait is None else format_utc(self.now + timedelta(seconds=wait))
        policy = POLICY if order.retries else None
        row = EnqueueRow(
            id=new_task_id(),
            task_name="work",
            queue_name=order.queue,
            priority=order.priority,
            executor=order.executor,
            enqueue_sha=f"{len(self.sent):064x}",
            kwargs='{"n":1}',
            options=options_text(policy, good_until, None),
            timeout_ms=None,
            sent_at=format_utc(self.now),
            delay_s=order.delay,
            good_until=good_until,
            max_retries=0 if policy is None else policy.max_retries,
            retention_class="forever" if order.forever else "standard_30d",
            retain_rerun_input=order.retain,
            channel="c",
            idempotency_key=order.key,
        )
        self.insert(row, fresh=True)

    def send_again(self, pick: int, *, altered: bool, anew: bool) -> None:
        """T-40, D-013: the send whose answer was lost, or another under its id; `anew`: its key again (T-45, T-46)."""
        if not self.sent:
            return
        ended = [row for row in self.sent if row.id in self.before.history]
        able = ended if ended and pick % 2 else self.sent
        row = able[pick // 2 % len(able)]
        if anew and row.idempotency_key is not None:
            kwargs = '{"n":2}' if altered else row.kwargs
            self.insert(replace(row, id=new_task_id(), kwargs=kwargs), fresh=True)
        else:
            self.insert(replace(row, enqueue_sha="f" * 64) if altered else row, fresh=False)

    def insert(self, row: EnqueueRow, *, fresh: bool) -> None:
        present = self.before.row(row.id)
        if row.idempotency_key is None:
            if fresh:
                self.run(enqueue_one(row, self.now))
                outcome = "inserted"
            else:
                outcome = self.run(enqueue_replay(row, self.now))
            expected, holder = self.replay_outcome(row), row.id
        else:
            outcome, given = self.run(enqueue_keyed(row, request_sha(row), self.now, fresh=fresh))
            held = self.before.keys.get((row.task_name, row.idempotency_key))
            if held is not None and (held["expires_at"] is None or held["expires_at"] > self.now):
                holder = str(held["task_id"])
                expected = "same" if held["request_sha"] == request_sha(row) else "conflict"
                if not fresh and present is not None and holder != row.id:
                    # It got in, and its key has another holder by now.
                    expected, holder = self.replay_outcome(row), row.id
            else:
                expected, holder = self.replay_outcome(row), row.id
            assert given == holder
        assert outcome == expected
        if outcome == "inserted":
            assert present is None
            self.sent.append(row)
        self.settle({row.id: PENDING} if outcome == "inserted" else {})

    def replay_outcome(self, row: EnqueueRow) -> str:
        present = self.before.row(row.id)
        if present is None:
            return "inserted"
        return "same" if present["enqueue_sha"] == row.enqueue_sha else "different"

    def rerun(self, pick: int, key: str | None) -> None:
        """T-82, T-83: in the order live, eligibility, input, key."""
        if not self.sent:
            return
        source = self.sent[pick % len(self.sent)]
        row = control.RerunRow(
            source_id=source.id,
            id=new_task_id(),
            deadline=None,
            key=key,
            keep=timedelta(hours=24),
            classes={},
            retention_class=None,
            retain=True,
            sent_at=format_utc(self.now),
        )
        done = self.run(control.rerun(row, self.now))
        ended = self.before.history.get(source.id)
        if ended is None:
            expected = "live"
        elif ended["status"] == "COMPLETED":
            expected = "completed"
        elif not ended["retain_rerun_input"]:
            expected = "declined"
        else:
            held = self.before.keys.get(("work", key)) if key else None
            is_held = held is not None and (held["expires_at"] is None or held["expires_at"] > self.now)
            expected = "enqueued"
            if is_held and held is not None:
                holder = self.before.row(str(held["task_id"]))
                assert holder is not None
                expected = "same" if str(holder["rerun_of"]) == source.id else "conflict"
        assert done.outcome == expected
        if done.outcome == "enqueued":
            stored = replace(
                source, id=row.id, idempotency_key=key, enqueue_sha="rerun", retain_rerun_input=True
            )
            self.sent.append(stored)
        self.settle({row.id: PENDING} if done.outcome == "enqueued" else {})
        if done.outcome == "enqueued" and ended is not None:
            new = self.before.live[row.id]
            assert str(new["rerun_of"]) == source.id
            assert new["rerun_root"] == (ended["rerun_root"] or ended["id"])
            assert new["kwargs"] == ended["kwargs"]

    # -- claiming

    def claim(self, pick: int, places: int, spare: int, *, from_marks: bool) -> None:
        """T-56, T-58, R-050, R-061, CF-14 to CF-17: exactly the rows that are first, never more than the caps allow.

        `spare` more are held (prefetch), none of a capped queue. D-029: from the marks of this worker's former claims,
        of those that are not below one.
        """
        hand = self.hands[pick % len(self.hands)]
        if self.cluster_cap is not None:
            spare = 0  # every queue counts as capped
        if places + spare == 0:
            return
        marks = hand.marks if from_marks and hand.marks else None
        spans = None if marks is None else spans_of(marks)
        spots = [1] * places + [0] * spare
        answer = self.cycle(lambda: hand.driver.cycle(places=spots, spans=spans, now=self.now))
        self.claimed(hand, answer, (places, spare), {}, marks)

    def claimed(
        self, hand: Hand, answer: Answer, places: tuple[int, int], ends: Changes, marks: Marks | None = None
    ) -> None:
        """After a cycle that ended `ends` first, with so many free places and places to hold rows for."""
        ended_now = {i for i, status in ends.items() if status is not PENDING}
        expected = self.first_in_order(places, ended_now, marks)
        changes: Changes = {}
        started: list[str] = []
        kept: list[str] = []
        overdue: list[str] = []
        for nth, row in enumerate(expected):
            task_id = str(row["id"])
            is_overdue = row["good_until"] is not None and row["good_until"] <= self.now
            (overdue if is_overdue else started if nth < places[0] else kept).append(task_id)
            changes[task_id] = RUNNING if task_id in started else CLAIMED
        assert answer.ids == started
        assert [claim.id for claim in answer.prefetched] == kept
        assert [claim.id for claim in answer.expired] == overdue
        hand.held += answer.claimed
        hand.waiting += [*answer.prefetched, *answer.expired]
        passed = [row for row in self.due(ended_now, marks) if str(row["id"]) not in changes]
        assert all(is_above(row, answer.marks) for row in passed), "a mark says that rows are behind it"
        hand.marks = (marks or {}) | answer.marks
        self.settle(ends | changes)
        for claim in [*answer.claimed, *answer.prefetched, *answer.expired]:
            row = self.before.live[claim.id]
            assert (str(row["worker_id"]), row["claim_generation"]) == (
                hand.driver.worker_id,
                claim.generation,
            )

    def first_in_order(self, places: tuple[int, int], ended: set[str], marks: Marks | None) -> list[Row]:
        live = self.still_live(ended)
        flying = [row["queue_name"] for row in live if row["status"] != "PENDING"]
        room = {name: None if cap is None else cap - flying.count(name) for name, cap in self.caps.items()}
        free, spare = places
        if self.cluster_cap is not None:
            free = min(free, self.cluster_cap - len(flying))
        taken: list[Row] = []
        for row in self.due(ended, marks):
            queue_room = room[row["queue_name"]]
            if len(taken) >= free + spare:
                break
            if queue_room is not None:
                if queue_room <= 0 or len(taken) >= free:
                    continue
                room[row["queue_name"]] = queue_room - 1
            taken.append(row)
        return taken

    def still_live(self, ended: set[str]) -> list[Row]:
        return [row for task_id, row in self.before.live.items() if task_id not in ended]

    def due(self, ended: set[str], marks: Marks | None) -> list[Row]:
        """What a claim comes upon, in its order."""
        due = [
            row
            for row in self.still_live(ended)
            if row["status"] == "PENDING"
            and row["enqueued_at"] <= self.now
            and row["queue_name"] not in self.before.paused
            and is_above(row, marks)
        ]
        return sorted(
            due, key=lambda row: (QUEUES[row["queue_name"]], row["priority"], row["enqueued_at"], row["id"])
        )

    # -- ends

    def answer(self, pick: int, how: str, places: int) -> None:
        """R-070: a worker answers for a claim; if it is not its own any more, nothing happens."""
        hands = [hand for hand in self.hands if hand.held]
        if not hands:
            return
        hand = hands[pick % len(hands)]
        claim = hand.held.pop(pick // len(hands) % len(hand.held))
        if how == "ok":
            self.complete(hand, claim, places)
        elif how == "back":
            self.hand_back(hand, claim)
        else:
            self.fail(hand, claim, how)

    def complete(self, hand: Hand, claim: Claim, places: int) -> None:
        """T-60, T-66: COMPLETED; what is claimed in the same cycle has the room that this leaves."""
        owned = self.owns(hand, claim)
        answer = self.cycle(lambda: hand.driver.cycle(completed=(claim,), places=places, now=self.now))
        assert answer.lost == ([] if owned else [claim.id])
        self.claimed(hand, answer, (places, 0), {claim.id: COMPLETED} if owned else {})

    def fail(self, hand: Hand, claim: Claim, code: str) -> None:
        """T-52, T-61, T-62, M-054: retried while policy and deadline allow it, else FAILED; CANCELLED on request."""
        owned = self.owns(hand, claim)
        retry_s = self.retry_s(claim.id, code) if owned else None
        expected = self.failure(claim.id, retry_s) if owned else None
        answer = self.cycle(lambda: hand.driver.fail(claim, code, retry_s=retry_s, now=self.now))
        assert answer.lost == ([] if owned else [claim.id])
        assert answer.retried == ([claim.id] if expected is PENDING else [])
        self.settle({} if expected is None else {claim.id: expected})

    def hand_back(self, hand: Hand, claim: Claim) -> None:
        """T-59, T-70, R-075: it had not begun; no attempt. On request it ends instead (M-051)."""
        owned = self.owns(hand, claim)
        self.cycle(lambda: hand.driver.hand_back(claim, now=self.now))
        self.settle({claim.id: self.returned(claim.id)} if owned else {})

    def end_claimed(self, pick: int, *, start: bool) -> None:
        """T-58, T-59, T-64, R-071: what was only held is started or given back, or its deadline has passed."""
        hands = [hand for hand in self.hands if hand.waiting]
        if not hands:
            return
        hand = hands[pick % len(hands)]
        claim = hand.waiting.pop(pick % len(hand.waiting))
        owned = self.owns(hand, claim)
        row = self.before.live.get(claim.id)
        is_late = row is None or (row["good_until"] is not None and row["good_until"] <= self.now)
        if start and not (owned and is_late):
            self.start_held(hand, claim, owned=owned)
        elif owned and not is_late:
            self.cycle(lambda: hand.driver.hand_back(claim, now=self.now))
            self.settle({claim.id: PENDING})
        else:
            answer = self.cycle(
                lambda: hand.driver.fail(claim, "TASK_EXPIRED", status="EXPIRED", now=self.now)
            )
            assert answer.lost == ([] if owned else [claim.id])
            self.settle({claim.id: EXPIRED} if owned else {})

    def start_held(self, hand: Hand, claim: Claim, *, owned: bool) -> None:
        """R-061, R-071: not of a paused queue, whose rows go back."""
        answer = self.cycle(lambda: hand.driver.cycle(starts=[claim], now=self.now))
        is_paused = claim.queue_name in self.before.paused
        assert answer.started == ([claim.id] if owned and not is_paused else [])
        assert answer.late == []
        hand.held += [claim] if answer.started else []
        self.settle({claim.id: PENDING if is_paused else RUNNING} if owned else {})

    def owns(self, hand: Hand, claim: Claim) -> bool:
        row = self.before.live.get(claim.id)
        return row is not None and (str(row["worker_id"]), row["claim_generation"]) == (
            hand.driver.worker_id,
            claim.generation,
        )

    def retry_s(self, task_id: str, code: str) -> float | None:
        row = self.before.live[task_id]
        policy = policy_of_options(row["options"])
        if row["retry_count"] >= row["max_retries"]:
            return None
        return retry_delay(policy, row["retry_count"], code, no_jitter)

    def failure(self, task_id: str, retry_s: float | None) -> TaskStatus:
        row = self.before.live[task_id]
        if row["cancel_requested_at"] is not None:
            return CANCELLED
        if retry_s is None:
            return FAILED
        due = self.now + timedelta(seconds=retry_s)
        return PENDING if row["good_until"] is None or due < row["good_until"] else FAILED

    def returned(self, task_id: str) -> TaskStatus:
        return CANCELLED if self.before.live[task_id]["cancel_requested_at"] is not None else PENDING

    # -- operators

    def cancel(self, pick: int, *, include_running: bool) -> None:
        """T-65, T-67, M-050 to M-053; mostly of tasks in the hands of a worker."""
        if not self.sent:
            return
        wanted = RUNNING if include_running else CLAIMED
        able = [i for i, row in sorted(self.before.live.items()) if row["status"] == wanted]
        if not able or pick % 4 == 0:
            able = [*sorted(self.before.live), self.sent[pick % len(self.sent)].id]
        task_id = able[pick % len(able)]
        status = self.before.status(task_id)
        done = self.run(
            control.cancel(
                "horsies", task_id, include_running=include_running, by="me", wait_s=0, now=self.now
            )
        )
        assert status is not None
        assert done.was is status
        if status.is_terminal:
            expected = "ended"
        elif status is RUNNING:
            expected = "requested" if include_running else "running"
        else:
            expected = "cancelled"
        assert done.outcome == expected
        if expected == "requested":
            self.note_request(task_id)
        self.settle({task_id: CANCELLED} if expected == "cancelled" else {})

    def note_request(self, task_id: str) -> None:
        """The only step that changes a row which stays where it is: the mark of the first request."""
        old, new = self.before.live[task_id], look(self.connection).live[task_id]
        changed = {name for name, value in new.items() if old[name] != value}
        marks = set[str]() if old["cancel_requested_at"] else {"cancel_requested_at", "cancel_requested_by"}
        assert changed == marks
        self.before = replace(self.before, live={**self.before.live, task_id: new})

    def pause_or_resume(self, queue: str, *, pause: bool) -> None:
        """R-061, M-070, T-59: what is CLAIMED goes back, what runs goes on."""
        changes: Changes = {}
        if pause:
            done = self.run(control.pause_queue(queue, "me", (QUEUES[queue], self.caps[queue]), self.now))
            assert done.changed == (queue not in self.before.paused)
            if done.changed:
                changes = {
                    task_id: PENDING
                    for task_id, row in self.before.live.items()
                    if row["queue_name"] == queue and row["status"] == "CLAIMED"
                }
        else:
            done = self.run(control.resume_queue(queue, "me", self.now))
            assert done.changed == (queue in self.before.paused)
        self.settle(changes)

    def wait_for(self, pick: int) -> None:
        """D-047: the mark of a waiter changes nothing else."""
        if not self.sent:
            return
        task_id = self.sent[pick % len(self.sent)].id
        self.execute("read_result", id=task_id, mark=True)
        row = self.before.live.get(task_id)
        if row is not None:
            self.before = replace(self.before, live={**self.before.live, task_id: {**row, "awaited": True}})
        self.settle({})

    # -- time, deaths, recovery

    def time_passes(self, seconds: int) -> None:
        """D-004: workers that live beat meanwhile."""
        self.now += timedelta(seconds=seconds)
        self.everybody_beats()
        self.settle({})

    def dies_or_comes_back(self, pick: int) -> None:
        """A worker that is stopped, or hangs: it may come back and believe in what it held."""
        hand = self.hands[pick % len(self.hands)]
        hand.beats = not hand.beats

    def everybody_beats(self) -> None:
        """R-070, R-090: each is told what it has lost, and what of its own is to be stopped."""
        for hand in self.hands:
            if not hand.beats:
                continue
            claims = hand.claims()
            rows = self.execute(
                "heartbeat",
                id=hand.driver.worker_id,
                state="running",
                snapshot="{}",
                ids=arrays.plain(claim.id for claim in claims),
                generations=arrays.plain(claim.generation for claim in claims),
                now=self.now,
            )
            lost = {(claim.id, claim.generation) for claim in claims if not self.owns(hand, claim)}
            assert {(task_id, n) for tag, task_id, n in rows if tag == "lost"} == lost
            assert {task_id for tag, task_id, _ in rows if tag == "cancel"} == {
                task_id
                for task_id, row in self.before.live.items()
                if str(row["worker_id"]) == hand.driver.worker_id and row["cancel_requested_at"] is not None
            }

    def of_silent(self, status: str) -> list[str]:
        """Tasks in this status whose worker has been silent for too long (CF-29)."""
        limit = timedelta(milliseconds=max(SILENT_MS, 2 * BEAT_MS))
        return [
            task_id
            for task_id, row in self.before.live.items()
            if row["status"] == status
            and self.before.workers[str(row["worker_id"])]["heartbeat_at"] < self.now - limit
        ]

    def reap(self, step: str) -> None:
        """A pass of somebody's reaper."""
        getattr(self, step)()

    def recover_claimed(self) -> None:
        """R-110: back without an attempt."""
        expected = self.of_silent("CLAIMED")
        done = self.run(recover.requeue_claimed(SILENT_MS, self.now))
        assert (done.handled, done.refused) == (len(expected), {})
        self.settle(dict.fromkeys(expected, PENDING))

    def recover_running(self) -> None:
        """R-112, R-104: retried if WORKER_CRASHED is listed, else FAILED."""
        code = OperationalErrorCode.WORKER_CRASHED
        expected = {i: self.failure(i, self.retry_s(i, code)) for i in self.of_silent("RUNNING")}
        done = self.run(recover.fail_stale_running(SILENT_MS, self.now, random=no_jitter))
        assert (done.handled, done.refused) == (len(expected), {})
        assert done.retried == list(expected.values()).count(PENDING)
        self.settle(expected)

    def expire(self) -> None:
        """T-63, R-113: what waits past its deadline."""
        expected = [
            task_id
            for task_id, row in self.before.live.items()
            if row["status"] == "PENDING" and row["good_until"] is not None and row["good_until"] <= self.now
        ]
        done = self.run(recover.expire_pending(self.now))
        assert (done.handled, done.refused) == (len(expected), {})
        self.settle(dict.fromkeys(expected, EXPIRED))

    def clean_keys(self) -> None:
        """R-115: keys that ran out; those of live tasks never do (D-014)."""
        self.execute("clean_keys", now=self.now, limit=100)
        self.settle({})
        assert all(
            held["expires_at"] is None or held["expires_at"] > self.now for held in self.before.keys.values()
        )

    # -- the machinery

    def cycle(self, call: Callable[[], Answer]) -> Answer:
        """A worker's cycle; a missing day of history is made as the worker makes it (D-031)."""
        try:
            return call()
        except psycopg.errors.CheckViolation as error:
            if error.diag.constraint_name is not None:
                raise
            for name in ("standard_30d", "forever"):
                self.execute("ensure_history", **{"class": name, "now": self.now})
            return call()

    def run[R](self, op: Op[R]) -> R:
        return run_op(self.connection, self.statements, op)

    def execute(self, name: str, **params: object) -> list[tuple[Any, ...]]:
        return execute(self.connection, self.statements[name], params)

    def settle(self, changes: Changes) -> None:
        """Compare with what should have happened; the state after becomes the state before the next step."""
        after = look(self.connection)
        check_change(self.before, after, changes, self.now)
        type(self).steps += 1
        self.moves.update((self.before.status(task_id), status) for task_id, status in changes.items())
        check_all(after)
        self.check_caps(after)
        self.before = after

    def check_caps(self, after: Look) -> None:
        """CF-15, CF-16."""
        flying = [row["queue_name"] for row in after.live.values() if row["status"] != "PENDING"]
        assert self.cluster_cap is None or len(flying) <= self.cluster_cap
        for name, cap in self.caps.items():
            assert cap is None or flying.count(name) <= cap


def run_op[R](connection: psycopg.Connection[Any], statements: Statements, op: Op[R]) -> R:
    """As the broker's driver, on one connection: what the database refuses is thrown into the operation."""
    try:
        effect = next(op)
        while True:
            assert isinstance(effect, Run)
            try:
                rows = execute(connection, statements[effect.name], effect.params)
            except psycopg.Error as error:
                effect = op.throw(error)
            else:
                effect = op.send(rows)
    except StopIteration as stop:
        result: R = stop.value
        return result


@pytest.mark.chaos
@pytest.mark.timeout(3600 if LONG else 300)
def test_random_lives(database_url: str) -> None:
    """The module's rules, over random steps."""

    class Here(Lives):
        url = database_url

    run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType]
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            phases=(Phase.generate, Phase.shrink),
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not LONG,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.filter_too_much,
                HealthCheck.data_too_large,
            ],
            database=None,
            print_blob=True,
        ),
    )
    print(f"{Here.steps} steps in {EXAMPLES} lives: {shown(Here.moves)}")
    assert Here.moves.keys() >= USUAL, (
        "the steps do not reach the usual moves, so they prove less than they say"
    )
    missing = {(was, to) for was, moves in TASK_TRANSITIONS.items() for to in moves} - Here.moves.keys()
    assert not LONG or not missing


def spans_of(marks: Marks) -> str:
    """What a worker with these marks looks into."""
    low = LowWater(60.0)
    noted = [(*key, *start) for key, start in marks.items()]
    low.answered(0.0, 1.0, noted, from_front=True, is_slow=False, is_full=True)
    spans = low.next(1.0)
    assert spans is not None
    return spans


def is_above(row: Row, marks: Marks | None) -> bool:
    """Whether a claim from these marks comes upon a row."""
    start = (marks or {}).get((row["queue_name"], row["executor"], row["priority"]))
    return start is None or (row["enqueued_at"], str(row["id"])) >= (
        datetime.fromtimestamp(start[0], UTC),
        start[1],
    )


def shown(moves: Counter[tuple[TaskStatus | None, TaskStatus]]) -> str:
    return ", ".join(f"{was or 'new'}->{status} {n}" for (was, status), n in sorted(moves.items(), key=str))
