"""docs/testing.md: its files are written down as they stand there, and their tests are run (01 §14)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from horsies.testing.plugin import URL_VARIABLE
from tests.helpers import child_environment

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
_BLOCK = re.compile(r"^```(?:python|ini)\n(?:# (\S+)\n)?(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(180)
def test_the_examples_run(tmp_path: Path, server_url: str) -> None:
    """The fixtures horsies_app and horsies_database, the ini option, a server that is given."""
    files = {name or "shop.py": text for name, text in _BLOCK.findall(PAGE.read_text())}
    assert files.keys() == {"shop.py", "test_confirm.py", "conftest.py", "pytest.ini", "test_shop.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = _pytest(tmp_path, "-q", "-W", "error", **{URL_VARIABLE: server_url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def _pytest(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    changes: dict[str, str | None] = {"PYTEST_ADDOPTS": None, "HORSIES_TEST_SERVER_DIRECTORY": None}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        changes[name] = None
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(directory), *arguments],
        cwd=directory,
        env=child_environment({**changes, **environment}),
        capture_output=True,
        text=True,
        timeout=120,
    )
