"""An app without OpenTelemetry, and a program that sends to it."""

import os
import sys

from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
app = Horsies(AppConfig(broker=PostgresConfig(database_url=URL)))
app.discover_tasks(["tests.acceptance.apps.untraced"])


@app.task("loaded")
def loaded(package: str) -> TaskResult[bool, TaskError]:
    return TaskResult(ok=any(name.partition(".")[0] == package for name in sys.modules))


if __name__ == "__main__":
    handle = loaded.send("opentelemetry").unwrap()
    assert handle.get(timeout_ms=30_000).unwrap() is False, "in the executor"
    assert not any(name.partition(".")[0] == "opentelemetry" for name in sys.modules), "in the sender"
