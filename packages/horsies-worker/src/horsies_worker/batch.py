"""What one cycle writes and asks for."""

from dataclasses import dataclass, field

from horsies_worker.flight import Flight, Outcome
from horsies_worker.places import Demand


@dataclass(slots=True)
class Batch:
    """Ends to write, rows to give back, places to fill."""

    completed: list[Outcome] = field(default_factory=list[Outcome])
    ended: list[Outcome] = field(default_factory=list[Outcome])
    back: list[Flight] = field(default_factory=list[Flight])
    demand: Demand = field(default_factory=Demand)

    def is_empty(self) -> bool:
        """Nothing to write, nothing wanted."""
        return not (self.completed or self.ended or self.back or self.demand)

    def flights(self) -> list[Flight]:
        """Those whose end or return it writes."""
        return [outcome.flight for outcome in (*self.completed, *self.ended)] + self.back

    def parts(self) -> list["Batch"]:
        """The same as batches of one end each, and the rest in a last one."""
        singles = [Batch(completed=[outcome]) for outcome in self.completed]
        singles += [Batch(ended=[outcome]) for outcome in self.ended]
        return [*singles, Batch(back=self.back, demand=self.demand)]
