"""What `horsies demo` does, step by step; every step checks its own outcome."""

import bisect
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from horsies import (
    OperationalErrorCode,
    OutcomeCode,
    RetrievalCode,
    TaskError,
    TaskHandle,
    TaskResult,
    TaskSendResult,
    is_err,
)
from horsies_cli import demo_app

BULK = 5000
ROUND_TRIPS = 200
ASYNC_TASKS = 20
LAP_SECONDS = 0.5
_PATIENCE_MS = 20_000
_SLICE_MS = 250
_LOOK_SECONDS = 0.05


class UnexpectedError(Exception):
    """Something came out that a working installation does not give."""


@dataclass(slots=True)
class Tally:
    """What is counted and measured on the way."""

    completed: int = 0
    failed: int = 0
    expired: int = 0
    round_trips_ms: list[float] = field(default_factory=list[float])
    sent_per_second: float = 0.0
    done_per_second: float = 0.0
    overtaken: int = 0

    @property
    def tasks(self) -> int:
        """All of them."""
        return self.completed + self.failed + self.expired


@dataclass(frozen=True, slots=True)
class Tools:
    """What a step works with: the tally, whether the worker still lives, and how far a long step is."""

    tally: Tally
    check_worker: Callable[[], None]
    progress: Callable[[int, int], None]

    def sent[T](self, result: TaskSendResult[TaskHandle[T]]) -> TaskHandle[T]:
        """The handle of a send that must have worked."""
        if is_err(result):
            raise UnexpectedError(f"a send was refused: {result.err_value}")
        return result.ok_value

    def outcome[T](self, handle: TaskHandle[T]) -> TaskResult[T, TaskError]:
        """The end of a task, counted."""
        deadline = time.monotonic() + _PATIENCE_MS / 1000
        while True:
            self.check_worker()
            outcome = handle.get(_SLICE_MS)
            if outcome.is_ok():
                self.tally.completed += 1
                return outcome
            code = outcome.err_value.error_code
            if code == OutcomeCode.TASK_EXPIRED:
                self.tally.expired += 1
                return outcome
            if code != RetrievalCode.WAIT_TIMEOUT:
                self.tally.failed += 1
                return outcome
            if time.monotonic() > deadline:
                raise UnexpectedError(f"task {handle.task_id} did not end within {_PATIENCE_MS // 1000} s")

    def value[T](self, handle: TaskHandle[T]) -> T:
        """The value of a task that must succeed."""
        outcome = self.outcome(handle)
        if outcome.is_err():
            raise UnexpectedError(f"a task failed: {outcome.err_value}")
        return outcome.unwrap()

    def error[T](self, handle: TaskHandle[T], code: object) -> TaskError:
        """The error of a task that must fail with this code."""
        outcome = self.outcome(handle)
        if outcome.is_ok() or outcome.err_value.error_code != code:
            raise UnexpectedError(f"expected an error {code}, got {outcome}")
        return outcome.err_value


def expect(seen: object, wanted: object) -> None:
    """Fail the step unless both are equal."""
    if seen != wanted:
        raise UnexpectedError(f"expected {wanted!r}, got {seen!r}")


def plain(tools: Tools) -> str:
    """The first task also waits for the worker to come up."""
    expect(tools.value(tools.sent(demo_app.add.send(19, 23))), 42)
    return "the worker is up: add(19, 23) gives 42"


def round_trips(tools: Tools) -> str:
    """One after the other, so that each time is that of one task alone."""
    for number in range(ROUND_TRIPS):
        start = time.perf_counter()
        expect(tools.value(tools.sent(demo_app.add.send(number, 1))), number + 1)
        tools.tally.round_trips_ms.append((time.perf_counter() - start) * 1000)
        tools.progress(number + 1, ROUND_TRIPS)
    return f"median {statistics.median(tools.tally.round_trips_ms):.1f} ms from send to result"


def models(tools: Tools) -> str:
    """Typed on both sides."""
    lesson = demo_app.Lesson(horse="Bella", minutes=60, starts_at=datetime(2030, 5, 1, 9, 30, tzinfo=UTC))
    confirmation = tools.value(tools.sent(demo_app.book.send(lesson)))
    expect(confirmation, demo_app.Confirmation(text="Bella, 09:30, 60 min", price_cents=4500))
    return f"{type(confirmation).__name__}({confirmation.text!r})"


def domain_error(tools: Tools) -> str:
    """An error is a value too."""
    error = tools.error(tools.sent(demo_app.charge.send("4111-0000", 4500)), "CARD_DECLINED")
    expect(error.data, {"cents": 4500})
    return f"{error.error_code}: {error.message}"


def exceptions(tools: Tools) -> str:
    """Nothing a task raises gets lost."""
    error = tools.error(tools.sent(demo_app.share_hay.send(10, 0)), OperationalErrorCode.UNHANDLED_EXCEPTION)
    mapped = tools.error(tools.sent(demo_app.find_box.send("Pegasus")), "UNKNOWN_HORSE")
    expect((error.message or "").startswith("Unhandled exception in task share_hay: "), True)
    return f"{error.error_code}; KeyError: {mapped.error_code}"


