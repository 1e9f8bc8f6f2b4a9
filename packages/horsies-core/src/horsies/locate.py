"""Finding the application a locator names, and importing the task modules an application lists."""

import fnmatch
import glob
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError, SourceLocation
from horsies.importing import add_project_to_path, import_by_file, import_by_name
from horsies.urls import mask_urls_in_text

LOCATOR_FORMS = """\
accepted forms:
  package.module:app     the attribute 'app' of a module
  package.module         the only application in a module
  dir/file.py:app        the attribute 'app' of a file
  dir/file.py            the only application in a file"""

DEFAULT_EXCLUDE = ("*_test.py", "test_*.py", "conftest.py")

_LIBRARY = os.path.dirname(os.path.abspath(__file__))
_STANDARD_LIBRARY = os.path.dirname(os.__file__)


@dataclass(frozen=True, slots=True)
class _Target:
    """A module, by dotted name or by file."""

    text: str
    file: Path | None

    def load(self) -> ModuleType:
        """Import it; what its code raises propagates."""
        add_project_to_path()
        if self.file is not None:
            if not self.file.is_file():
                raise _missing_file(self.text, self.file)
            return import_by_file(self.file)
        module = import_by_name(self.text)
        if module is None:
            raise _missing_module(self.text)
        return module


def locate_app[T](locator: str, wanted: type[T], *, code: ErrorCode = ErrorCode.CLI_INVALID_ARGS) -> T:
    """Import the module a locator names and give the application in it.

    Args:
        locator: `package.module:attribute`, `package.module`, `dir/file.py:attribute` or `dir/file.py`.
        wanted: class of the application.
        code: HRS-206 for a locator typed by a user, `ErrorCode.WORKER_INVALID_LOCATOR` for one handed over in
            code.

    Returns:
        The application.

    Raises:
        ConfigurationError: with `code`, the locator is malformed or names no application; HRS-210, the module
            raised while it was imported.
        HorsiesError: raised by the module itself, unchanged.
    """
    try:
        target, attribute = _parse(locator)
        module = _load_checked(target)
        if attribute is None:
            return _only_instance(module, target, wanted)
        return _named_instance(module, target, attribute, wanted)
    except _LocatorError as error:
        raise ConfigurationError(error.message, code=code, help_text=error.help_text) from None


def import_task_modules(entries: Iterable[str]) -> list[ModuleType]:
    """Import task modules, in order, as they are listed: packages are not searched.

    Args:
        entries: dotted names or paths of `.py` files.

    Returns:
        The modules.

    Raises:
        ConfigurationError: HRS-206, there is no such module or file.
        Exception: whatever a module raises while it is imported.
    """
    modules: list[ModuleType] = []
    for entry in entries:
        try:
            modules.append(_parse_entry(entry).load())
        except _LocatorError as error:
            raise _entry_error(error) from None
    return modules


def check_task_modules(entries: Iterable[str]) -> tuple[list[ModuleType], list[HorsiesError]]:
    """Import task modules and collect what goes wrong instead of raising it.

    Args:
        entries: dotted names or paths of `.py` files.

    Returns:
        The modules that could be imported, and the errors: HRS-206 for a missing one, HRS-210 for one that
        raised, and errors of horsies that a module raised, as they are.
    """
    modules: list[ModuleType] = []
    errors: list[HorsiesError] = []
    for entry in entries:
        try:
            modules.append(_load_checked(_parse_entry(entry)))
        except _LocatorError as error:
            errors.append(_entry_error(error))
        except HorsiesError as error:
            errors.append(error)
    return modules, errors


def expand_module_globs(patterns: Iterable[str], exclude: Sequence[str] | None = None) -> list[str]:
    """Turn file patterns into the list of files they match now.

    Args:
        patterns: dotted names, which are kept as they are; paths of `.py` files; patterns with `*`, `?` and
            `[ ]`, where `**` means any depth.
        exclude: patterns for paths and file names to leave out; `None` leaves out `DEFAULT_EXCLUDE`, the
            usual names of test files.

    Returns:
        Absolute real paths of existing `.py` files and dotted names, each once, in order.
    """
    unwanted = DEFAULT_EXCLUDE if exclude is None else tuple(exclude)
    found = (item for pattern in patterns for item in _expand(pattern, unwanted))
    return list(dict.fromkeys(found))


class _LocatorError(Exception):
    """Something is wrong with a locator; the caller knows the code to report it under."""

    def __init__(self, message: str, help_text: str) -> None:
        super().__init__(message)
        self.message = message
        self.help_text = help_text


def _parse(locator: str) -> tuple[_Target, str | None]:
    target, colon, attribute = locator.strip().rpartition(":")
    if not colon:
        return _parse_target(attribute, locator), None
    if not attribute.isidentifier():
        raise _LocatorError(f"locator {locator!r} names no attribute after its last colon", LOCATOR_FORMS)
    return _parse_target(target, locator), attribute


def _parse_target(target: str, locator: str) -> _Target:
    if "/" in target or target.endswith(".py"):
        path = target if target.endswith(".py") else f"{target}.py"
        if "/" not in target and target.count(".") > 1 and not os.path.isfile(target):
            dotted = target.removesuffix(".py")
            raise _LocatorError(
                f"locator {locator!r} is ambiguous: there is no file {target!r}, and no module ends in '.py'",
                f"for the module write {locator.replace(target, dotted)}\n"
                f"for the file write {locator.replace(target, dotted.replace('.', '/') + '.py')}",
            )
        return _Target(target, Path(path))
    if not all(part.isidentifier() for part in target.split(".")):
        raise _LocatorError(f"locator {locator!r} names neither a module nor a file", LOCATOR_FORMS)
    return _Target(target, None)


