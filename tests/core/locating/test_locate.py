"""Finding the application a locator names (R-020 to R-024)."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, TaskDefinitionError
from horsies.locate import locate_app
from tests.core.locating.application import Application

type Write = Callable[..., Path]


def refusal(locator: str, code: ErrorCode = ErrorCode.CLI_INVALID_ARGS) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        locate_app(locator, Application, code=code)
    return caught.value


@pytest.mark.parametrize(
    "locator",
    ["shop.main:app", "shop.main", "shop/main.py:app", "shop/main.py", "shop/main:app", "shop/main"],
)
def test_the_forms_of_a_locator(write: Write, locator: str) -> None:
    """R-020."""
    write("shop/main.py", app="app")
    assert locate_app(locator, Application).label == "shop/main.py"


@pytest.mark.parametrize(
    "locator", ["main.py", "main.py:app", "./main.py", "./main:app", "main", " main:app "]
)
def test_files_of_the_working_directory(write: Write, locator: str) -> None:
    """R-020."""
    write("main.py", app="app")
    assert locate_app(locator, Application).label == "main.py"


def test_absolute_paths_and_colons_in_directories(write: Write, tmp_path: Path) -> None:
    """R-020: split at the last colon."""
    write("a:b/main.py", app="app")
    assert locate_app(f"{tmp_path}/a:b/main.py:app", Application).label == "a:b/main.py"


@pytest.mark.parametrize(
    "locator", ["", " ", ":", ":app", "main:", "main:a.b", "main:1", "my-app", "a..b", "a b:c"]
)
def test_malformed_locators_are_answered_with_the_forms(locator: str) -> None:
    """R-020, R-023."""
    error = refusal(locator)
    assert error.code == ErrorCode.CLI_INVALID_ARGS
    assert "dir/file.py:app" in (error.help_text or "")


def test_the_only_application_is_found(write: Write) -> None:
    """R-021: private names and other objects do not count, two names of one object count once."""
    write("main.py", "_other = Application('private'); again = app; number = 1", app="app")
    assert locate_app("main", Application).label == "main.py"


def test_without_an_application_there_is_nothing_to_run(write: Write) -> None:
    """R-021: neither a private one nor the class itself is taken."""
    write("main.py", app="_app")
    error = refusal("main")
    assert error.code == ErrorCode.CLI_INVALID_ARGS
    assert "no public attribute that is a Application object" in error.message


def test_among_several_applications_one_has_to_be_named(write: Write) -> None:
    """R-021."""
    write("main.py", "first = Application(); second = Application()", app="third")
    error = refusal("main")
    assert error.code == ErrorCode.CLI_INVALID_ARGS
    assert "first, second, third" in error.message
    assert "main:second" in (error.help_text or "")
    assert locate_app("main:third", Application).label == "main.py"


def test_a_private_name_can_be_given(write: Write) -> None:
    """R-021: it is only not searched."""
    write("main.py", app="_app")
    assert locate_app("main:_app", Application).label == "main.py"


@pytest.mark.parametrize("marker", ["pyproject.toml", "setup.cfg", "setup.py"])
def test_a_project_directory_goes_on_the_path(write: Write, tmp_path: Path, marker: str) -> None:
    """R-022."""
    (tmp_path / "pyproject.toml").unlink()
    write("main.py", app="app")
    assert refusal("main").code == ErrorCode.CLI_INVALID_ARGS
    assert str(tmp_path) not in sys.path
    (tmp_path / marker).touch()
    assert locate_app("main", Application).label == "main.py"
    assert sys.path.count(str(tmp_path)) == 1


def test_parents_are_not_searched(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-022."""
    write("main.py", app="app")
    write("inner/other.py")
    monkeypatch.chdir(tmp_path / "inner")
    refusal("main")
    assert str(tmp_path) not in sys.path


def test_a_file_outside_the_path_is_suggested_as_a_file(write: Write, tmp_path: Path) -> None:
    """R-023: the help names what would work."""
    (tmp_path / "pyproject.toml").unlink()
    write("shop/main.py", app="app")
    error = refusal("shop.main:app")
    assert "./shop/main.py" in (error.help_text or "")
    assert locate_app("./shop/main.py:app", Application).label == "shop/main.py"


def test_the_directory_of_a_file_goes_on_the_path(write: Write, tmp_path: Path) -> None:
    """R-022: so a file can import its neighbours."""
    write("jobs/settings.py", "label = 'neighbour'")
    write("jobs/main.py", "import settings; app.label = settings.label", app="app")
    assert locate_app("jobs/main.py", Application).label == "neighbour"
    assert str(tmp_path / "jobs") in sys.path


