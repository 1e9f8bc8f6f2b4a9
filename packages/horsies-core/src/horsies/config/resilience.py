"""WorkerResilienceConfig: how a worker gets through a database outage."""

import random as _random
from collections.abc import Callable
from typing import Self

from pydantic import Field, model_validator

from horsies.config.base import ConfigModel
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError


class WorkerResilienceConfig(ConfigModel):
    """Pauses between a worker's attempts to reach the database, and how often it looks without being woken.

    Attributes:
        db_retry_initial_ms: pause before the second attempt; it doubles each time.
        db_retry_max_ms: longest pause.
        db_retry_max_attempts: failed attempts after which the worker ends; 0 for no limit.
        notify_poll_interval_ms: longest time between two looks for work when no wake-up arrives.
    """

    db_retry_initial_ms: int = Field(default=500, strict=True, ge=100, le=60_000)
    db_retry_max_ms: int = Field(default=30_000, strict=True, ge=500, le=300_000)
    db_retry_max_attempts: int = Field(default=0, strict=True, ge=0, le=10_000)
    notify_poll_interval_ms: int = Field(default=5_000, strict=True, ge=1_000, le=300_000)

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.db_retry_max_ms < self.db_retry_initial_ms:
            raise ConfigurationError(
                f"db_retry_max_ms ({self.db_retry_max_ms}) is below db_retry_initial_ms "
                f"({self.db_retry_initial_ms})",
                code=ErrorCode.CONFIG_INVALID_RESILIENCE,
                help_text="the longest pause cannot be shorter than the first one; raise db_retry_max_ms",
            )
        return self

    def db_retry_delay(self, attempt: int, random: Callable[[], float] = _random.random) -> float:
        """Give the pause after a failed attempt.

        Args:
            attempt: number of attempts failed in a row, from 1.
            random: gives numbers from 0 to 1 for the jitter of 25 % up or down.

        Returns:
            Seconds, at least 0.1.
        """
        # Attempts are not limited; from the 12th doubling on every pause is the longest one anyway.
        milliseconds = min(self.db_retry_max_ms, self.db_retry_initial_ms << min(attempt - 1, 12))
        return max(0.1, milliseconds / 1000 * (0.75 + 0.5 * random()))
