"""Workflows on a warm, idle worker: a chain or fan at a time, many chains at once, a wide fan beside narrow ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks import processes
from benchmarks.latency import percentile
from benchmarks.session import Services, Session, SystemFailedError, session
from benchmarks.systems import CELERY, System

GAP_MS = (2.0, 10.0)
CHAIN = 10
FAN = 100
CHAINS, STEPS = 200, 5
UNTIMED = 5
NARROW, WIDE = 50, 5_000
TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class FlowSizes:
    """How much one run does."""

    chains: int
    """Chains one at a time."""
    fans: int
    """Fans one at a time."""
    wide: int
    """Nodes beside each other in the wide fan; the narrow ones have as many in all."""


FULL = FlowSizes(chains=50, fans=10, wide=WIDE)
QUICK = FlowSizes(chains=15, fans=4, wide=1_000)


def system_for(system: System) -> System | None:
    """The system with the sender and the tasks of workflows; None for one that has no workflows here."""
    if system.environment is None:
        return replace(
            system,
            driver="benchmarks.horsies_flows_driver",
            worker=_of_flows(system, "benchmarks.horsies_app:app", "benchmarks.horsies_flows_app:app"),
        )
    if system.name == CELERY.name:
        return replace(
            system,
            driver="benchmarks.peers.celery.flows_driver",
            worker=_of_flows(system, "benchmarks.peers.celery.app", "benchmarks.peers.celery.flows_app"),
        )
    return None


def _of_flows(system: System, app: str, flows_app: str) -> tuple[str, ...]:
    assert app in system.worker
    return tuple(flows_app if part == app else part for part in system.worker)


def measure(system: System, services: Services, sizes: FlowSizes) -> dict[str, float | None]:
    """Delays in ms from before a workflow is built to its value in hand; steps/s of many chains at once."""
    with session(system, services, worker=True) as run:
        chains = _chains_one_by_one(run, sizes.chains)
        fans = _fans_one_by_one(run, sizes.fans)
        rate = _chains_at_once(run, services)
    return {
        "chain_p50_ms": median(chains) / 1e6,
        "chain_p99_ms": percentile(chains, 0.99) / 1e6,
        "fan_p50_ms": median(fans) / 1e6,
        "steps_per_s": rate,
    }


def _chains_one_by_one(run: Session, count: int) -> Sequence[int]:
    run.call("chain_times", first=0, count=UNTIMED, length=CHAIN, gap_ms=GAP_MS)
    delays: list[int] = run.call(
        "chain_times", first=UNTIMED * CHAIN, count=count, length=CHAIN, gap_ms=GAP_MS
    )
    return delays


def _fans_one_by_one(run: Session, count: int) -> Sequence[int]:
    run.call("fan_times", first=0, count=2, width=FAN, with_values=True)
    delays: list[int] = run.call("fan_times", first=0, count=count, width=FAN, with_values=True)
    return delays


def _chains_at_once(run: Session, services: Services) -> float:
    """From before the first chain is built until all ends are seen stored (counted as in the drain)."""
    nodes = CHAINS * STEPS
    services.marks.clear()
    before: int = run.call("finished")
    began: int = run.call("start_chains", first=0, count=CHAINS, length=STEPS)
    try:
        services.marks.wait(0, nodes, TIMEOUT, poll=0.002)
    except TimeoutError as error:
        raise SystemFailedError(f"{run.system.name}: {error}, see {run.log}") from error
    ended: int = run.call("wait_finished", target=before + nodes)
    return nodes / (ended - began) * 1e9


def measure_width(system: System, services: Services, sizes: FlowSizes) -> dict[str, float | None]:
    """What a node costs the database in fans of 50 and in one wide fan: CPU of the server's processes, in us.

    As many nodes in all, in a session each; nothing but waiting for the others is asked of the last node.
    """
    narrow = _server_cpu_per_node(system, services, sizes.wide // NARROW, NARROW)
    wide = _server_cpu_per_node(system, services, 1, sizes.wide)
    return {"narrow_us_per_node": narrow, "wide_us_per_node": wide, "wide_over_narrow": wide / narrow}


def _server_cpu_per_node(system: System, services: Services, count: int, width: int) -> float:
    with session(system, services, worker=True) as run:
        run.call("fan_times", first=0, count=4, width=NARROW, with_values=False)
        server = services.pid_of(system)
        before = processes.tree_cpu([server])
        run.call("fan_times", first=0, count=count, width=width, with_values=False)
        return (processes.tree_cpu([server]) - before) / (count * (width + 1)) * 1e6
