"""`horsies version` (C-005)."""

import platform

import pytest

from horsies_cli.version import DISTRIBUTIONS, differing_minors, installed_versions
from tests.helpers import run_module


def test_every_installed_distribution_and_python_are_shown() -> None:
    done = run_module("horsies_cli", "version")
    assert (done.returncode, done.stderr) == (0, "")
    for name in DISTRIBUTIONS:
        assert f"{name} " in done.stdout
    assert platform.python_version() in done.stdout
    assert "postgresql" not in done.stdout


def test_with_a_database_the_versions_there_are_shown(database_url: str, empty_database_url: str) -> None:
    done = run_module("horsies_cli", "version", "-d", database_url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert int(lines["postgresql"].split(".")[0]) >= 13
    assert lines["schema"] == "1 (MATCH)"
    empty = run_module("horsies_cli", "version", "-d", empty_database_url)
    assert "(ABSENT)" in empty.stdout


def test_an_unreachable_database_is_an_error_without_the_password() -> None:
    done = run_module("horsies_cli", "version", "-d", "postgresql://me:secret@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "cannot connect to postgresql://me:****@127.0.0.1:1/x" in done.stderr
    assert "secret" not in done.stderr
    assert "horsies-core" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["-d", "mysql://x/y"], 1, "HRS-203"),
        (["-d", "postgresql://x/y", "-m", "shop:app"], 2, "not both"),
        (["--schema", "other"], 2, "--schema goes with --database-url"),
    ],
)
def test_unusable_options_are_refused(arguments: list[str], status: int, reason: str) -> None:
    done = run_module("horsies_cli", "version", *arguments)
    assert done.returncode == status
    assert reason in done.stderr


def test_versions_that_do_not_belong_together_are_pointed_out() -> None:
    assert differing_minors({"horsies-core": "1.2.3", "horsies-worker": "1.2.9"}) is None
    warning = differing_minors({"horsies-core": "1.2.3", "horsies-worker": "1.3.0"})
    assert warning is not None
    assert "horsies-core 1.2.3, horsies-worker 1.3.0" in warning
    assert differing_minors(installed_versions()) is None
