"""The examples under docs/workflows, as they stand on their page, with one real worker for all of them."""

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from horsies import WorkflowHandle, WorkflowStatus
from tests.helpers import RunningProcess, child_environment, running_module

FOLDER = Path(__file__).parent.parent.parent / "docs" / "workflows"
PAGE = (FOLDER / "README.md").read_text()
SECTION = re.compile(
    r"^\[`(?P<name>\w+)\.py`\]\((?P=name)\.py\):\n\n```python\n(?P<code>.*?)^```\n\n```text\n(?P<output>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = {match["name"]: match for match in SECTION.finditer(PAGE)}
PATTERNS = {
    "linear",
    "fan_out",
    "diamond",
    "any_of",
    "quorum",
    "partial_success",
    "recovery",
    "subworkflow",
    "dynamic",
    "conditions",
    "fire_and_forget",
}


def test_the_page_shows_every_file_as_it_is() -> None:
    """Nothing on the page can differ from what is executed below."""
    files = {file.stem: file.read_text() for file in FOLDER.glob("*.py")}
    assert set(EXAMPLES) == PATTERNS == set(files) - {"instance"}
    for name, match in EXAMPLES.items():
        assert match["code"] == files[name], name
    assert f"```python\n{files['instance']}```" in PAGE
    assert PAGE.count("```python") == len(files)


@pytest.fixture
def folder(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Imports find the examples, and these find the database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    yield
    instance: Any = sys.modules.pop("instance")
    instance.app.get_broker().close()


@pytest.fixture
def worker(database_url: str) -> Iterator[RunningProcess]:
    """`horsies worker instance.py:app --processes 2`, as the page says."""
    arguments = ("worker", "instance.py:app", "--processes", "2")
    environment = {"DATABASE_URL": database_url}
    with running_module("horsies_cli", *arguments, environment=environment, directory=FOLDER) as worker:
        worker.wait_for("ready:", timeout=40)
        yield worker


@pytest.mark.timeout(150)
def test_every_example_gives_what_the_page_says(
    folder: None, worker: RunningProcess, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """W-5, W-11, W-12, W-17, W-20, W-22, W-26, W-28, W-50, W-51, W-52, W-53, W-60, W-63, W-68, W-70, W-84, W-85."""
    first = subprocess.run(
        [sys.executable, "linear.py"],
        cwd=FOLDER,
        env=child_environment({"DATABASE_URL": database_url}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (first.stdout, first.stderr) == (EXAMPLES["linear"]["output"], "")
    spaces: dict[str, dict[str, Any]] = {}
    for name in sorted(PATTERNS - {"linear"}):
        spaces[name] = runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        assert capsys.readouterr().out == EXAMPLES[name]["output"], name
    forgotten: WorkflowHandle[Any] = spaces["fire_and_forget"]["handle"]
    assert forgotten.get(timeout_ms=30_000).is_ok()
    assert forgotten.status().unwrap() is WorkflowStatus.COMPLETED
