"""Logging of worker and executors."""

from horsies.process_logs import LEVELS, configure_logging

__all__ = ["LEVELS", "configure_logging"]
