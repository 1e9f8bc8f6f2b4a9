"""What commands write for programs: one JSON document on standard output (C-023)."""

import json
import sys
from collections.abc import Mapping


def write_data(data: object, next_cursor: str | None = None) -> None:
    """The answer of a command that succeeded."""
    _write({"ok": True, "data": data, "next_cursor": next_cursor})


def write_failure(code: str | None, message: str, *, retryable: bool, more: Mapping[str, object]) -> None:
    """The answer of a command that failed; `more` goes beside code and message."""
    _write({"ok": False, "error": {"code": code, "message": message, "retryable": retryable, **more}})


def _write(document: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