def retries(tools: Tools) -> str:
    """Twice too early, then in time."""
    handle = tools.sent(demo_app.saddle.send("Diego", datetime.now(UTC) + timedelta(seconds=1.5)))
    expect(tools.value(handle), "Diego is ready")
    info = handle.info(include_attempts=True).unwrap()
    recorded = [] if info is None or info.attempts is None else info.attempts
    attempts = sorted(recorded, key=lambda attempt: attempt.attempt)
    if len(attempts) < 2:
        raise UnexpectedError(f"expected several attempts, got {attempts}")
    return f"{len(attempts)} attempts: {', '.join(a.error_code or 'ok' for a in attempts)}"


def timeout(tools: Tools) -> str:
    """Its process is killed; the worker goes on."""
    start = time.perf_counter()
    tools.error(tools.sent(demo_app.wait_for_vet.send()), OutcomeCode.TASK_TIMEOUT)
    return f"TASK_TIMEOUT after {time.perf_counter() - start:.1f} s"


def delayed(tools: Tools) -> str:
    """Not before its time."""
    start = time.perf_counter()
    expect(tools.value(tools.sent(demo_app.add.schedule(1, 1, 1))), 2)
    waited = time.perf_counter() - start
    if waited < 1:
        raise UnexpectedError(f"a task delayed by 1 s was done after {waited:.2f} s")
    return f"due in 1.0 s, done after {waited:.2f} s"


def deadline(tools: Tools) -> str:
    """Too late is too late."""
    late = demo_app.add.with_options(good_until=datetime.now(UTC) - timedelta(seconds=1))
    tools.error(tools.sent(late.send(1, 1)), OutcomeCode.TASK_EXPIRED)
    return "TASK_EXPIRED, never started"


def idempotency(tools: Tools) -> str:
    """The same key, the same task."""
    once = demo_app.add.with_options(idempotency_key="lesson-17")
    first, second = tools.sent(once.send(1, 2)), tools.sent(once.send(1, 2))
    expect(second.task_id, first.task_id)
    expect(tools.value(first), 3)
    return "sent twice with one key, run once"


def asynchronous(tools: Tools) -> str:
    """Waiting costs nothing."""
    start = time.perf_counter()
    laps = [{"lap_seconds": LAP_SECONDS} for _ in range(ASYNC_TASKS)]
    for handle in _all(demo_app.gallop.send_many(laps)):
        tools.value(handle)
    return f"{ASYNC_TASKS} x {LAP_SECONDS} s of waiting in {time.perf_counter() - start:.1f} s"


def threads(tools: Tools) -> str:
    """The third way to run a task."""
    digest = tools.value(tools.sent(demo_app.brand.send("Bella")))
    return f"sha256 {digest[:12]}..."


def bulk(tools: Tools) -> str:
    """Many at once, and one that overtakes them."""
    start = time.perf_counter()
    handles = _all(demo_app.count_straw.send_many([{"number": number} for number in range(BULK)]))
    sent = time.perf_counter()
    expect(tools.value(tools.sent(demo_app.call_vet.send())), "on the way")
    overtaken = BULK - _finished(handles)
    while (finished := _finished(handles)) < BULK:
        tools.check_worker()
        tools.progress(finished, BULK)
        time.sleep(_LOOK_SECONDS)
    end = time.perf_counter()
    for number, handle in enumerate(handles):
        expect(tools.value(handle), number)
    tools.tally.sent_per_second = BULK / (sent - start)
    tools.tally.done_per_second = BULK / (end - start)
    tools.tally.overtaken = overtaken
    return f"{BULK} done in {end - start:.1f} s; an urgent task overtook {overtaken}"


def _all[T](result: TaskSendResult[list[TaskHandle[T]]]) -> list[TaskHandle[T]]:
    if is_err(result):
        raise UnexpectedError(f"a send was refused: {result.err_value}")
    return result.ok_value


def _finished[T](handles: Sequence[TaskHandle[T]]) -> int:
    """How many have ended, found with a dozen reads: what was sent first ends first, give or take a few."""
    return bisect.bisect_left(range(len(handles)), True, key=lambda index: not _has_ended(handles[index]))


def _has_ended[T](handle: TaskHandle[T]) -> bool:
    info = handle.info().unwrap()
    return info is not None and info.status.is_terminal


STEPS: Sequence[tuple[str, Callable[[Tools], str]]] = (
    ("A first task", plain),
    (f"{ROUND_TRIPS} round trips", round_trips),
    ("Pydantic in and out", models),
    ("A domain error", domain_error),
    ("Uncaught exceptions", exceptions),
    ("Retries", retries),
    ("A timeout", timeout),
    ("A delayed task", delayed),
    ("A deadline", deadline),
    ("An idempotency key", idempotency),
    ("Async tasks", asynchronous),
    ("A thread task", threads),
    ("Bulk and priorities", bulk),
)
"""The demo: the title of each step, and what it does."""
