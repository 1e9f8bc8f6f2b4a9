"""Names and what they stand for: tasks by name, in the order of their registration."""

import os
import threading
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Never

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import DuplicateTaskNameError, NotRegistered, SourceLocation


class Registry[V](Mapping[str, V]):
    """A read-only mapping for users; only `register` adds to it.

    Looking up an unknown name raises `NotRegistered`, which is a `KeyError` too, so `get` and `in` work as usual.
    """

    def __init__(self) -> None:
        self._items: dict[str, V] = {}
        self._places: dict[str, SourceLocation | None] = {}
        self._lock = threading.Lock()

    def register(self, name: str, item: V, place: SourceLocation | None) -> V:
        """Keep an item under its name.

        Args:
            name: The name to register.
            item: What to keep.
            place: Where its function begins. The same place again is a re-import.

        Returns:
            The item, or the one already registered from the same place.

        Raises:
            DuplicateTaskNameError: The name is taken by a function at another place.
        """
        with self._lock:
            if name not in self._items:
                self._places[name] = place
                self._items[name] = item
                return item
        first = self._places[name]
        if place is not None and first is not None and _spot(place) == _spot(first):
            return self._items[name]
        raise DuplicateTaskNameError(
            f"task name {name!r} is already registered",
            code=ErrorCode.TASK_DUPLICATE_NAME,
            location=place,
            notes=[f"first registered at {first.format_short()}" if first else "first registered elsewhere"],
            help_text="give each task a name of its own; workers find the function by this name",
        )

    def find(self, name: str) -> V | None:
        """The item of that name, or `None`; cheaper than `get`, which has to make an error first."""
        return self._items.get(name)

    def __getitem__(self, name: str) -> V:
        try:
            return self._items[name]
        except KeyError:
            self._refuse(name)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {list(self._items)}>"

    def _refuse(self, name: str) -> Never:
        close = get_close_matches(str(name), self._items, n=3)
        raise NotRegistered(
            f"no task named {name!r} is registered",
            code=ErrorCode.TASK_NOT_REGISTERED,
            notes=[f"similar names: {', '.join(close)}"] if close else [],
            help_text="import the module that defines it, or list that module in app.discover_tasks([...])",
        ) from None


def _spot(place: SourceLocation) -> tuple[str, int]:
    # One file can be reached by two paths, a link for instance.
    return os.path.realpath(place.file), place.line
