"""App modules of the acceptance tests, which take their settings from the environment when they are imported."""

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def fresh_module(name: str) -> Generator[Any]:
    """The module, imported anew; its app is closed afterwards, and one that another test holds is back in its place."""
    before = sys.modules.pop(name, None)
    try:
        module = importlib.import_module(name)
        try:
            yield module
        finally:
            module.app.get_broker().close()
    finally:
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before
