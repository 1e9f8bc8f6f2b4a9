"""The app of `horsies demo`: a riding school with one task of every kind. The worker loads it by its name."""

import asyncio
import hashlib
import time
from datetime import UTC, datetime

from pydantic import BaseModel

from horsies import (
    AppConfig,
    CustomQueueConfig,
    Horsies,
    PostgresConfig,
    QueueMode,
    RetryPolicy,
    TaskError,
    TaskResult,
)

app = Horsies(
    AppConfig(
        # Replaced by the demo's own server, as `horsies dev` does it for every app.
        broker=PostgresConfig(database_url="postgresql://127.0.0.1/replaced-by-the-demo"),
        queue_mode=QueueMode.CUSTOM,
        custom_queues=[
            CustomQueueConfig(name="urgent", priority=1),
            CustomQueueConfig(name="stable", priority=50),
            CustomQueueConfig(name="bulk", priority=100),
        ],
        exception_mapper={KeyError: "UNKNOWN_HORSE"},
    )
)

BOXES = {"Bella": 3, "Diego": 7}


class Lesson(BaseModel):
    """What a rider books."""

    horse: str
    minutes: int
    starts_at: datetime


class Confirmation(BaseModel):
    """What the rider gets for it."""

    text: str
    price_cents: int


@app.task("demo.add", queue_name="stable")
def add(a: int, b: int) -> TaskResult[int, TaskError]:
    """The plainest task."""
    return TaskResult(ok=a + b)


@app.task("demo.book", queue_name="stable")
def book(lesson: Lesson) -> TaskResult[Confirmation, TaskError]:
    """Pydantic models in and out."""
    text = f"{lesson.horse}, {lesson.starts_at:%H:%M}, {lesson.minutes} min"
    return TaskResult(ok=Confirmation(text=text, price_cents=lesson.minutes * 75))


@app.task("demo.charge", queue_name="stable")
def charge(card: str, cents: int) -> TaskResult[str, TaskError]:
    """A domain error is a value, with a code of the app's own."""
    if card.endswith("0000"):
        return TaskResult(
            err=TaskError(error_code="CARD_DECLINED", message="the bank said no", data={"cents": cents})
        )
    return TaskResult(ok="paid")


@app.task("demo.share", queue_name="stable")
def share_hay(bales: int, horses: int) -> TaskResult[float, TaskError]:
    """Nobody thought of an empty stable."""
    return TaskResult(ok=bales / horses)


@app.task("demo.find_box", queue_name="stable")
def find_box(horse: str) -> TaskResult[int, TaskError]:
    """What it raises becomes an error code through the app's exception mapper."""
    return TaskResult(ok=BOXES[horse])


@app.task(
    "demo.saddle",
    queue_name="stable",
    retry_policy=RetryPolicy.fixed([1, 1, 1, 1, 1], jitter=False, auto_retry_for=["NOT_GROOMED_YET"]),
)
def saddle(horse: str, groomed_at: datetime) -> TaskResult[str, TaskError]:
    """Fails, and is retried, until the horse is groomed."""
    if datetime.now(UTC) < groomed_at:
        return TaskResult(err=TaskError(error_code="NOT_GROOMED_YET", message=f"{horse} is still dirty"))
    return TaskResult(ok=f"{horse} is ready")


@app.task("demo.wait_for_vet", queue_name="stable", timeout_ms=1000)
def wait_for_vet() -> TaskResult[None, TaskError]:
    """Takes longer than it may."""
    time.sleep(3600)
    return TaskResult(ok=None)


@app.task("demo.gallop", queue_name="stable")
async def gallop(lap_seconds: float) -> TaskResult[float, TaskError]:
    """Many of these run at once in one process."""
    await asyncio.sleep(lap_seconds)
    return TaskResult(ok=lap_seconds)


@app.task("demo.brand", queue_name="stable", executor="thread")
def brand(text: str) -> TaskResult[str, TaskError]:
    """Runs in a thread beside others."""
    return TaskResult(ok=hashlib.sha256(text.encode()).hexdigest())


@app.task("demo.count_straw", queue_name="bulk")
def count_straw(number: int) -> TaskResult[int, TaskError]:
    """One of very many."""
    return TaskResult(ok=number)


@app.task("demo.call_vet", queue_name="urgent")
def call_vet() -> TaskResult[str, TaskError]:
    """Overtakes all straw."""
    return TaskResult(ok="on the way")
