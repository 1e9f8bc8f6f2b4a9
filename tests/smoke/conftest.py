"""The worker of the acceptance tests."""

from tests.acceptance.conftest import basic, start_worker

__all__ = ["basic", "start_worker"]
