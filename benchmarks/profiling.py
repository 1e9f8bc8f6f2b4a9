"""`python -m benchmarks profile`: cProfile of the worker's coordinator while it drains a burst."""

import pstats
from dataclasses import replace
from pathlib import Path

from benchmarks import drain, systems
from benchmarks.session import Services

LINES = 45
RESULTS = Path(__file__).parent / "results"


def profile(services: Services, tasks: int) -> None:
    """Print the functions that took longest by themselves; the profile itself goes to benchmarks/results."""
    output = RESULTS / "worker.prof"
    output.parent.mkdir(exist_ok=True)
    plain = systems.horsies()
    profiled = replace(plain, worker=("-m", "cProfile", "-o", str(output), *plain.worker))
    values = drain.measure(profiled, services, tasks)
    print(f"{tasks:,} tasks under the profiler, {values['rate']:,.0f}/s; {output}")
    stats = pstats.Stats(str(output))
    stats.strip_dirs().sort_stats("tottime").print_stats(LINES)
