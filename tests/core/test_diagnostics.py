"""HorsiesError: fields, automatic location and rendering (04 section 4)."""

import io
import os
import pickle
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import (
    ConfigurationError,
    DuplicateTaskNameError,
    HorsiesError,
    NotRegistered,
    RegistryError,
    SourceLocation,
    TaskDefinitionError,
    WorkflowValidationError,
)
from horsies.errors.report import MultipleValidationErrors

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "shop.py"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# --- fields and classes ------------------------------------------------------------------------------------


def test_fields_and_defaults() -> None:
    """04 section 4, first table."""
    error = HorsiesError("m")
    assert (error.message, error.code, error.notes, error.help_text) == ("m", None, [], None)
    assert error.location is not None
    place = SourceLocation("a.py", 1)
    full = HorsiesError(
        "m", code=ErrorCode.BROKER_INVALID_URL, location=place, notes=("a", "b"), help_text="h"
    )
    assert (full.code, full.location, full.notes, full.help_text) == (
        ErrorCode.BROKER_INVALID_URL,
        place,
        ["a", "b"],
        "h",
    )


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (ConfigurationError, (HorsiesError,)),
        (TaskDefinitionError, (HorsiesError, TypeError)),
        (WorkflowValidationError, (HorsiesError,)),
        (RegistryError, (HorsiesError,)),
        (NotRegistered, (RegistryError, KeyError)),
        (DuplicateTaskNameError, (RegistryError,)),
        (MultipleValidationErrors, (HorsiesError,)),
    ],
)
def test_subclasses(kind: type[HorsiesError], bases: tuple[type, ...]) -> None:
    """04 section 4: the tree."""
    assert all(issubclass(kind, base) for base in bases)


@pytest.mark.parametrize("kind", [HorsiesError, NotRegistered, TaskDefinitionError])
def test_text_is_the_plain_rendering(kind: type[HorsiesError]) -> None:
    """E-14: also for NotRegistered, whose other base would print a repr."""
    error = kind("it's\nbroken", location=SourceLocation("gone.py", 3))
    assert str(error) == error.format_rust_style(use_colors=False) == "\nerror: it's\nbroken\n  --> gone.py:3"


def test_errors_survive_pickling() -> None:
    error = NotRegistered("m", code=ErrorCode.TASK_NOT_REGISTERED, notes=["n"], help_text="h")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is NotRegistered
    assert str(again) == str(error)


def test_changes_return_the_error() -> None:
    """E-11"""
    error = ConfigurationError("m")
    place = SourceLocation("a.py", 1)
    assert error.with_note("n1").with_note("n2").with_help("h").with_location(place) is error
    assert (error.notes, error.help_text, error.location) == (["n1", "n2"], "h", place)
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    assert error.with_location_from_frame(frame) is error
    assert error.location == SourceLocation(__file__, frame.f_lineno - 1)


# --- E-12 --------------------------------------------------------------------------------------------------


def test_location_of_a_function() -> None:
    """E-12: the decorator's line is the first one; a method is a function too; builtins have no code."""

    @partial
    def decorated() -> None: ...

    place = SourceLocation.from_function(decorated.func)
    assert place is not None
    assert (place.file, place.column) == (__file__, None)
    assert place.get_source_line() == "    @partial"
    method = SourceLocation.from_function(Path("a").is_absolute)
    assert method is not None
    assert method.file.endswith(".py")
    assert SourceLocation.from_function(len) is None
    assert SourceLocation.from_function(decorated) is None
    assert SourceLocation.from_function(int) is None


def test_source_line(source: Callable[[str], str]) -> None:
    """E-12: None if unreadable."""
    file = source("first\n  second  \n\n")
    assert SourceLocation(file, 2).get_source_line() == "  second"
    assert SourceLocation(file, 3).get_source_line() == ""
    assert SourceLocation(file, 99).get_source_line() is None
    assert SourceLocation("no/such/file.py", 1).get_source_line() is None
    assert SourceLocation("<string>", 1).get_source_line() is None


def test_short_form() -> None:
    """E-12"""
    assert SourceLocation("a.py", 3).format_short() == "a.py:3"
    assert SourceLocation("a.py", 3, 7).format_short() == "a.py:3:7"
    assert SourceLocation("a.py", 3, 7, 9).format_short() == "a.py:3:7"


