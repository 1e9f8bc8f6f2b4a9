"""Workflows under drain: tasks, conditions and children, without a worker (01 §14, T-87)."""

from collections.abc import Iterator

import pytest

from horsies import Horsies, OnError, WorkflowStatus
from horsies.testing import drain, on_database
from horsies.workflow.nodes import TaskNode
from tests.acceptance.apps import flows


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """The app of the acceptance tests, on this test's database."""
    with on_database(flows.app, database_url) as app:
        yield app


def test_results_flow_from_node_to_node(app: Horsies) -> None:
    handle = flows.Pair.build(app).start().unwrap()
    assert [info.task_name for info in drain(app)] == ["one", "add", "summed"]
    assert handle.get(timeout_ms=0).unwrap() == 6


def test_conditions_and_children_are_prepared(app: Horsies) -> None:
    """W-57: the steps run here too and are not among the tasks."""
    guarded = flows.Guarded.build(app).start().unwrap()
    parent = flows.Parent.build(app).start().unwrap()
    names = {info.task_name for info in drain(app)}
    assert names == {"one", "add"}
    assert guarded.status().unwrap() is WorkflowStatus.FAILED
    assert parent.get(timeout_ms=0).unwrap() == 13


def test_a_paused_workflow_waits(app: Horsies) -> None:
    bad = TaskNode(fn=flows.broken, node_id="bad")
    after = TaskNode(fn=flows.one, waits_for=[bad], node_id="after", allow_failed_deps=True)
    handle = app.workflow("pausing", [bad, after], on_error=OnError.PAUSE).start().unwrap()
    assert [info.task_name for info in drain(app)] == ["broken"]
    assert handle.status().unwrap() is WorkflowStatus.PAUSED
    assert handle.resume().unwrap()
    assert [info.task_name for info in drain(app)] == ["one"]
