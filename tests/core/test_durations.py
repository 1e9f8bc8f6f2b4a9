"""Durations as text: banner (R-010) and retention keys (CF-32)."""

from datetime import timedelta

import pytest

from horsies.durations import format_exact, format_milliseconds


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (1, "1ms"),
        (500, "500ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (1250, "1.25s"),
        (1001, "1.001s"),
        (10_000, "10s"),
        (30_000, "30s"),
        (60_000, "1m"),
        (61_500, "1m1.5s"),
        (150_000, "2m30s"),
        (600_000, "10m"),
        (3_600_000, "1h"),
        (3_900_000, "1h5m"),
        (3_600_500, "1h0.5s"),
        (86_400_000, "24h"),
    ],
)
def test_durations_for_people(milliseconds: int, text: str) -> None:
    """R-010."""
    assert format_milliseconds(milliseconds) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=7), "7d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=45), "45s"),
        (timedelta(hours=48), "2d"),
        (timedelta(seconds=3600), "1h"),
        (timedelta(days=1, seconds=1), "86401s"),
    ],
)
def test_exact_durations_use_the_largest_exact_unit(duration: timedelta, text: str) -> None:
    """CF-32."""
    assert format_exact(duration) == text
