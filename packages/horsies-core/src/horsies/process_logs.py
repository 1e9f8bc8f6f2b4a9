"""Logging of the programs that serve an app, on stderr: text for people, or one JSON object per line."""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

FIELDS = ("worker_id", "task_id", "task_name", "schedule")
"""What a record may carry besides its message; `extra={...}` sets it."""


class LogLevel(StrEnum):
    """From which level on something is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, and those of `FIELDS` that the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                entry[name] = value
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure_logging(level: str, log_format: str) -> None:
    """Send everything from `level` on to stderr; replaces what was configured before.

    Args:
        level: One of `LogLevel`.
        log_format: One of `LogFormat`.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
