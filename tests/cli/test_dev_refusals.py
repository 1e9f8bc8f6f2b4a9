"""What `horsies dev` refuses before it starts anything (C-010, C-011, C-075, C-076)."""

from pathlib import Path

import pytest

from tests.helpers import run_module


def test_without_an_app_the_accepted_forms_are_shown(tmp_path: Path) -> None:
    # C-010, C-076
    done = run_module("horsies_cli", "dev", directory=tmp_path)
    assert done.returncode == 1
    assert "HRS-206" in done.stderr
    assert "package.module:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_two_different_apps_are_refused(tmp_path: Path) -> None:
    # C-010
    done = run_module("horsies_cli", "dev", "shop:app", "-m", "other:app", directory=tmp_path)
    assert done.returncode == 1
    assert "HRS-206" in done.stderr
    assert "shop:app" in done.stderr
    assert "other:app" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--processes", "0"], ["--port", "99999"], ["--loglevel", "LOUD"], ["--concurrency", "0"]],
)
def test_bad_numbers_are_usage_errors(tmp_path: Path, arguments: list[str]) -> None:
    done = run_module("horsies_cli", "dev", "shop:app", *arguments, directory=tmp_path)
    assert done.returncode == 2
    assert "Usage: horsies dev" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_server_binaries_the_extra_is_named(tmp_path: Path) -> None:
    # C-075
    done = run_module(
        "horsies_cli",
        "dev",
        "shop:app",
        "--ephemeral",
        directory=tmp_path,
        environment={"HORSIES_PG_BIN": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "HRS-203" in done.stderr
    assert "pip install 'horsies-core[embedded]'" in done.stderr
