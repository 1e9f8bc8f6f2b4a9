"""WorkflowHost: what a workflow needs of the app it belongs to."""

from typing import Protocol

from horsies.broker import Broker
from horsies.config.app import AppConfig


class WorkflowHost(Protocol):
    """An app, as far as workflows use it."""

    @property
    def config(self) -> AppConfig:
        """Queues, retention, limits."""
        ...

    def get_broker(self) -> Broker:
        """The way to the database, in this process."""
        ...
