"""The runtime that claims and executes horsies tasks: `horsies worker`, `python -m horsies_worker`, `run_worker`."""

from horsies_worker.run import run_worker

__all__ = ["run_worker"]
