"""Changes of the Python files below a directory, seen by comparing their times and sizes."""

import os
from collections.abc import Iterator
from pathlib import Path

_SKIPPED = {"__pycache__", "node_modules", "site-packages"}


class SourceWatcher:
    """Tells which `.py` files below a directory appeared, changed or went since the last look."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = self._look()

    def changes(self) -> list[Path]:
        """Files that are not as they were, sorted."""
        before, self._seen = self._seen, self._look()
        return sorted(
            Path(name)
            for name in before.keys() | self._seen.keys()
            if before.get(name) != self._seen.get(name)
        )

    def _look(self) -> dict[str, tuple[int, int]]:
        return {
            entry.path: (status.st_mtime_ns, status.st_size) for entry, status in _python_files(self._root)
        }


def _python_files(directory: Path | str) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Hidden directories and virtual environments are left out."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                    yield from _python_files(entry.path)
            elif entry.name.endswith(".py"):
                yield entry, entry.stat()
        except OSError:  # it went between the two looks
            continue


def syntax_error(file: Path) -> SyntaxError | None:
    """Why a file cannot be compiled; None if it can, or is gone."""
    try:
        compile(file.read_bytes(), file, "exec", dont_inherit=True)
    except SyntaxError as error:
        return error
    except (OSError, ValueError):
        return None
    return None