@pytest.mark.parametrize(
    ("locator", "part"),
    [
        ("nowhere", "'nowhere'"),
        ("nowhere.main:app", "'nowhere.main'"),
        ("shop.nowhere:app", "'shop.nowhere'"),
        ("shop.main.deeper:app", "'shop.main.deeper'"),
        ("nowhere.py", "'nowhere.py'"),
        ("shop/nowhere.py:app", "'shop/nowhere.py'"),
        ("shop/nowhere", "'shop/nowhere.py'"),
        ("shop/", "shop"),
        ("shop.main:missing", "no attribute 'missing'"),
        ("shop.main:number", "is a int, not a Application"),
        ("shop.main:Application", "is a type, not a Application"),
    ],
)
def test_what_is_not_there_is_named(write: Write, locator: str, part: str) -> None:
    """R-023: HRS-206 for a user's locator, HRS-207 for one handed over in code."""
    write("shop/__init__.py")
    write("shop/main.py", "number = 1", app="app")
    error = refusal(locator)
    assert error.code == ErrorCode.CLI_INVALID_ARGS
    assert part in error.message
    assert error.help_text
    assert refusal(locator, ErrorCode.WORKER_INVALID_LOCATOR).code == ErrorCode.WORKER_INVALID_LOCATOR


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('no settings')", "RuntimeError: no settings"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import module_that_is_not_installed", "ModuleNotFoundError: No module named"),
        ("from os import nothing_like_this", "ImportError: cannot import name"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit('bad environment')", "SystemExit: bad environment"),
        ("raise KeyError", "KeyError"),
    ],
)
@pytest.mark.parametrize("locator", ["shop.main:app", "shop/main.py:app"])
def test_what_a_module_raises_is_told(write: Write, body: str, message: str, locator: str) -> None:
    """R-023: HRS-210 with type and text, pointing at the user's line."""
    file = write("shop/main.py", f"x = 1\n{body}\n")
    error = refusal(locator, ErrorCode.WORKER_INVALID_LOCATOR)
    assert error.code == ErrorCode.MODULE_EXEC_ERROR
    assert message in error.message
    assert error.location is not None
    assert (error.location.file, error.location.line) == (str(file), 2)
    assert error.__cause__ is not None


def test_a_package_that_raises_is_not_a_missing_module(write: Write) -> None:
    """R-023."""
    write("shop/__init__.py", "raise RuntimeError('broken package')")
    write("shop/main.py", app="app")
    assert refusal("shop.main").code == ErrorCode.MODULE_EXEC_ERROR


def test_passwords_in_foreign_messages_are_masked(write: Write) -> None:
    """R-010, R-023: settings classes like to quote what they were given."""
    write("main.py", "raise ValueError('bad url\\npostgresql://u:hunter2@h/d')")
    error = refusal("main")
    assert "hunter2" not in error.message + "".join(error.notes)
    assert "postgresql://u:****@h/d" in error.notes[0]


def test_errors_of_horsies_pass_unchanged(write: Write) -> None:
    """R-023."""
    write(
        "main.py",
        "from horsies.errors.diagnostic import TaskDefinitionError\nraise TaskDefinitionError('mine')",
    )
    with pytest.raises(TaskDefinitionError) as caught:
        locate_app("main", Application)
    assert caught.value.message == "mine"


def test_an_interrupt_is_not_an_error(write: Write) -> None:
    """E-01."""
    write("main.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        locate_app("main", Application)


def test_a_module_that_failed_is_tried_anew(write: Write) -> None:
    """R-023: a failed import leaves nothing behind."""
    write("my-jobs.py", "1 / 0")
    refusal("./my-jobs.py")
    write("my-jobs.py", "app.label = 'repaired'", app="app")
    assert locate_app("./my-jobs.py", Application).label == "repaired"


@pytest.mark.parametrize("suffix", ["", ":app"])
def test_a_module_written_like_a_file_is_ambiguous(write: Write, suffix: str) -> None:
    """R-024: both correct spellings are shown."""
    write("shop/main.py", app="app")
    error = refusal(f"shop.main.py{suffix}")
    assert error.code == ErrorCode.CLI_INVALID_ARGS
    assert "ambiguous" in error.message
    assert f"shop.main{suffix}\n" in (error.help_text or "")
    assert f"shop/main.py{suffix}" in (error.help_text or "")


def test_a_file_with_dots_in_its_name_is_a_file(write: Write) -> None:
    """R-024: only a name that is no file is ambiguous."""
    write("shop.main.py", app="app")
    assert locate_app("shop.main.py", Application).label == "shop.main.py"
