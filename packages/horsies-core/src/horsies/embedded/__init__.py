"""A private PostgreSQL of this machine, for development, the demo and tests.

Real server binaries, a data directory of its own, 127.0.0.1 only. Any number of processes may use one
directory at once: the first one starts the server, which ends with its last user, however that user ends.
"""

from horsies.embedded.resolve import resolve_database_url
from horsies.embedded.server import EmbeddedServer, throwaway_directory

__all__ = ["EmbeddedServer", "resolve_database_url", "throwaway_directory"]