def _parse_entry(entry: str) -> _Target:
    if ":" in entry:
        raise _LocatorError(
            f"task module {entry!r} has a colon in it",
            "list the module or the file alone, for example 'shop.tasks' or 'shop/tasks.py'",
        )
    return _parse_target(entry, entry)


def _load_checked(target: _Target) -> ModuleType:
    try:
        return target.load()
    except (_LocatorError, HorsiesError):
        raise
    except (Exception, SystemExit) as error:
        raise _execution_error(target, error) from error


def _execution_error(target: _Target, error: BaseException) -> ConfigurationError:
    first, *rest = mask_urls_in_text(str(error)).split("\n")
    command = f"python -c 'import {target.text}'" if target.file is None else f"python {target.file}"
    notes = ["\n".join(rest)] if rest else []
    if isinstance(error, NameError) and _raised_in(error) == "Meta":
        notes.append(f"Meta does not see the names of the class around it; write {error.name!r}, in quotes")
    elif meant := _meant(error):
        notes.append(meant)
    return ConfigurationError(
        f"importing {target.text!r} raised {type(error).__name__}: {first}".removesuffix(": "),
        code=ErrorCode.MODULE_EXEC_ERROR,
        location=_raised_at(error),
        notes=notes,
        help_text=f"to see the whole traceback, import it alone: {command}",
    )


def _meant(error: BaseException) -> str | None:
    """The interpreter's own guess at a misspelled name, which it adds to tracebacks only."""
    if not isinstance(error, NameError | AttributeError | ImportError):
        return None
    text = "".join(traceback.TracebackException.from_exception(error).format_exception_only())
    found = re.search(r"Did you mean: .*\?", text)
    return None if found is None else found[0]


def _raised_in(error: BaseException) -> str | None:
    """The name of the function or class body that raised it."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return None if step is None else step.tb_frame.f_code.co_name


def _raised_at(error: BaseException) -> SourceLocation | None:
    """Find the innermost line of the user's own code, where an error in an import came from."""
    if isinstance(error, SyntaxError) and error.filename is not None and error.lineno is not None:
        return SourceLocation(error.filename, error.lineno)
    location, step = None, error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith(("<", _LIBRARY, _STANDARD_LIBRARY)) and "site-packages" not in file:
            location = SourceLocation(file, step.tb_lineno)
        step = step.tb_next
    return location


def _missing_file(text: str, file: Path) -> _LocatorError:
    return _LocatorError(
        f"there is no file {text!r}" if text.endswith(".py") else f"there is no file '{file}'",
        f"looked for {os.path.abspath(file)}; paths are relative to the working directory",
    )


def _missing_module(name: str) -> _LocatorError:
    path = name.replace(".", "/") + ".py"
    if os.path.isfile(path) and os.getcwd() not in sys.path:
        return _LocatorError(
            f"there is no module {name!r} on the import path",
            f"{path} exists, but the working directory is not searched for modules, since it has no\n"
            f"pyproject.toml, setup.cfg or setup.py; name the file, as ./{path}:app, or add a pyproject.toml",
        )
    return _LocatorError(
        f"there is no module {name!r}",
        "check the spelling, that its package is installed, and that you are in the project's directory",
    )


def _entry_error(error: _LocatorError) -> ConfigurationError:
    return ConfigurationError(
        f"{error.message} (listed for discover_tasks)",
        code=ErrorCode.CLI_INVALID_ARGS,
        help_text=error.help_text,
    )


def _only_instance[T](module: ModuleType, target: _Target, wanted: type[T]) -> T:
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and isinstance(value, wanted)
    }
    # By identity: an application under two names is one, and applications are not compared with ==.
    distinct = {id(value): value for value in found.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not found:
        raise _LocatorError(
            f"{target.text!r} has no public attribute that is a {wanted.__name__} object",
            f"create one in it, for example: app = {wanted.__name__}(config)",
        )
    names = sorted(found)
    raise _LocatorError(
        f"{target.text!r} has several {wanted.__name__} objects: {', '.join(names)}",
        "name the one to use:\n" + "\n".join(f"  {target.text}:{name}" for name in names),
    )


def _named_instance[T](module: ModuleType, target: _Target, attribute: str, wanted: type[T]) -> T:
    if not hasattr(module, attribute):
        names = sorted(name for name, value in vars(module).items() if isinstance(value, wanted))
        raise _LocatorError(
            f"{target.text!r} has no attribute {attribute!r}",
            f"its {wanted.__name__} objects: {', '.join(names) or 'none'}",
        )
    value = getattr(module, attribute)
    if not isinstance(value, wanted):
        raise _LocatorError(
            f"{target.text}:{attribute} is a {type(value).__name__}, not a {wanted.__name__} object",
            f"name the attribute that holds the application, as in: app = {wanted.__name__}(config)",
        )
    return value


def _expand(pattern: str, exclude: Sequence[str]) -> Iterator[str]:
    if not glob.has_magic(pattern) and "/" not in pattern and not pattern.endswith(".py"):
        yield pattern
        return
    matches = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]
    for match in matches:
        path = os.path.realpath(match)
        forms = (path, match, os.path.basename(match))
        excluded = any(fnmatch.fnmatchcase(form, unwanted) for form in forms for unwanted in exclude)
        if path.endswith(".py") and os.path.isfile(path) and not excluded:
            yield path
