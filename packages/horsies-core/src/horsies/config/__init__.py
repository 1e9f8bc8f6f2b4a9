"""The configuration: pydantic models, whose rules across several fields raise `ConfigurationError`."""

from horsies.config.app import AppConfig
from horsies.config.broker import PostgresConfig
from horsies.config.payload import PayloadPolicy
from horsies.config.queues import CustomQueueConfig, QueueMode
from horsies.config.recovery import RecoveryConfig
from horsies.config.resilience import WorkerResilienceConfig
from horsies.config.retention import RetentionConfig

__all__ = [
    "AppConfig",
    "CustomQueueConfig",
    "PayloadPolicy",
    "PostgresConfig",
    "QueueMode",
    "RecoveryConfig",
    "RetentionConfig",
    "WorkerResilienceConfig",
]