# --- E-13 --------------------------------------------------------------------------------------------------


def call_from(file: str, module: str, function: Callable[[], Any], **more: object) -> Any:
    """Call a function with one frame in between that claims to be of another file and module."""
    code = compile("def go():\n    return function()\n", file, "exec")
    scope: dict[str, Any] = {"__name__": module, "function": function, **more}
    exec(code, scope)
    return scope["go"]()


def test_nearest_user_frame(tmp_path: Path) -> None:
    """E-13"""
    file = str(tmp_path / "shop" / "tasks.py")
    error = call_from(file, "shop.tasks", partial(HorsiesError, "m"))
    assert error.location == SourceLocation(file, 2)


STANDARD = os.path.dirname(os.__file__)


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("{tmp}/src/horsies/task_fake.py", "horsies.task_fake"),
        ("{tmp}/src/horsies_worker/fake.py", "horsies_worker.fake"),
        ("{tmp}/src/horsies_scheduler/fake.py", "horsies_scheduler.fake"),
        ("{tmp}/src/horsies_syce/fake.py", "horsies_syce"),
        ("{tmp}/src/horsies_cli/fake.py", "horsies_cli.fake"),
        ("{tmp}/venv/lib/python3.13/site-packages/flask_fake.py", "flask_fake"),
        ("/usr/lib/python3/dist-packages/django_fake.py", "django_fake"),
        (f"{STANDARD}/functools_fake.py", "functools_fake"),
        ("<string>", "shop"),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
    ],
)
def test_frames_that_are_passed_over(tmp_path: Path, file: str, module: str) -> None:
    """E-13: the library, installed packages and synthetic code are not the user's."""
    error = call_from(file.format(tmp=tmp_path), module, partial(HorsiesError, "m"))
    assert error.location is not None
    # call_from is the next frame outwards, in this file.
    assert error.location.file == __file__


def test_library_run_as_a_program_is_still_the_library(tmp_path: Path) -> None:
    """E-13: under `python -m horsies_worker` the module is called __main__."""

    class Spec:
        name = "horsies_worker.__main__"

    file = str(tmp_path / "horsies_worker" / "__main__.py")
    error = call_from(file, "__main__", partial(HorsiesError, "m"), __spec__=Spec)
    assert error.location is not None
    assert error.location.file == __file__


@pytest.mark.parametrize("module", ["__main__", "horsies_shop.tasks", "builtins"])
def test_user_modules_with_telling_names(tmp_path: Path, module: str) -> None:
    """E-13: a user's package may begin like the library's."""
    file = str(tmp_path / f"{module}.py")
    error = call_from(file, module, partial(HorsiesError, "m"))
    assert error.location == SourceLocation(file, 2)


def test_no_user_frame_at_all() -> None:
    """E-13: a thread that runs nothing of the user's gives the error no location."""
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(HorsiesError, "m").result()
    assert error.location is None
    assert str(error) == "\nerror: m"


# --- rendering ---------------------------------------------------------------------------------------------

EXAMPLE = """
error[HRS-103]: invalid queue_name 'mial'
  --> {file}:31
     |
   31| @app.task("send_receipt", queue_name="mial")
     | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   = note: valid queues: ['mail', 'bulk']

   = help:
        use one of the configured queue names"""


def test_the_example(source: Callable[[str], str]) -> None:
    """04 section 4, the example."""
    file = source("\n" * 30 + '@app.task("send_receipt", queue_name="mial")\n')
    error = ConfigurationError(
        "invalid queue_name 'mial'",
        code=ErrorCode.TASK_INVALID_QUEUE,
        location=SourceLocation(file, 31),
        notes=["valid queues: ['mail', 'bulk']"],
        help_text="use one of the configured queue names",
    )
    assert str(error) == EXAMPLE.format(file=file)


def test_several_lines_in_note_and_help() -> None:
    """04 section 4, points 4 and 5: ten and eight spaces."""
    error = HorsiesError("m", notes=["one\ntwo\nthree", "four"], help_text="do\nthis").with_location(None)
    assert str(error).splitlines() == [
        "",
        "error: m",
        "   = note: one",
        "          two",
        "          three",
        "   = note: four",
        "",
        "   = help:",
        "        do",
        "        this",
    ]


