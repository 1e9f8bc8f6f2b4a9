"""`python -m benchmarks`: all measures of horsies, the floors and the peers, interleaved, in one run."""

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks import (
    drain,
    enqueue,
    fixed_costs,
    growth,
    idle,
    latency,
    profiling,
    report,
    server,
    systems,
    workflows,
)
from benchmarks.envs import EnvironmentMissingError, horsies_core_environment
from benchmarks.floors import Floors
from benchmarks.marks import Marks
from benchmarks.report import Results
from benchmarks.session import Services, SystemFailedError
from benchmarks.systems import System

MEASURES = ("imports", "size", "enqueue", "latency", "drain", "recycling", "growth", "workflows", "idle")
HERE = Path(__file__).parent
IDLE_EXECUTORS = (1, 8)
"""Further idle workers, beside the one with two executors."""

type Probe = Callable[[], Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done per run."""

    runs: int
    tasks: int
    singles: int
    bulk: int
    sends: int
    idle_seconds: float
    growth: growth.Growth
    flows: workflows.FlowSizes


FULL = Sizes(
    runs=5,
    tasks=20_000,
    singles=2_000,
    bulk=20_000,
    sends=300,
    idle_seconds=60,
    growth=growth.FULL,
    flows=workflows.FULL,
)
QUICK = Sizes(
    runs=1,
    tasks=2_000,
    singles=500,
    bulk=5_000,
    sends=60,
    idle_seconds=12,
    growth=growth.QUICK,
    flows=workflows.QUICK,
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("measure", "profile"), default="measure")
    parser.add_argument("--only", help=f"measures, comma-separated: {', '.join(MEASURES)}")
    parser.add_argument(
        "--peers", help="peers, comma-separated, or `none`; default: all that can be installed"
    )
    parser.add_argument("--runs", type=int, help=f"interleaved runs, default {FULL.runs}")
    parser.add_argument("--tasks", type=int, help=f"tasks of a drain, default {FULL.tasks:,}")
    parser.add_argument("--quick", action="store_true", help="one short run: does it work, roughly how fast")
    parser.add_argument("--output", type=Path, help="JSON file, default benchmarks/results/<time>.json")
    parser.add_argument(
        "--directory", type=Path, help="where data and logs go; kept afterwards. Default: temporary"
    )
    options = parser.parse_args(arguments)
    names = {system.name for system in systems.PEERS}
    options.only = options.only.split(",") if options.only else list(MEASURES)
    options.peers = (
        [] if options.peers == "none" else options.peers.split(",") if options.peers else sorted(names)
    )
    for chosen, known in ((options.only, set(MEASURES)), (options.peers, names)):
        if unknown := set(chosen) - known:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return options


def sizes_of(options: argparse.Namespace) -> Sizes:
    base = QUICK if options.quick else FULL
    return Sizes(
        runs=options.runs or base.runs,
        tasks=options.tasks or base.tasks,
        singles=base.singles,
        bulk=base.bulk,
        sends=base.sends,
        idle_seconds=base.idle_seconds,
        growth=base.growth,
        flows=base.flows,
    )


def present(options: argparse.Namespace, redis: server.Redis | None, results: Results) -> list[System]:
    """The systems that can be measured here; why the others cannot goes to the problems."""
    found: list[System] = []
    worker = find_spec("horsies_worker")
    if worker is not None and worker.origin and Path(worker.origin).with_name("__main__.py").exists():
        found.append(systems.horsies())
    else:
        results.problems.append("horsies: horsies-worker is not installed")
    for peer in systems.PEERS:
        if peer.name not in options.peers:
            continue
        if peer.service == "redis" and redis is None:
            results.problems.append(f"{peer.name}: redis-server is not on PATH")
            continue
        try:
            assert peer.environment is not None
            peer.environment.ensure()
            found.append(peer)
        except EnvironmentMissingError as error:
            results.problems.append(f"{peer.name}: {error}")
    return found


def probes(measure: str, chosen: list[System], services: Services, sizes: Sizes) -> list[tuple[str, Probe]]:
    """What one run of a measure consists of, in order."""
    floors = Floors(services)
    found: list[tuple[str, Probe]] = []
    own = [system for system in chosen if system.environment is None]
    drained = [*chosen, *(systems.horsies_async() for _ in own)]
    recycled = [*own, *(systems.horsies_recycled() for _ in own)]
    if measure == "latency":
        found.append(("floor", partial(latency.measure_floor, services, sizes.sends)))
        found += [(s.name, partial(latency.measure, s, services, sizes.sends)) for s in chosen]
    elif measure == "drain":
        found.append(("floor", partial(floors.drain, sizes.tasks)))
        found += [(s.name, partial(drain.measure, s, services, sizes.tasks)) for s in drained]
    elif measure == "recycling":
        found += [(s.name, partial(latency.measure_bodies, s, services, sizes.sends)) for s in recycled]
    elif measure == "workflows":
        flowing = [flows for s in chosen if (flows := workflows.system_for(s)) is not None]
        found += [(s.name, partial(workflows.measure, s, services, sizes.flows)) for s in flowing]
        found += [
            (s.name, partial(workflows.measure_width, s, services, sizes.flows))
            for s in flowing
            if s.environment is None
        ]
    elif measure == "imports":
        found += [(s.name, partial(fixed_costs.measure_imports, s, services)) for s in chosen]
    return found


def measure_all(options: argparse.Namespace, services: Services, sizes: Sizes, results: Results) -> None:
    chosen = present(options, services.redis, results)
    installed = chosen
    if {"imports", "size"} & set(options.only):
        installed = plainly_installed(chosen, results)
    for measure in options.only:
        began = time.monotonic()
        if measure == "size":
            for system in installed:
                results.add(measure, system.name, {"installed_mb": fixed_costs.installed_megabytes(system)})
        elif measure == "idle":
            with_horsies = any(system.environment is None for system in chosen)
            more = [systems.horsies(n, name=f"horsies x{n}") for n in IDLE_EXECUTORS if with_horsies]
            results.add_all(measure, *idle.measure([*chosen, *more], services, sizes.idle_seconds))
        elif measure == "growth":
            if any(system.environment is None for system in chosen):
                results.add_series(measure, growth.measure(services, sizes.growth))
        elif measure == "enqueue":
            for run in range(sizes.runs):
                print(f"{measure} {run + 1}/{sizes.runs}", file=sys.stderr)
                compared = [systems.FLOOR, *chosen]
                results.add_all(measure, *enqueue.measure(compared, services, sizes.singles, sizes.bulk))
        else:
            measured = installed if measure == "imports" else chosen
            interleave(measure, probes(measure, measured, services, sizes), sizes.runs, results)
        print(f"{measure}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def plainly_installed(chosen: list[System], results: Results) -> list[System]:
    """Install horsies-core from the tree as it is now; without it horsies is left out."""
    if not any(system.environment is None for system in chosen):
        return chosen
    try:
        horsies_core_environment().ensure(renew=True)
    except EnvironmentMissingError as error:
        results.problems.append(f"imports and size of horsies: {error}")
        return [system for system in chosen if system.environment is not None]
    return chosen


def interleave(measure: str, steps: list[tuple[str, Probe]], runs: int, results: Results) -> None:
    """A B C A B C ...; a system that fails once is left out of the rest of the measure."""
    failed: set[str] = set()
    for run in range(runs):
        for name, probe in steps:
            if name in failed:
                continue
            print(f"{measure} {run + 1}/{runs} {name}", file=sys.stderr)
            try:
                results.add(measure, name, probe())
            except SystemFailedError as error:
                failed.add(name)
                results.problems.append(f"{measure}, {error}")


def _stop(number: int, _: object) -> None:
    """Servers and workers are stopped on the way out."""
    sys.exit(128 + number)


def main() -> int:
    options = parse()
    sizes = sizes_of(options)
    signal.signal(signal.SIGTERM, _stop)
    directory = Path(options.directory or tempfile.mkdtemp(prefix="horsies-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)  # as root the server runs under another account
    began = datetime.now(UTC)
    kept = options.directory is not None
    try:
        with server.postgres(directory / "postgres") as postgres, server.redis(directory / "redis") as redis:
            results = Results(
                {
                    "began": began.isoformat(timespec="seconds"),
                    "cpus": os.cpu_count(),
                    "load_average": os.getloadavg(),
                    "python": platform.python_version(),
                    "postgresql": postgres.version,
                    "sizes": asdict(sizes),
                    "peers": {p.name: p.environment.requirements for p in systems.PEERS if p.environment},
                }
            )
            services = Services(postgres, redis, Marks.create(directory / "marks"), directory)
            if options.action == "profile":
                profiling.profile(services, sizes.tasks)
                return 0
            measure_all(options, services, sizes, results)
        kept = kept or bool(results.problems)  # the logs that the problems point to
        report.show(results)
        output = options.output or HERE / "results" / f"{began:%Y%m%dT%H%M%SZ}.json"
        results.facts["load_average_after"] = os.getloadavg()
        results.write(output)
        print(f"written: {output}")
        return 0
    finally:
        if kept:
            print(f"data and logs are kept in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
