"""Which files count as code that changed (C-074)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from horsies_cli.reload import SourceWatcher, syntax_error


def _write(file: Path) -> None:
    file.write_text("y = 2\n")


def _touch(file: Path) -> None:
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize(
    ("change", "name", "is_seen"),
    [
        (_write, "shop/new.py", True),
        (_touch, "shop/tasks.py", True),
        (Path.unlink, "shop/tasks.py", True),
        (_write, "shop/notes.txt", False),
        (_write, ".hidden/x.py", False),
        (_write, "environment/x.py", False),
        (_write, "__pycache__/x.py", False),
    ],
)
def test_python_files_are_watched_and_nothing_else(
    tmp_path: Path, change: Callable[[Path], None], name: str, is_seen: bool
) -> None:
    for directory in ("shop", ".hidden", "environment", "__pycache__"):
        (tmp_path / directory).mkdir()
    (tmp_path / "environment" / "pyvenv.cfg").touch()
    (tmp_path / "shop" / "tasks.py").write_text("x = 1\n")
    watcher = SourceWatcher(tmp_path)
    assert watcher.changes() == []
    change(tmp_path / name)
    assert watcher.changes() == ([tmp_path / name] if is_seen else [])
    assert watcher.changes() == []


def test_a_syntax_error_is_found_before_anything_restarts(tmp_path: Path) -> None:
    file = tmp_path / "tasks.py"
    file.write_text("x = 1\ndef broken(:\n")
    error = syntax_error(file)
    assert error is not None
    assert error.lineno == 2
    file.write_text("x = 1\n")
    assert syntax_error(file) is None
    assert syntax_error(tmp_path / "gone.py") is None
