"""Loads the statements of the .sql files in this folder: the only place where SQL text comes from.

A file holds statements headed `-- name: <name>`; `{schema}` stands for the quoted schema and `{schema_literal}` for its
name as an SQL string. Names are unique over all files.
"""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_HEAD = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)
_SCHEMA_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,39}\Z")


class Statements:
    """The named statements for one schema, as bytes that psycopg takes without further checks."""

    def __init__(self, schema: str) -> None:
        """Args: schema: the schema's name (D-001); ValueError if it is not one."""
        if not _SCHEMA_NAME.match(schema):
            raise ValueError(f"not a schema name of horsies: {schema!r}")
        self.schema = schema
        self._texts = {name: render(text, schema).encode() for name, text in _all_statements().items()}

    def __getitem__(self, name: str) -> bytes:
        """The statement called `name`."""
        return self._texts[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._texts)


def render(text: str, schema: str) -> str:
    """`text` with the schema filled in."""
    return text.replace("{schema}", f'"{schema}"').replace("{schema_literal}", f"'{schema}'")


def migration_parts(folder: str) -> list[tuple[str, str]]:
    """(file name, text) of the parts of one migration, in order."""
    parts = [part for part in (_here() / "migrations" / folder).iterdir() if part.name.endswith(".sql")]
    return [(part.name, part.read_text("utf-8")) for part in sorted(parts, key=lambda part: part.name)]


def migration_folders() -> list[str]:
    """The migrations' folder names, in order."""
    return sorted(entry.name for entry in (_here() / "migrations").iterdir() if entry.name[:4].isdigit())


def _here() -> Traversable:
    return files(__name__)


@cache
def _all_statements() -> dict[str, str]:
    statements: dict[str, str] = {}
    for entry in sorted(_here().iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".sql"):
            continue
        _, *rest = _HEAD.split(entry.read_text("utf-8"))
        for name, text in zip(rest[::2], rest[1::2], strict=True):
            if name in statements:
                raise ValueError(f"two statements are called {name}; the second is in {entry.name}")
            statements[name] = _without_comments(text)
    return statements


def _without_comments(text: str) -> str:
    # Every byte is sent until a statement is prepared, and psycopg caches its parsing by the whole text.
    return "\n".join(line for line in text.strip().splitlines() if not line.lstrip().startswith("--"))
