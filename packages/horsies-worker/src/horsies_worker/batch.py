"""What one cycle writes and asks for."""

from dataclasses import dataclass, field

from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight, Outcome
from horsies_worker.places import Demand


@dataclass(slots=True)
class Batch:
    """Ends to write, rows to give back, rows held to start, places to fill."""

    completed: list[Outcome] = field(default_factory=list[Outcome])
    ended: list[Outcome] = field(default_factory=list[Outcome])
    back: list[Flight] = field(default_factory=list[Flight])
    starts: list[tuple[Flight, ExecutorProcess]] = field(default_factory=list[tuple[Flight, ExecutorProcess]])
    demand: Demand = field(default_factory=Demand)
    spans: str | None = None
    """Where the claim looks; None: everywhere."""

    def is_empty(self) -> bool:
        """Nothing to write, nothing wanted."""
        return not (self.completed or self.ended or self.back or self.starts or self.demand)

    def flights(self) -> list[Flight]:
        """Those whose end or return it writes."""
        return [outcome.flight for outcome in (*self.completed, *self.ended)] + self.back

    def all_flights(self) -> list[Flight]:
        """Those, and the ones it starts."""
        return self.flights() + [flight for flight, _ in self.starts]

    def add(self, other: "Batch") -> None:
        """Write what `other` writes as well."""
        self.completed += other.completed
        self.ended += other.ended
        self.back += other.back

    def split(self) -> tuple["Batch", "Batch"]:
        """What belongs to no workflow, and what belongs to one."""
        if not any(flight.workflow_id for flight in self.flights()):
            return self, Batch()
        plain, nodes = Batch(starts=self.starts, demand=self.demand, spans=self.spans), Batch()
        for outcome in self.completed:
            (nodes if outcome.flight.workflow_id else plain).completed.append(outcome)
        for outcome in self.ended:
            (nodes if outcome.flight.workflow_id else plain).ended.append(outcome)
        for flight in self.back:
            (nodes if flight.workflow_id else plain).back.append(flight)
        return plain, nodes

    def parts(self) -> list["Batch"]:
        """The same as batches of one end each, and the rest in a last one."""
        singles = [Batch(completed=[outcome]) for outcome in self.completed]
        singles += [Batch(ended=[outcome]) for outcome in self.ended]
        rest = Batch(back=self.back, starts=self.starts, demand=self.demand, spans=self.spans)
        return [*singles, rest]
