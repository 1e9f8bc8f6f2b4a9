"""Whether to write colours (C-021), for our own output and for the help texts that Typer renders."""

import os
from typing import IO

_FORCING = ("1", "true", "yes")


def wants_colour(stream: IO[str]) -> bool:
    """Whether text written to the stream may hold colour codes."""
    if os.environ.get("HORSIES_FORCE_COLOR", "").lower() in _FORCING:
        return True
    if "NO_COLOR" in os.environ:
        return False
    return stream.isatty()


def instruct_typer(stream: IO[str]) -> None:
    """Make the help and usage texts follow the same rule; Typer reads these variables when it renders."""
    if wants_colour(stream):
        os.environ["FORCE_COLOR"] = "1"
        os.environ.pop("NO_COLOR", None)
    else:
        os.environ.pop("FORCE_COLOR", None)
        os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"
