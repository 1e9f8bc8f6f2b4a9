"""The celery side of the workflow measure: the tasks of chains and chords, beside the no-op task."""

from benchmarks.peers.celery.app import app, mark

__all__ = ["app"]


@app.task(name="step")
def step(before: int, n: int) -> int:
    """One more than the task before."""
    mark(n)
    return before + 1


@app.task(name="item")
def item(n: int) -> int:
    mark(n)
    return n


@app.task(name="total")
def total(values: list[int], n: int) -> int:
    """The sum of what the others returned."""
    mark(n)
    return sum(values)
