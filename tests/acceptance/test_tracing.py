"""OpenTelemetry: what a real worker and a real sender put into one trace, and that nobody else pays for it (R-142)."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import ROOT
from tests.helpers import child_environment, eventually, running_module

APP = "tests.acceptance.apps.traced"

UNTRACED = "tests.acceptance.apps.untraced"

type Span = Mapping[str, Any]


def spans(folder: Path) -> list[Span]:
    path = folder / "spans"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(arguments: list[str], database_url: str, folder: Path, tracing: str = "on") -> None:
    environment = {
        "ACCEPTANCE_DATABASE_URL": database_url,
        "ACCEPTANCE_SPANS": str(folder),
        "ACCEPTANCE_TRACING": tracing,
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        env=child_environment(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(180)  # two programs begin, and it waits for three attempts
def test_one_trace_from_the_request_to_the_last_retry_and_node(database_url: str, tmp_path: Path) -> None:
    """R-142: the sender's context travels on the row, the run is its child, a retry links to the first attempt."""
    environment = {"ACCEPTANCE_DATABASE_URL": database_url, "ACCEPTANCE_SPANS": str(tmp_path)}
    with running_module(
        "horsies_worker", f"{APP}:app", "--processes", "2", environment=environment, directory=ROOT
    ) as worker:
        worker.wait_for("ready:")
        run(["-m", APP], database_url, tmp_path)
        # handing_on waits for nobody, and spans are written after the results.
        eventually(lambda: len(_named(spans(tmp_path), "process plain")) == 6, 30)
        eventually(lambda: len(_named(spans(tmp_path), "process add")) == 2, 30)

    found = spans(tmp_path)
    (request,) = _named(found, "request")
    assert {span["trace"] for span in found} == {request["trace"]}, (
        "everything belongs to the request's trace"
    )
    by_id = {span["id"]: span for span in found}

    sends = [span for span in found if span["kind"] == "PRODUCER"]
    runs = [span for span in found if span["kind"] == "CONSUMER"]
    assert len(runs) == 14
    assert {by_id[span["parent"]]["kind"] for span in runs} == {"PRODUCER"}
    assert {span["pid"] for span in runs}.isdisjoint(
        span["pid"] for span in sends if span["parent"] == request["id"]
    )

    _check_plain_sends(found, by_id)
    _check_retries(found, by_id)
    _check_failures(found)
    _check_workflow(found, by_id)


def _named(found: list[Span], name: str) -> list[Span]:
    return [span for span in found if span["name"] == name]


def _check_plain_sends(found: list[Span], by_id: Mapping[int, Span]) -> None:
    (threaded,) = _named(found, "process threaded")
    send = by_id[threaded["parent"]]
    assert send["name"] == "send threaded"
    assert threaded["status"] == "UNSET"
    task_id = send["attributes"]["messaging.message.id"]
    assert send["attributes"] == {
        "messaging.system": "horsies",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "default",
        "messaging.message.id": task_id,
        "horsies.task.name": "threaded",
    }
    assert threaded["attributes"] == {
        "messaging.system": "horsies",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": task_id,
        "horsies.task.name": "threaded",
        "horsies.task.attempt": 1,
    }
    (batch,) = [s for s in found if s["attributes"].get("messaging.batch.message_count") == 2]
    assert len([s for s in found if s["parent"] == batch["id"]]) == 2
    # A task that is sent by a task: the send is below the run.
    (outer_run,) = _named(found, "process handing_on")
    (inner_send,) = [s for s in found if s["parent"] == outer_run["id"]]
    assert inner_send["name"] == "send plain"
    assert [s["name"] for s in found if s["parent"] == inner_send["id"]] == ["process plain"]


def _check_retries(found: list[Span], by_id: Mapping[int, Span]) -> None:
    attempts = sorted(
        _named(found, "process third_time"), key=lambda span: span["attributes"]["horsies.task.attempt"]
    )
    assert [span["attributes"]["horsies.task.attempt"] for span in attempts] == [1, 2, 3]
    assert [span["status"] for span in attempts] == ["ERROR", "ERROR", "UNSET"]
    assert [span["links"] for span in attempts] == [[], [attempts[0]["id"]], [attempts[0]["id"]]]
    assert {by_id[span["parent"]]["name"] for span in attempts} == {"send third_time"}
    assert len({span["parent"] for span in attempts}) == 1


def _check_failures(found: list[Span]) -> None:
    (raising,) = _named(found, "process raising")
    assert raising["status"] == "ERROR"
    assert raising["attributes"]["error.type"] == "UNHANDLED_EXCEPTION"
    assert "as asked for" in raising["description"]
    ((event, attributes),) = raising["events"]
    assert event == "exception"
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "as asked for"
    assert "in raising" in attributes["exception.stacktrace"]
    refused = [s for s in found if s["kind"] == "PRODUCER" and s["status"] == "ERROR"]
    assert [s["attributes"]["error.type"] for s in refused] == ["conflict"]


def _check_workflow(found: list[Span], by_id: Mapping[int, Span]) -> None:
    (start,) = _named(found, "start outer")
    assert start["attributes"]["horsies.workflow.name"] == "outer"
    nodes = [span["name"] for span in found if span["parent"] == start["id"]]
    assert sorted(nodes) == ["process add", "process add", "process plain"]


@pytest.mark.timeout(180)
def test_nothing_is_imported_by_a_program_that_does_not_trace(database_url: str, tmp_path: Path) -> None:
    """R-142: OpenTelemetry is installed here, but neither the sender nor the executor imports it."""
    environment = {"ACCEPTANCE_DATABASE_URL": database_url}
    with running_module(
        "horsies_worker", f"{UNTRACED}:app", environment=environment, directory=ROOT
    ) as worker:
        worker.wait_for("ready:")
        run(["-m", UNTRACED], database_url, tmp_path)


def test_tracing_is_switched_off(database_url: str, tmp_path: Path) -> None:
    """R-142: an app that uses OpenTelemetry for itself need not trace its tasks."""
    send = "from tests.acceptance.apps.traced import plain; plain.send(1).unwrap()"
    run(["-c", send], database_url, tmp_path, tracing="off")
    assert spans(tmp_path) == []
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select trace_context from horsies.tasks").fetchall() == [(None,)]
