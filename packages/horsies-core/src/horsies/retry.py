"""RetryPolicy: when a failed task runs again, and after how long."""

import random as _random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from horsies.errors.codes import BuiltInTaskCode
from horsies.exception_mapper import validate_error_code


def validate_retry_codes(codes: object) -> str | None:
    """Tell what is wrong with a list of retryable error codes.

    Args:
        codes: what the user gave as `auto_retry_for`.

    Returns:
        The complaint, or None when the list is fine.
    """
    if not isinstance(codes, list):
        return f"auto_retry_for is a list of error codes, not {type(codes).__name__}"
    items: list[object] = list(codes)  # pyright: ignore[reportUnknownArgumentType]
    if not items:
        return "auto_retry_for is empty; name at least one error code, or leave it out"
    return next((problem for item in items if (problem := validate_error_code(item)) is not None), None)


def _check_codes(codes: object) -> object:
    problem = None if codes is None else validate_retry_codes(codes)
    if problem is not None:
        raise ValueError(problem)
    return codes


type _Seconds = Annotated[int, Field(strict=True, ge=1, le=86_400)]


class RetryPolicy(BaseModel):
    """How often and when a task that failed with a listed error code runs again.

    Build one with `RetryPolicy.fixed` or `RetryPolicy.exponential`:

        RetryPolicy.fixed([5, 30, 300], auto_retry_for=["STORE_BUSY"])
        RetryPolicy.exponential(2, max_retries=6, auto_retry_for=["RATE_LIMITED"], max_delay_seconds=60)

    Attributes:
        max_retries: runs after the first one, 1 to 20.
        intervals: seconds; with `fixed` one for each retry, with `exponential` the base alone.
        backoff_strategy: `fixed` or `exponential`.
        jitter: add a random 0 to 25 % to each delay, so that tasks failing together do not return together.
        max_delay_seconds: upper bound of every delay, jitter included; None for no bound.
        auto_retry_for: the error codes that are retried; None when `@app.task` names them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_retries: int = Field(default=3, strict=True, ge=1, le=20)
    intervals: list[_Seconds] = Field(default=[60, 300, 900], min_length=1, max_length=20)
    backoff_strategy: Literal["fixed", "exponential"] = "fixed"
    jitter: bool = Field(default=True, strict=True)
    max_delay_seconds: int | None = Field(default=None, strict=True, ge=1)
    auto_retry_for: Annotated[list[BuiltInTaskCode | str] | None, BeforeValidator(_check_codes)] = None

    @model_validator(mode="after")
    def _intervals_fit_strategy(self) -> Self:
        given = len(self.intervals)
        if self.backoff_strategy == "fixed" and given != self.max_retries:
            raise ValueError(
                f"fixed backoff needs one interval for each retry: max_retries is {self.max_retries}, "
                f"intervals has {given}"
            )
        if self.backoff_strategy == "exponential" and given != 1:
            raise ValueError(
                f"exponential backoff takes exactly one interval, its base; intervals has {given}"
            )
        return self

    @classmethod
    def fixed(
        cls,
        intervals: Sequence[int] | None = None,
        *,
        delays: Sequence[int] | None = None,
        auto_retry_for: Sequence[BuiltInTaskCode | str] | None = None,
        jitter: bool = True,
    ) -> Self:
        """Retry after the given delays, once for each.

        Args:
            intervals: seconds before the first, second, ... retry.
            delays: another name for `intervals`.
            auto_retry_for: the error codes that are retried.
            jitter: add a random 0 to 25 % to each delay.

        Returns:
            A policy with as many retries as there are intervals.

        Raises:
            TypeError: both or neither of `intervals` and `delays` are given.
            pydantic.ValidationError: a value is out of range.
        """
        chosen = delays if intervals is None else intervals
        if chosen is None or (intervals is not None and delays is not None):
            raise TypeError(
                "RetryPolicy.fixed takes either intervals or delays, for example RetryPolicy.fixed([5, 30])"
            )
        seconds = list(chosen)
        return cls(
            max_retries=len(seconds),
            intervals=seconds,
            backoff_strategy="fixed",
            jitter=jitter,
            auto_retry_for=_as_list(auto_retry_for),
        )

    @classmethod
    def exponential(
        cls,
        base_seconds: int,
        *,
        max_retries: int = 3,
        auto_retry_for: Sequence[BuiltInTaskCode | str] | None = None,
        jitter: bool = True,
        max_delay_seconds: int | None = None,
    ) -> Self:
        """Retry after `base_seconds`, then after twice as long each time.

        Args:
            base_seconds: seconds before the first retry, 1 to 86400.
            max_retries: runs after the first one, 1 to 20.
            auto_retry_for: the error codes that are retried.
            jitter: add a random 0 to 25 % to each delay.
            max_delay_seconds: upper bound of every delay; None for no bound.

        Returns:
            The policy.

        Raises:
            pydantic.ValidationError: a value is out of range.
        """
        return cls(
            max_retries=max_retries,
            intervals=[base_seconds],
            backoff_strategy="exponential",
            jitter=jitter,
            max_delay_seconds=max_delay_seconds,
            auto_retry_for=_as_list(auto_retry_for),
        )

    def with_auto_retry_for(self, codes: Iterable[BuiltInTaskCode | str] | None) -> Self:
        """Give a copy that also retries `codes`: its own first, each once, in order.

        Args:
            codes: valid error codes (`validate_retry_codes`), for example those of the decorator.
        """
        merged = list(dict.fromkeys([*(self.auto_retry_for or ()), *(codes or ())]))
        return self.model_copy(update={"auto_retry_for": merged or None})

    def to_options(self) -> dict[str, object]:
        """Give the JSON object that travels with a task; fields without a value are left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Self:
        """Read what `to_options` wrote.

        Raises:
            pydantic.ValidationError: the object is not a policy this version understands.
        """
        return cls.model_validate(options)


def retry_delay(
    policy: RetryPolicy | None,
    retry_count: int,
    error_code: BuiltInTaskCode | str | None,
    random: Callable[[], float] = _random.random,
) -> float | None:
    """Decide whether a failed run is followed by another, and after how long.

    Whether the retry would still begin before the task's deadline is for the database to decide: its clock
    counts.

    Args:
        policy: the task's policy, if it has one.
        retry_count: retries made so far; 0 after the first run.
        error_code: the code the run ended with.
        random: gives numbers from 0 to 1 for the jitter.

    Returns:
        Seconds until the retry, or None when there is none.
    """
    if policy is None or error_code is None or retry_count >= policy.max_retries:
        return None
    if error_code not in (policy.auto_retry_for or ()):
        return None
    exponential = policy.backoff_strategy == "exponential"
    delay = float(policy.intervals[0] * 2**retry_count if exponential else policy.intervals[retry_count])
    delay = max(delay, 1.0)
    if policy.jitter:
        delay *= 1.0 + 0.25 * random()
    return delay if policy.max_delay_seconds is None else min(delay, float(policy.max_delay_seconds))


def _as_list(codes: Sequence[BuiltInTaskCode | str] | None) -> list[BuiltInTaskCode | str] | None:
    # A lone string is a sequence of letters; as it is, the field's own check gives the right complaint.
    return codes if codes is None or isinstance(codes, str) else list(codes)  # type: ignore[return-value]
