"""Fixtures for the whole suite; each has its own module in `tests/fixtures`."""

pytest_plugins = (
    "horsies.testing.plugin",
    "tests.fixtures.database",
    "tests.fixtures.server",
    "tests.fixtures.roles",
)
