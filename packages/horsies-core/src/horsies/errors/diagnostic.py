"""Exceptions for mistakes found while defining, configuring or starting, and how they are printed.

HorsiesError
├── ConfigurationError
├── TaskDefinitionError (also TypeError)
├── WorkflowValidationError
├── RegistryError
│   ├── NotRegistered (also KeyError)
│   └── DuplicateTaskNameError
└── MultipleValidationErrors (in `report`)
"""

import inspect
import linecache
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Self

from horsies.errors.catalogue import ErrorCode

_LIBRARY_PACKAGES = frozenset(
    {"horsies", "horsies_worker", "horsies_scheduler", "horsies_syce", "horsies_cli"}
)
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))

# A source line is quoted in logs, and the line that configures a broker often holds its password.
_URL_PASSWORD = re.compile(r"(://[^:/\s\"'@]*:)[^\s\"']*@")
_NAMED_PASSWORD = re.compile(r"(?i)(passw(?:or)?d\s*=\s*[\"']?)[^&\s\"',)]+")

_user_file: dict[str, bool] = {}


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """A place in a source file.

    Attributes:
        file: Path as the interpreter knows it.
        line: Line number, from 1.
        column: First column, from 1; `None` for the whole line.
        end_column: First column after the range; `None` for a single column.
    """

    file: str
    line: int
    column: int | None = None
    end_column: int | None = None

    @classmethod
    def from_frame(cls, frame: FrameType) -> Self:
        """The line a stack frame is executing."""
        return cls(frame.f_code.co_filename, frame.f_lineno or frame.f_code.co_firstlineno)

    @classmethod
    def from_function(cls, function: object) -> Self | None:
        """The first line of a function, its decorators included; `None` for callables without code."""
        code = getattr(function, "__code__", None)
        return cls(code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else None

    def get_source_line(self) -> str | None:
        """Text of the line without its end; `None` if it cannot be read."""
        # Python keeps the text of `-c` under the name that all compiled strings share.
        text = "" if self.file == "<string>" else linecache.getline(self.file, self.line)
        return text.rstrip() if text else None

    def format_short(self) -> str:
        """`file:line`, with `:column` if there is one."""
        short = f"{self.file}:{self.line}"
        return short if self.column is None else f"{short}:{self.column}"


class HorsiesError(Exception):
    """A mistake in a definition, a configuration or a start-up; its text says what, where and what to do.

    Attributes:
        message: What is wrong, in one sentence.
        code: Catalogue code, printed as `HRS-nnn`.
        location: Source line at fault; found from the call stack if not given.
        notes: Further facts, one text each.
        help_text: What to do about it.
    """

    message: str
    code: ErrorCode | None
    location: SourceLocation | None
    notes: list[str]
    help_text: str | None

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode | None = None,
        location: SourceLocation | None = None,
        notes: Iterable[str] = (),
        help_text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.location = location if location is not None else nearest_user_location()
        self.notes = list(notes)
        self.help_text = help_text

    def with_note(self, note: str) -> Self:
        """Add a note and return the error."""
        self.notes.append(note)
        return self

    def with_help(self, help_text: str) -> Self:
        """Set the help text and return the error."""
        self.help_text = help_text
        return self

    def with_location(self, location: SourceLocation | None) -> Self:
        """Set the location and return the error."""
        self.location = location
        return self

    def with_location_from_frame(self, frame: FrameType) -> Self:
        """Set the location to the line a frame is executing and return the error."""
        return self.with_location(SourceLocation.from_frame(frame))

    def format_rust_style(self, use_colors: bool | None = None) -> str:
        """The error as text with its source line, notes and help.

        Args:
            use_colors: Whether to add ANSI colours. `None` asks the environment: `HORSIES_FORCE_COLOR`
                (`1`, `true`, `yes`) turns them on, else `NO_COLOR` turns them off, else they are on when
                standard error is a terminal.
        """
        return _render(self, colors_wanted() if use_colors is None else use_colors)

    def __str__(self) -> str:
        return self.format_rust_style(use_colors=False)


class ConfigurationError(HorsiesError):
    """A setting is wrong, or two settings contradict each other."""


class TaskDefinitionError(HorsiesError, TypeError):
    """A task is declared in a way that cannot work."""


class WorkflowValidationError(HorsiesError):
    """A workflow is declared in a way that cannot work."""


class RegistryError(HorsiesError):
    """A name is missing from, or already taken in, a registry."""


class NotRegistered(RegistryError, KeyError):  # noqa: N818  (the public name is part of the contract)
    """No task of this name is registered."""


class DuplicateTaskNameError(RegistryError):
    """Another function already registered a task under this name."""


def colors_wanted() -> bool:
    """Whether the environment asks for ANSI colours on standard error."""
    if os.environ.get("HORSIES_FORCE_COLOR", "").strip().lower() in {"1", "true", "yes"}:
        return True
    if "NO_COLOR" in os.environ:
        return False
    return sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]


