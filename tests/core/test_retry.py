"""RetryPolicy and the retry decision (CF-47 to CF-51, T-52 without its deadline, R-100, R-102)."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from horsies.errors.codes import BUILTIN_CODE_REGISTRY, ContractCode, OperationalErrorCode, OutcomeCode
from horsies.retry import RetryPolicy, retry_delay, validate_retry_codes

BUSY = ["STORE_BUSY"]


def no_jitter() -> float:
    return 0.0


def test_defaults() -> None:
    """CF §9."""
    policy = RetryPolicy()
    assert policy.max_retries == 3
    assert policy.intervals == [60, 300, 900]
    assert policy.backoff_strategy == "fixed"
    assert policy.jitter is True
    assert policy.max_delay_seconds is None
    assert policy.auto_retry_for is None


@pytest.mark.parametrize(
    "fields",
    [
        {"max_retries": 0, "intervals": []},
        {"max_retries": 21, "intervals": [1] * 21},
        {"max_retries": 1, "intervals": [0]},
        {"max_retries": 1, "intervals": [86_401]},
        {"max_retries": 1, "intervals": [1.5]},
        {"max_retries": 1, "intervals": ["5"]},
        {"max_retries": True, "intervals": [5]},
        {"backoff_strategy": "linear"},
        {"jitter": 1},
        {"max_delay_seconds": 0},
        {"unknown": 1},
    ],
)
def test_out_of_range_or_unknown_is_refused(fields: dict[str, object]) -> None:
    """CF-47."""
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate(fields)


@pytest.mark.parametrize(
    "build",
    [
        lambda: RetryPolicy.fixed([1]),
        lambda: RetryPolicy.fixed([86_400] * 20),
        lambda: RetryPolicy.exponential(1, max_retries=1),
        lambda: RetryPolicy.exponential(86_400, max_retries=20, max_delay_seconds=1),
    ],
)
def test_the_ends_of_the_ranges_are_accepted(build: Callable[[], RetryPolicy]) -> None:
    """CF-47."""
    assert isinstance(build(), RetryPolicy)


@pytest.mark.parametrize(
    ("strategy", "intervals"), [("fixed", [5, 10]), ("fixed", [5] * 4), ("exponential", [5, 10, 20])]
)
def test_intervals_fit_the_strategy(strategy: str, intervals: list[int]) -> None:
    """CF-48."""
    with pytest.raises(ValidationError, match="interval"):
        RetryPolicy.model_validate({"max_retries": 3, "intervals": intervals, "backoff_strategy": strategy})


def test_a_policy_does_not_change() -> None:
    """CF-47: it was checked when it was built."""
    with pytest.raises(ValidationError):
        RetryPolicy().max_retries = 99


def test_fixed_takes_intervals_by_position_or_by_either_name() -> None:
    """CF §9."""
    policies = (
        RetryPolicy.fixed([5, 30]),
        RetryPolicy.fixed(intervals=[5, 30]),
        RetryPolicy.fixed(delays=[5, 30]),
        RetryPolicy.fixed((5, 30)),
    )
    assert all(policy == policies[0] for policy in policies)
    assert policies[0].max_retries == 2
    assert policies[0].backoff_strategy == "fixed"


def test_fixed_takes_one_list_of_intervals() -> None:
    """CF §9: both or neither is a TypeError."""
    with pytest.raises(TypeError, match="intervals or delays"):
        RetryPolicy.fixed()
    with pytest.raises(TypeError, match="intervals or delays"):
        RetryPolicy.fixed([5], delays=[5])


def test_exponential_keeps_its_base_as_the_only_interval() -> None:
    """CF §9."""
    policy = RetryPolicy.exponential(30, max_retries=5, auto_retry_for=BUSY, max_delay_seconds=60)
    assert policy.intervals == [30]
    assert (policy.max_retries, policy.max_delay_seconds) == (5, 60)
    assert policy.backoff_strategy == "exponential"
    assert RetryPolicy.exponential(30).max_retries == 3


@pytest.mark.parametrize(
    "codes",
    [["TimeoutError"], [], ["store_busy"], ["STORE_BUSY", ""], [1], "STORE_BUSY", ["STORE_BUSY", None]],
)
def test_bad_retry_codes_are_refused(codes: object) -> None:
    """CF-50."""
    assert validate_retry_codes(codes) is not None
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate({"auto_retry_for": codes})
    with pytest.raises(ValidationError):
        RetryPolicy.fixed([5], auto_retry_for=codes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_built_in_codes_are_given_as_members_or_as_strings() -> None:
    """CF-50, E-09: reserved values are allowed."""
    for value, member in BUILTIN_CODE_REGISTRY.items():
        for code in (value, member):
            policy = RetryPolicy.fixed([5], auto_retry_for=[code])
            assert retry_delay(policy, 0, member) is not None
            assert retry_delay(policy, 0, value) is not None


def test_codes_of_decorator_and_policy_are_merged() -> None:
    """CF-51: order kept, duplicates dropped."""
    policy = RetryPolicy.fixed([5], auto_retry_for=["A", OutcomeCode.TASK_TIMEOUT])
    merged = policy.with_auto_retry_for(["B", "TASK_TIMEOUT", "A", OperationalErrorCode.WORKER_CRASHED])
    assert merged.auto_retry_for == ["A", "TASK_TIMEOUT", "B", "WORKER_CRASHED"]
    assert policy.auto_retry_for == ["A", "TASK_TIMEOUT"]
    assert RetryPolicy.fixed([5]).with_auto_retry_for(BUSY).auto_retry_for == BUSY
    assert policy.with_auto_retry_for(None) == policy
    assert RetryPolicy.fixed([5]).with_auto_retry_for(None).auto_retry_for is None


def test_fixed_delays_are_the_intervals() -> None:
    """CF-49, R-102."""
    policy = RetryPolicy.fixed([5, 30, 300], auto_retry_for=BUSY, jitter=False)
    assert [retry_delay(policy, n, "STORE_BUSY") for n in range(4)] == [5.0, 30.0, 300.0, None]


def test_exponential_delays_double() -> None:
    """CF-49, R-102."""
    policy = RetryPolicy.exponential(2, max_retries=5, auto_retry_for=BUSY, jitter=False)
    assert [retry_delay(policy, n, "STORE_BUSY") for n in range(6)] == [2.0, 4.0, 8.0, 16.0, 32.0, None]


@pytest.mark.parametrize(("drawn", "delay"), [(0.0, 8.0), (0.5, 9.0), (1.0, 10.0)])
def test_jitter_adds_up_to_a_quarter(drawn: float, delay: float) -> None:
    """CF-49."""
    policy = RetryPolicy.fixed([8], auto_retry_for=BUSY)
    assert retry_delay(policy, 0, "STORE_BUSY", lambda: drawn) == delay


def test_the_longest_delay_is_applied_after_the_jitter() -> None:
    """CF-49."""
    policy = RetryPolicy.exponential(8, max_retries=3, auto_retry_for=BUSY, max_delay_seconds=18)
    assert [retry_delay(policy, n, "STORE_BUSY", lambda: 1.0) for n in range(3)] == [10.0, 18.0, 18.0]


@pytest.mark.parametrize("code", [None, "OTHER", "", OperationalErrorCode.WORKER_CRASHED])
def test_a_code_that_is_not_listed_is_not_retried(code: str | None) -> None:
    """T-52, R-100: neither is an error without a code."""
    assert retry_delay(RetryPolicy.fixed([5], auto_retry_for=BUSY), 0, code) is None


def test_without_a_policy_or_codes_nothing_is_retried() -> None:
    """T-52."""
    assert retry_delay(None, 0, "STORE_BUSY") is None
    assert retry_delay(RetryPolicy.fixed([5]), 0, "STORE_BUSY") is None


policies = st.one_of(
    st.builds(
        RetryPolicy.fixed,
        st.lists(st.integers(1, 86_400), min_size=1, max_size=20),
        auto_retry_for=st.just(BUSY),
        jitter=st.booleans(),
    ),
    st.builds(
        RetryPolicy.exponential,
        st.integers(1, 86_400),
        max_retries=st.integers(1, 20),
        auto_retry_for=st.just(BUSY),
        jitter=st.booleans(),
        max_delay_seconds=st.none() | st.integers(1, 10_000_000),
    ),
)


@given(policies, st.floats(0, 1))
def test_delays_keep_their_bounds(policy: RetryPolicy, drawn: float) -> None:
    """CF-49, T-52: exactly max_retries retries, each at least 1 s and at most 25 % over its base or the cap."""
    delays = [retry_delay(policy, n, "STORE_BUSY", lambda: drawn) for n in range(policy.max_retries + 1)]
    given_delays = [delay for delay in delays if delay is not None]
    assert delays[-1] is None
    assert len(given_delays) == policy.max_retries
    longest = float("inf") if policy.max_delay_seconds is None else policy.max_delay_seconds
    for n, delay in enumerate(given_delays):
        base = policy.intervals[0] * 2**n if policy.backoff_strategy == "exponential" else policy.intervals[n]
        assert min(base, longest) <= delay <= min(base * 1.25, longest)
        assert delay >= 1
    if policy.backoff_strategy == "exponential":
        assert all(first <= second for first, second in pairwise(given_delays))


@given(policies)
def test_policies_travel_as_json(policy: RetryPolicy) -> None:
    """K §1."""
    assert RetryPolicy.from_options(json.loads(json.dumps(policy.to_options()))) == policy


def test_absent_fields_do_not_travel() -> None:
    """K §1: and codes travel as plain text."""
    policy = RetryPolicy.fixed([5], auto_retry_for=[ContractCode.RETURN_TYPE_MISMATCH, "STORE_BUSY"])
    options = policy.to_options()
    assert options == {
        "max_retries": 1,
        "intervals": [5],
        "backoff_strategy": "fixed",
        "jitter": True,
        "auto_retry_for": ["RETURN_TYPE_MISMATCH", "STORE_BUSY"],
    }
    assert list(options) == ["max_retries", "intervals", "backoff_strategy", "jitter", "auto_retry_for"]
    assert type(options["auto_retry_for"][0]) is str  # type: ignore[index]  # pyright: ignore[reportIndexIssue,reportUnknownArgumentType]


def test_a_policy_this_version_does_not_understand_is_refused() -> None:
    """R-103: the worker logs it and does not retry."""
    with pytest.raises(ValidationError):
        RetryPolicy.from_options({"max_retries": 1, "intervals": [5], "wave": "sine"})
