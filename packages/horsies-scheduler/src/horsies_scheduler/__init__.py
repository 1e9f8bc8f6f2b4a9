"""The service that enqueues recurring tasks: `horsies scheduler`, `python -m horsies_scheduler`, `run_scheduler`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from horsies_scheduler.run import run_scheduler

__all__ = ["run_scheduler"]


def __getattr__(name: str) -> object:
    # The command line imports this package to find its command; help needs nothing of the rest.
    if name == "run_scheduler":
        from horsies_scheduler.run import run_scheduler

        return run_scheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
