"""What tasks in executors leave behind for tests to read: lines in a file of a folder."""

import os
from pathlib import Path


def note(folder: str, text: str) -> None:
    """One line, written whole."""
    fd = os.open(Path(folder) / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


def notes(folder: Path) -> list[str]:
    """The lines so far."""
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []
