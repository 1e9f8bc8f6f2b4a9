"""Which app a command is about (C-010): the argument, the option, or the environment."""

import os

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.locate import LOCATOR_FORMS

APP_VARIABLE = "HORSIES_APP"


def choose_locator(argument: str | None, option: str | None) -> str:
    """The locator given as argument or with `--module`, else that of HORSIES_APP.

    Raises:
        ConfigurationError: HRS-206: two different ones, or none.
    """
    if argument and option and argument != option:
        raise ConfigurationError(
            f"two different apps: {argument!r} and --module {option!r}",
            code=ErrorCode.CLI_INVALID_ARGS,
            help_text="give one of them",
        )
    chosen = argument or option or os.environ.get(APP_VARIABLE)
    if not chosen:
        raise ConfigurationError(
            "no app given",
            code=ErrorCode.CLI_INVALID_ARGS,
            help_text=f"name it as argument, with --module, or in {APP_VARIABLE}; {LOCATOR_FORMS}",
        )
    return chosen