def nearest_user_location() -> SourceLocation | None:
    """The innermost line of the call stack that is the user's own code; `None` if there is none."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        file = frame.f_code.co_filename
        is_user = _user_file.get(file)
        if is_user is None:
            is_user = _user_file[file] = _is_user_code(file, frame)
        if is_user:
            return SourceLocation.from_frame(frame)
        frame = frame.f_back
    return None


def _is_user_code(file: str, frame: FrameType) -> bool:
    # Without .py it is an installed console script: nobody's mistake is there.
    if not file.endswith(".py") or file.startswith(("<", _STANDARD_LIBRARY)):
        return False
    if any(part in file for part in _INSTALLED):
        return False
    # Under `python -m` the name is __main__, and only the import spec tells where the module belongs.
    spec = frame.f_globals.get("__spec__")
    name = getattr(spec, "name", None) or frame.f_globals.get("__name__", "")
    return str(name).partition(".")[0] not in _LIBRARY_PACKAGES


def _render(error: HorsiesError, use_colors: bool) -> str:
    paint = _Paint(use_colors)
    title = "error" if error.code is None else f"error[{error.code.value}]"
    lines = ["", f"{paint.red(title)}{paint.bold(f': {error.message}')}"]
    if error.location is not None:
        lines.append(f"  {paint.blue('-->')} {error.location.format_short()}")
        lines += _render_source(error.location, paint)
    for note in error.notes:
        first, *rest = note.split("\n")
        lines.append(f"   {paint.blue('=')} {paint.bold('note')}: {first}")
        lines += [f"{'':10}{line}" for line in rest]
    if error.help_text is not None:
        lines += ["", f"   {paint.blue('=')} {paint.green('help')}:"]
        lines += [f"{'':8}{line}" for line in error.help_text.split("\n")]
    return "\n".join(lines)


def _render_source(location: SourceLocation, paint: "_Paint") -> list[str]:
    original = location.get_source_line()
    if original is None:
        return []
    shown = _NAMED_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1***@", original))
    start, end = len(shown) - len(shown.lstrip()), len(shown)
    if location.column is not None and shown == original:
        start = max(location.column - 1, 0)
        end = max(location.end_column - 1 if location.end_column is not None else 0, start + 1)
    # Tabs are kept in front of the carets so that both lines are indented alike, whatever a tab is worth.
    indent = "".join("\t" if char == "\t" else " " for char in shown[:start].ljust(start))
    gutter = f"{'':5}{paint.blue('|')}"
    return [
        gutter,
        f"{paint.blue(f'{location.line:>5}|')} {shown}",
        f"{gutter} {indent}{paint.red('^' * (end - start))}",
    ]


class _Paint:
    """Wraps text in ANSI codes, or leaves it alone."""

    __slots__ = ("_on",)

    def __init__(self, on: bool) -> None:
        self._on = on

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text

    def red(self, text: str) -> str:
        return self._wrap("1;31", text)

    def green(self, text: str) -> str:
        return self._wrap("1;32", text)

    def blue(self, text: str) -> str:
        return self._wrap("1;34", text)

    def bold(self, text: str) -> str:
        return self._wrap("1", text)
