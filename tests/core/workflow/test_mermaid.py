"""Drawing a spec (W-261 to W-264)."""

from typing import Any

import pytest

from horsies import TaskError, TaskResult, WorkflowContext
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.mermaid import GraphNode, draw
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.core.workflow.shop import app, number


def never(context: WorkflowContext) -> bool:
    return False


class Drawn(WorkflowDefinition[int]):
    name = "drawn"
    definition_key = "tests.mermaid.drawn"
    load = TaskNode(fn=number, run_when=never)
    child: Any = None
    total = TaskNode(fn=number, waits_for=[load])

    class Meta:
        output = "total"


@app.task("plain")
def plain() -> TaskResult[int, TaskError]:
    return TaskResult(ok=1)


def test_nodes_then_edges() -> None:
    """W-261, W-262, W-263: the whole text, byte by byte."""
    a = TaskNode(fn=number, node_id="a")
    b = TaskNode(fn=plain, node_id="plain")
    c = SubWorkflowNode(workflow_def=Drawn, node_id="c", waits_for=[b, a])
    d = TaskNode(fn=number, node_id="d", waits_for=[a, b, c], join="any")
    e = TaskNode(fn=number, node_id="e", waits_for=[c, b, a], join="quorum", min_success=2)
    f = TaskNode(fn=number, node_id="f", waits_for=[e], allow_failed_deps=True)
    spec = app.workflow("w", [a, b, c, d, e, f], output=c)
    assert spec.to_mermaid() == (
        "flowchart TD\n"
        '    n0["a<br/>shop.number"]\n'
        '    n1["plain"]\n'
        '    n2[["c<br/>drawn"]]\n'
        '    n3["d<br/>shop.number"]\n'
        '    n4["e<br/>shop.number"]\n'
        '    n5["f<br/>shop.number"]\n'
        "    n1 --> n2\n"
        "    n0 --> n2\n"
        "    n0 -.-> n3\n"
        "    n1 -.-> n3\n"
        "    n2 -.-> n3\n"
        '    n2 -. "2/3" .-> n4\n'
        '    n1 -. "2/3" .-> n4\n'
        '    n0 -. "2/3" .-> n4\n'
        '    n4 == "any end" ==> n5\n'
        "    style n2 stroke-width:3px\n"
    )
    assert spec.to_mermaid() == spec.to_mermaid()


def test_a_condition_is_marked() -> None:
    """W-263."""
    assert '    n0["load<br/>shop.number ?"]\n' in Drawn.build(app).to_mermaid()


@pytest.mark.parametrize("direction", ["TD", "TB", "BT", "LR", "RL"])
def test_directions(direction: Any) -> None:
    """W-261."""
    assert (
        WorkflowSpec("w", [TaskNode(fn=plain)]).to_mermaid(direction).startswith(f"flowchart {direction}\n")
    )


@pytest.mark.parametrize("direction", ["td", "", "DT", None])
def test_any_other_direction_is_refused(direction: Any) -> None:
    """W-261."""
    with pytest.raises(ValueError, match="direction is one of TD, TB, BT, LR, RL"):
        WorkflowSpec("w", [TaskNode(fn=plain)]).to_mermaid(direction)


def test_no_name_can_break_out() -> None:
    """W-264."""
    name = 'x"]\n  n1["<b>#&`\r\n\u2028end\x0b'
    text = draw([GraphNode(kind="task", node_id="a", name=name)], "TD")
    assert text == ('flowchart TD\n    n0["a<br/>x#quot;]   n1[#quot;#lt;b#gt;#35;#38;#96;  end "]\n')


def test_a_stored_node_may_say_more() -> None:
    """W-265: done and total of a map go into the label."""
    text = draw([GraphNode(kind="task", node_id="a", name="a", extra="1/3")], "LR")
    assert text == 'flowchart LR\n    n0["a<br/>1/3"]\n'
