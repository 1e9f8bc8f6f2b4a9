"""What the finishing statement is told of an end."""

from horsies_worker import failures
from horsies_worker.ends import ended
from horsies_worker.flight import Flight, Outcome

EXECUTORS = {1: (4711, "executor-1")}


def flight(*, run_us: int = 0) -> Flight:
    return Flight("a", 1, "task", "mail", "process", None, None, None, 0, 0, run_us=run_us)


def told(outcome: Outcome) -> tuple[object, object, object]:
    end = ended(outcome, lambda flight: None, EXECUTORS)
    return end["run_us"], end["pid"], end["name"]


def test_a_run_that_reported_its_end_is_told_with_its_time_and_process() -> None:
    """T-69."""
    reported = Outcome(flight(run_us=1500), "{}", "TASK_EXCEPTION", "no")
    assert told(reported) == (1500, 4711, "executor-1")
    # As is one whose result could not be stored, or that was cancelled when its time was up.
    assert told(failures.unstorable(flight(run_us=1500), "too long")) == (1500, 4711, "executor-1")
    assert told(failures.timed_out(flight(run_us=1500))) == (1500, 4711, "executor-1")


def test_a_run_that_could_not_report_leaves_its_begin_to_the_row() -> None:
    """T-69, R-104: in the place of its process there may be another by now."""
    assert told(failures.crashed(flight(), "ended")) == (None, None, None)
    assert told(failures.timed_out(flight())) == (None, None, None)


def test_what_a_stopped_run_says_to_it_is_not_its_outcome() -> None:
    """R-082, R-131: its time was up, or the worker ends by force; only async runs are still there to say something."""
    own = Outcome(flight(run_us=1), "{}", "TASK_EXCEPTION", "cancelled")
    assert failures.reported(own, late=False, is_forced=False) is own
    assert failures.reported(own, late=False, is_forced=True) is own
    assert failures.reported(own, late=True, is_forced=False).error_code == "TASK_TIMEOUT"
    own.flight.kind = "async"
    assert failures.reported(own, late=False, is_forced=True).error_code == "WORKER_CRASHED"