@pytest.mark.parametrize(
    ("line", "column", "end_column", "carets"),
    [
        ("    x = f(1)", None, None, "    ^^^^^^^^"),
        ("    x = f(1)", 9, 13, "        ^^^^"),
        ("    x = f(1)", 9, None, "        ^"),
        ("    x = f(1)", 9, 9, "        ^"),
        ("\tx = 1", None, None, "\t^^^^^"),
        ("\tx = 1", 6, 7, "\t    ^"),
        ("x", 4, 6, "   ^^"),
    ],
)
def test_carets(
    source: Callable[[str], str], line: str, column: int | None, end_column: int | None, carets: str
) -> None:
    """04 section 4, point 3: under the column range, or under the line without its indentation."""
    file = source(f"{line}\n")
    error = HorsiesError("m", location=SourceLocation(file, 1, column, end_column))
    assert str(error).splitlines()[3:] == ["     |", f"    1| {line}", f"     | {carets}"]
    short = f"{file}:1" if column is None else f"{file}:1:{column}"
    assert str(error).splitlines()[2] == f"  --> {short}"


def test_an_unreadable_line_is_left_out() -> None:
    """04 section 4, point 3"""
    error = HorsiesError("m", location=SourceLocation("gone.py", 7), notes=["n"])
    assert str(error) == "\nerror: m\n  --> gone.py:7\n   = note: n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('url="postgresql://joe:s3cret@db/shop"', 'url="postgresql://joe:***@db/shop"'),
        ('url="postgresql://joe:s3cr@et@db/shop"', 'url="postgresql://joe:***@db/shop"'),
        ('f("postgresql://db/shop?password=s3cret&x=1")', 'f("postgresql://db/shop?password=***&x=1")'),
        ('connect(user="joe", password="s3cret")', 'connect(user="joe", password="***")'),
    ],
)
@pytest.mark.parametrize("column", [None, 3])
def test_quoted_source_shows_no_password(
    source: Callable[[str], str], line: str, shown: str, column: int | None
) -> None:
    """E-14: safe for logs, although the line at fault is often the one with the URL."""
    text = str(HorsiesError("m", location=SourceLocation(source(f"  {line}\n"), 1, column, 9)))
    assert "cr@et" not in text
    assert "s3cr" not in text
    assert text.splitlines()[-2:] == [f"    1|   {shown}", f"     |   {'^' * len(shown)}"]


# --- E-14: colours -----------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def located(source: Callable[[str], str]) -> HorsiesError:
    return HorsiesError(
        "m",
        code=ErrorCode.TASK_INVALID_QUEUE,
        location=SourceLocation(source("x = 1\n"), 1),
        notes=["n\nn2"],
        help_text="h",
    )


def test_colours_change_nothing_but_colours(located: HorsiesError) -> None:
    """E-14"""
    coloured = located.format_rust_style(use_colors=True)
    assert ANSI.search(coloured)
    assert ANSI.sub("", coloured) == str(located)
    assert not ANSI.search(located.format_rust_style(use_colors=False))


@pytest.mark.parametrize(
    ("force", "no_color", "terminal", "expected"),
    [
        ("1", None, False, True),
        ("true", None, False, True),
        ("YES", "1", False, True),
        ("0", None, True, True),
        ("0", "1", True, False),
        ("no", None, False, False),
        (None, "1", True, False),
        (None, "", True, False),
        (None, None, True, True),
        (None, None, False, False),
    ],
)
def test_colours_by_environment(
    located: HorsiesError,
    monkeypatch: pytest.MonkeyPatch,
    force: str | None,
    no_color: str | None,
    terminal: bool,
    expected: bool,
) -> None:
    """E-14: HORSIES_FORCE_COLOR, then NO_COLOR, then the terminal."""
    for name, value in (("HORSIES_FORCE_COLOR", force), ("NO_COLOR", no_color)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    assert bool(ANSI.search(located.format_rust_style())) is expected
    assert not ANSI.search(str(located))


def test_colours_without_standard_error(located: HorsiesError, monkeypatch: pytest.MonkeyPatch) -> None:
    """E-14: a process without a console (sys.stderr is None) can print errors."""
    monkeypatch.delenv("HORSIES_FORCE_COLOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", None)
    assert located.format_rust_style() == str(located)
