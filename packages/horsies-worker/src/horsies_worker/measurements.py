"""Memory and CPU of the worker. The import costs a tenth of a second, so it is made while executors start."""

import os
from collections.abc import Iterable

import psutil

_MB = 1024 * 1024


class Measurements:
    """Measures the coordinator and its executors. What cannot be measured is None (M-015)."""

    def __init__(self) -> None:
        self._own: psutil.Process | None = None
        try:
            self._own = psutil.Process(os.getpid())
            self._own.cpu_percent()  # only from the second call on does it say something
        except (psutil.Error, OSError):
            pass

    def take(self, executors: Iterable[int]) -> dict[str, object]:
        """Fields of the worker's snapshot; `executors`: their process ids."""
        return {**self._coordinator(), "children_memory_mb": self._children(executors)}

    def _coordinator(self) -> dict[str, object]:
        own = self._own
        try:
            if own is None:
                raise psutil.Error
            return {
                "memory_usage_mb": round(own.memory_info().rss / _MB, 1),
                "memory_percent": round(own.memory_percent(), 2),
                "cpu_percent": round(own.cpu_percent(), 1),
            }
        except (psutil.Error, OSError):
            return {"memory_usage_mb": None, "memory_percent": None, "cpu_percent": None}

    def _children(self, executors: Iterable[int]) -> float | None:
        total = 0
        for pid in executors:
            try:
                total += psutil.Process(pid).memory_info().rss
            except psutil.NoSuchProcess:
                continue
            except (psutil.Error, OSError):
                return None
        return round(total / _MB, 1)
