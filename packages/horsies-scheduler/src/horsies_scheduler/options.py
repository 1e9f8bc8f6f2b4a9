"""What a scheduler can be told, in one frozen record."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Options of `horsies scheduler` and `run_scheduler` (S-032).

    Attributes:
        http_port: Port of the health and metrics endpoints; None without.
        http_host: Their address.
        migrate: Create or upgrade the schema at start-up.
    """

    http_port: int | None = None
    http_host: str = "127.0.0.1"
    migrate: bool = True
