"""The goals that a full run is held against: ratios of medians in the same run."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

type Series = Mapping[str, Mapping[str, Mapping[str, list[float]]]]
"""measure -> system -> metric -> one value per run."""


@dataclass(frozen=True, slots=True)
class Goal:
    """`metric` of horsies, divided by that of `against` if named, has to be on the right side of `bound`."""

    measure: str
    metric: str
    bound: float
    at_least: bool
    against: str | None = None
    against_metric: str | None = None
    system: str = "horsies"

    def value(self, series: Series) -> float | None:
        """The figure or ratio; None when something was not measured."""
        own = middle(series, self.measure, self.system, self.metric)
        if self.against is None or own is None:
            return own
        other = middle(series, self.measure, self.against, self.against_metric or self.metric)
        return own / other if other else None

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def text(self) -> str:
        against = f" / {self.against}" if self.against else ""
        of = f" ({self.system})" if self.system != "horsies" else ""
        return f"{self.measure} {self.metric}{of}{against}"


def middle(series: Series, measure: str, system: str, metric: str) -> float | None:
    values = series.get(measure, {}).get(system, {}).get(metric)
    return median(values) if values else None


GOALS = (
    Goal("drain", "rate", 10, True, "procrastinate"),
    Goal("drain", "rate", 5, True, "celery"),
    Goal("drain", "rate", 3, True, "dramatiq"),
    Goal("drain", "cpu_per_1k", 0.3, False),
    Goal("drain", "rate", 0.8, True, "pgqueuer", system="horsies async"),
    Goal("drain", "cpu_per_1k", 0.12, False, system="horsies async"),
    Goal("drain", "cpu_per_1k", 0.6, False, "horsies", system="horsies async"),
    Goal("recycling", "body_p99_ms", 2.0, False, "horsies", system="horsies recycled"),
    Goal("recycling", "processes", 5, True, system="horsies recycled"),
    Goal("enqueue", "sends_per_s", 0.7, True, "floor"),
    Goal("enqueue", "bulk_per_s", 0.5, True, "floor"),
    Goal("latency", "body_p50_ms", 1.0, False, "celery"),
    Goal("latency", "body_p99_ms", 1.5, False, "celery"),
    Goal("workflows", "chain_p50_ms", 1.0, False, "celery"),
    Goal("workflows", "fan_p50_ms", 0.7, False, "celery"),
    Goal("workflows", "steps_per_s", 1.5, True, "celery"),
    Goal("workflows", "wide_over_narrow", 1.5, False),
    Goal("growth", "backend_cpu_per_1k", 1.1, False, "horsies", system="finished rows"),
    Goal("growth", "backend_cpu_per_1k", 1.1, False, "horsies", system="pending rows"),
    Goal("growth", "buffers_per_claim", 1.1, False, "horsies", system="finished rows"),
    # Rows read do not grow, but half a million of them have one more level of the primary key's tree above them.
    Goal("growth", "buffers_per_claim", 1.2, False, "horsies", system="pending rows"),
    Goal("growth", "rate_of_all", 0.7, True, "horsies", system="open snapshot"),
    Goal("idle", "requests_per_s", 1.0, False),
    Goal("idle", "connections", 3, False),
    Goal("idle", "requests_per_s", 1.0, False, system="horsies x8"),
    Goal("idle", "connections", 3, False, system="horsies x8"),
    Goal("idle", "memory_mb", 100, False),
    Goal("imports", "import_ms", 200, False),
)
