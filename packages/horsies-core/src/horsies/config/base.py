"""What all configuration models have in common."""

from pydantic import BaseModel, ConfigDict


class ConfigModel(BaseModel):
    """Base of the configuration models: unknown fields are refused, values do not change afterwards.

    Numbers and flags are taken as they are declared (`"5"` is no `int`, `1` is no `bool`), and messages about
    a wrong value never quote it, since the value next to a mistake is often a database URL.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
