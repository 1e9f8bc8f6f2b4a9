"""From a locator to the app and back: what the command line and executor processes need (R-020 to R-026, C-010)."""

import os
import sys

from horsies.app import Horsies
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.locate import locate_app

_FORMS = "package.module:attribute, package.module, path/file.py:attribute or path/file.py"


def load_app(locator: str) -> Horsies:
    """The app that a locator names; its module is imported.

    Raises:
        HorsiesError: HRS-206 when there is no such app, HRS-210 when its module raises.
    """
    return locate_app(locator, Horsies)


def locator_argument(positional: str | None, option: str | None) -> str:
    """The locator of a command line: argument or option, else HORSIES_APP (C-010).

    Raises:
        ConfigurationError: HRS-206, both are given and differ, or none is.
    """
    if positional and option and positional != option:
        raise ConfigurationError(
            f"two apps are named: {positional!r} and --module {option!r}",
            code=ErrorCode.CLI_INVALID_ARGS,
            help_text="name the app once",
        )
    locator = positional or option or os.environ.get("HORSIES_APP")
    if not locator:
        raise ConfigurationError(
            "no app is named",
            code=ErrorCode.CLI_INVALID_ARGS,
            help_text=f"give it as {_FORMS},\nor set HORSIES_APP",
        )
    return locator


def locator_of(app: Horsies) -> str:
    """A locator under which another process finds this app again.

    Raises:
        ConfigurationError: HRS-207, no loaded module has it as an attribute.
    """
    found: list[str] = []
    for name, module in list(sys.modules.items()):
        attributes = [key for key, value in list(getattr(module, "__dict__", {}).items()) if value is app]
        if attributes and name == "__main__":
            spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
            if spec is not None:
                found.append(f"{spec.name}:{attributes[0]}")
            elif file:
                found.append(f"{os.path.abspath(file)}:{attributes[0]}")
        elif attributes:
            found.insert(0, f"{name}:{attributes[0]}")
    if not found:
        raise ConfigurationError(
            "this app cannot be found by other processes",
            code=ErrorCode.WORKER_INVALID_LOCATOR,
            help_text="keep it in a variable at the top level of a module; executors import that module",
        )
    return found[0]
