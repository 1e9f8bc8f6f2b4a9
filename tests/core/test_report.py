"""Collected errors (04 section 5)."""

import pickle

import pytest

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError, NotRegistered, SourceLocation
from horsies.errors.report import MultipleValidationErrors, ValidationReport, raise_collected


def error(text: str) -> HorsiesError:
    return ConfigurationError(text, code=ErrorCode.TASK_INVALID_QUEUE, location=SourceLocation("gone.py", 1))


def report_of(*errors: HorsiesError) -> ValidationReport:
    report = ValidationReport("configuration")
    for one in errors:
        report.add(one)
    return report


def test_a_report_collects() -> None:
    """E-15"""
    report = ValidationReport("configuration")
    assert report.phase_name == "configuration"
    assert not report.has_errors()
    assert report.errors == []
    assert report.format_rust_style() == ""
    one, two = error("one"), error("two")
    report.add(one)
    report.add(two)
    assert report.has_errors()
    assert report.errors == [one, two]


def test_nothing_collected_nothing_raised() -> None:
    """E-16"""
    raise_collected(report_of())


def test_one_error_is_raised_itself() -> None:
    """E-16"""
    one = NotRegistered("one")
    with pytest.raises(NotRegistered) as caught:
        raise_collected(report_of(one))
    assert caught.value is one


def test_several_errors_are_raised_together() -> None:
    """E-16: a HorsiesError with the report; all renderings, then the count."""
    report = report_of(error("one"), error("two"), error("three"))
    with pytest.raises(MultipleValidationErrors) as caught:
        raise_collected(report)
    assert isinstance(caught.value, HorsiesError)
    assert caught.value.report is report
    assert str(caught.value).split("\n") == [
        *("", "error[HRS-103]: one", "  --> gone.py:1"),
        *("", "error[HRS-103]: two", "  --> gone.py:1"),
        *("", "error[HRS-103]: three", "  --> gone.py:1"),
        *("", "error: aborting due to 3 previous errors"),
    ]
    assert str(caught.value) == report.format_rust_style(use_colors=False)


def test_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """E-14, E-15: on demand or by environment, in every part; never in the text of the exception."""
    report = report_of(error("one"), error("two"))
    coloured = report.format_rust_style(use_colors=True)
    assert all("\x1b[" in line for line in coloured.split("\n") if line)
    monkeypatch.setenv("HORSIES_FORCE_COLOR", "1")
    assert report.format_rust_style() == coloured
    assert MultipleValidationErrors(report).format_rust_style() == coloured
    assert "\x1b[" not in str(MultipleValidationErrors(report))


def test_one_error_is_counted_in_the_singular() -> None:
    text = report_of(error("one")).format_rust_style(use_colors=False)
    assert text.endswith("\n\nerror: aborting due to 1 previous error")


def test_collections_are_taken_apart() -> None:
    one, two, three = error("one"), error("two"), error("three")
    report = report_of(MultipleValidationErrors(report_of(one, two)), three)
    assert report.errors == [one, two, three]


def test_survives_pickling() -> None:
    multiple = MultipleValidationErrors(report_of(error("one"), error("two")))
    again = pickle.loads(pickle.dumps(multiple))
    assert str(again) == str(multiple)
    assert again.report.phase_name == "configuration"
