"""PayloadPolicy: how large arguments and results may become."""

from pydantic import Field

from horsies.config.base import ConfigModel


class PayloadPolicy(ConfigModel):
    """Limits on the size of the JSON text that travels; a limit is broken by a text longer than it.

    Attributes:
        warn_bytes: log a warning above this many UTF-8 bytes; None for no warning.
        reject_bytes: refuse a send above this many UTF-8 bytes; None for no limit. Results are never refused.
    """

    warn_bytes: int | None = Field(default=1_048_576, strict=True, ge=1)
    reject_bytes: int | None = Field(default=None, strict=True, ge=1)
