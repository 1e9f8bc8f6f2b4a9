"""The one place that turns `embedded:` URLs into real ones (CF-22)."""

import atexit
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError

_SCHEME = "embedded:"
_lock = threading.Lock()
_held: dict[Path | None, Callable[[], str]] = {}


def resolve_database_url(url: str) -> str:
    """The URL to connect to: `embedded:` forms start or join a private server, others stay as they are.

    `embedded:` means the user's state directory, `embedded:///absolute/dir` that directory. The server is
    held until this process ends.

    Raises:
        ConfigurationError: HRS-203: another form of `embedded:`, or the server cannot be started.
    """
    if not url.startswith(_SCHEME):
        return url
    directory = _directory_of(url)
    with _lock:
        if directory not in _held:
            _held[directory] = _hold(directory)
        return _held[directory]()


def _directory_of(url: str) -> Path | None:
    rest = url.removeprefix(_SCHEME)
    if rest in ("", "//", "///"):
        return None
    path = unquote(rest.removeprefix("//"))
    if not path.startswith("/") or not rest.startswith("///"):
        raise ConfigurationError(
            "not a valid embedded database URL",
            code=ErrorCode.BROKER_INVALID_URL,
            help_text="write 'embedded:' for the user's state directory, or 'embedded:///absolute/dir'",
        )
    return Path(path)


def _hold(directory: Path | None) -> Callable[[], str]:
    # Imported here: most programs name a real server and need none of it (10 ms of their start-up).
    from horsies.embedded.server import EmbeddedServer

    server = EmbeddedServer(directory)
    atexit.register(server.stop)

    def url() -> str:
        server.start()
        return server.url()

    return url
