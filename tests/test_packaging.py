"""What uv does not check: equal versions, exact pins between members, a lock of the public index only."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECTS = [ROOT / "pyproject.toml", *sorted((ROOT / "packages").glob("*/pyproject.toml"))]


def _project(path: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    return project


VERSION = _project(PROJECTS[0])["version"]


def test_there_are_six_distributions() -> None:
    names = {_project(path)["name"] for path in PROJECTS}
    assert names == {
        "horsies",
        "horsies-core",
        "horsies-worker",
        "horsies-scheduler",
        "horsies-syce",
        "horsies-cli",
    }


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_versions_and_pins_are_equal(path: Path) -> None:
    """C-005: lock-step versions, exact pins."""
    project = _project(path)
    requirements = list(project.get("dependencies", []))
    for extra in project.get("optional-dependencies", {}).values():
        requirements += extra
    pins = [requirement for requirement in requirements if requirement.startswith("horsies")]
    assert project["version"] == VERSION
    assert project["requires-python"] == ">=3.12"
    assert project["license"] == "MIT"
    assert all(pin.endswith(f"=={VERSION}") for pin in pins)


def test_the_meta_distribution_needs_all_five() -> None:
    """C-005."""
    names = {re.split(r"[\[=]", requirement)[0] for requirement in _project(PROJECTS[0])["dependencies"]}
    assert names == {"horsies-core", "horsies-worker", "horsies-scheduler", "horsies-syce", "horsies-cli"}


def test_core_is_light() -> None:
    names = {
        re.split(r"[\[><=]", requirement)[0]
        for requirement in _project(ROOT / "packages/horsies-core/pyproject.toml")["dependencies"]
    }
    assert names == {"psycopg", "pydantic"}


def test_the_lock_names_the_public_index_only() -> None:
    lock = (ROOT / "uv.lock").read_text()
    hosts = set(re.findall(r"https?://([^/\"]+)", lock))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_every_member_carries_its_licence_and_marker() -> None:
    for path in PROJECTS[1:]:
        package = next(entry for entry in (path.parent / "src").iterdir() if entry.is_dir())
        assert (path.parent / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
        assert (package / "py.typed").exists()
