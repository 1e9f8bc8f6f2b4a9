"""Output of several programs on one terminal: every line begins with its program's name."""

import sys
import threading

from horsies_cli.colour import wants_colour

_COLOURS = {"db": "36", "worker": "32", "scheduler": "35", "dev": "33"}
_WIDTH = max(map(len, _COLOURS))


class PrefixedConsole:
    """Writes whole lines, also when several threads write at once; a closed stream is written to no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams = {"stdout": sys.stdout, "stderr": sys.stderr}
        self._coloured = {kind: wants_colour(stream) for kind, stream in self._streams.items()}

    def line(self, name: str, kind: str, text: str) -> None:
        """Write one line of the program `name` to `stdout` or `stderr` (`kind`)."""
        prefix = f"{name:<{_WIDTH}} |"
        if self._coloured[kind]:
            prefix = f"\x1b[{_COLOURS.get(name, '0')}m{prefix}\x1b[0m"
        with self._lock:
            stream = self._streams.get(kind)
            if stream is None:
                return
            try:
                stream.write(f"{prefix} {text}\n")
                stream.flush()
            except (BrokenPipeError, ValueError):
                del self._streams[kind]
