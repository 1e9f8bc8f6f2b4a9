"""An empty project to write modules into, and a process that forgets them afterwards."""

import sys
import textwrap
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from horsies import importing

type Write = Callable[..., Path]

IMPORT_APPLICATION = "from tests.core.locating.application import Application\n"


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[None]:
    """An empty working directory that is a project; modules imported by a test are forgotten after it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(importing, "_names", dict[str, str]())
    monkeypatch.setattr(importing, "_last_names", set[str]())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a module below the working directory."""

    def write_module(path: str, text: str = "", *, app: str | None = None) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        source = textwrap.dedent(text)
        if app is not None:
            source = f"{IMPORT_APPLICATION}{app} = Application({path!r})\n{source}"
        file.write_text(source)
        return file

    return write_module
