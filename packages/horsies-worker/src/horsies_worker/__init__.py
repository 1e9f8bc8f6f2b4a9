"""The runtime that claims and executes horsies tasks: `horsies worker`, `python -m horsies_worker`, `run_worker`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from horsies_worker.run import run_worker

__all__ = ["run_worker"]


def __getattr__(name: str) -> object:
    # Executors import this package too; they need nothing of the coordinator (15 MB and 100 ms each).
    if name == "run_worker":
        from horsies_worker.run import run_worker

        return run_worker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
