"""What the model makes of a workflow tree that a real worker has run.

Joins, failures and skips do not depend on the order of things, so without a cancel the fates of the nodes decide every
end state. A cancel comes at some moment: the model is brought to a moment that fits what was found to have run, and
cancelled there.
"""

from dataclasses import dataclass, field

from tests.acceptance.random_graphs import RandomGraph
from tests.core.workflow_engine.model import Flow, Model, Node, Outcome
from tests.core.workflow_engine.state import StoredFlow

RAN = ("COMPLETED", "FAILED")


@dataclass
class Replay:
    """One tree: its declaration with the fates, and what is stored of it by workflow id."""

    made: RandomGraph
    stored: dict[str, StoredFlow]
    root: str
    model: Model = field(init=False)
    graphs: dict[Flow, RandomGraph] = field(default_factory=dict[Flow, RandomGraph])
    rows: dict[Flow, StoredFlow] = field(default_factory=dict[Flow, StoredFlow])

    def __post_init__(self) -> None:
        self.model = Model(self.made.graph)
        self.graphs[self.model.root], self.rows[self.model.root] = self.made, self.stored[self.root]

    def differences(self) -> list[str]:
        """Where model and store disagree; none if all is well."""
        top = self._cancelled_first()
        if top is not None:
            while not (self._is_there(top) and all(map(self._is_far_enough, self._cancelled()))):
                self._step(before_cancel=True)
            self.model.cancel(next(flow for flow in self._flows() if self.rows[flow] is top))
        while any(flow.status in ("RUNNING", "PAUSED") or self._running(flow) for flow in self._flows()):
            self._step(before_cancel=False)
        found = [self._compare(flow) for flow in self._flows()]
        return [*(each for flow in found for each in flow), *self._unknown()]

    def _cancelled_first(self) -> StoredFlow | None:
        """The topmost CANCELLED workflow; a tree has at most one that is not so by its parent."""
        found = [
            flow
            for flow in self.stored.values()
            if flow.status == "CANCELLED"
            and (
                flow.row["parent_workflow_id"] is None
                or self.stored[str(flow.row["parent_workflow_id"])].status != "CANCELLED"
            )
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def _is_there(self, stored: StoredFlow) -> bool:
        return any(self.rows[flow] is stored for flow in self._flows())

    # -- the model's steps

    def _step(self, *, before_cancel: bool) -> None:
        """One more row ends, everything paused is resumed."""
        moved = False
        for flow in self._flows():
            if flow.status == "PAUSED":
                self.model.resume(flow)
                moved = True
        for flow in self._flows():
            for node in flow.nodes.values():
                if self._can_begin(flow, node):
                    self.model.claim(flow, node)
                    moved = True
        for flow in self._flows():
            for node in self._running(flow):
                if not before_cancel or self._may_end(flow, node):
                    self.model.finish([(flow, node, self._outcome(flow, node))])
                    return
        assert moved, f"the rules do not lead to what has run:\n{self._told()}"

    def _can_begin(self, flow: Flow, node: Node) -> bool:
        """Whether its row can be claimed; what was found SKIPPED by a cancel had not begun then."""
        row = node.row
        if row is None or row.runs or row.parked:
            return False
        return row.is_step or not self._was_cancelled(flow) or self._status(flow, node) in RAN

    def _may_end(self, flow: Flow, node: Node) -> bool:
        """Whether this must or may have ended before the cancel."""
        if not self._was_cancelled(flow):
            return True
        if self._is_far_enough(flow):
            return False
        name = node.declared.id
        if self.graphs[flow].fates.get(name) == "again" and self._status(flow, node) == "FAILED":
            return False  # its first run executed at the cancel
        return self._status(flow, node) in RAN or self.graphs[flow].steps.get(name) == "skip"

    def _is_far_enough(self, flow: Flow) -> bool:
        """Whether everything that was found to have run has begun in the model."""
        return all(
            self._has_begun(flow, node) for node in flow.nodes.values() if self._status(flow, node) in RAN
        )

    def _has_begun(self, flow: Flow, node: Node) -> bool:
        if node.is_over:
            return True
        if node.child is not None:
            return self._was_cancelled(node.child)
        return node.row is not None and node.row.runs and not node.row.is_step

    def _outcome(self, flow: Flow, node: Node) -> Outcome:
        made, name = self.graphs[flow], node.declared.id
        stored = self.rows[flow].by_id(name)
        is_crash = stored["error_code"] == "WORKER_CRASHED"
        assert node.row is not None
        if node.row.is_step:
            step = made.steps[name]
            if is_crash and stored["task_id"] is None and stored["sub_workflow_id"] is None:
                return "fail"  # more crashes than a step is retried for
            if step != "go":
                return "skip" if step == "skip" else "fail"
            return "run" if node.declared.child is None else "child"
        if is_crash:
            return "fail"  # it died, or its process did before it told how this one had ended
        if made.fates[name] == "again" and self._was_cancelled(flow):
            return "ok" if self._status(flow, node) == "COMPLETED" else "fail"
        return "ok" if made.fates[name] in ("ok", "again", "stubborn") else "fail"

    # -- looking

    def _flows(self) -> list[Flow]:
        flows = self.model.flows()
        for flow in flows:
            if flow not in self.graphs:
                parent = _parent(flow)
                assert parent is not None
                assert flow.parent is not None
                name = flow.parent[1].declared.id
                self.graphs[flow] = self.graphs[parent].children[name]
                key = str(self.rows[parent].by_id(name)["sub_workflow_id"])
                assert key in self.stored, (
                    f"{self.graphs[flow].path} begins by the rules, not in\n{self._told()}"
                )
                self.rows[flow] = self.stored[key]
        return flows

    def _running(self, flow: Flow) -> list[Node]:
        return [node for node in flow.nodes.values() if node.row is not None and node.row.runs]

    def _cancelled(self) -> list[Flow]:
        return [flow for flow in self._flows() if self._was_cancelled(flow)]

    def _was_cancelled(self, flow: Flow | None) -> bool:
        return flow is not None and self.rows[flow].status == "CANCELLED"

    def _status(self, flow: Flow, node: Node) -> str:
        status: str = self.rows[flow].by_id(node.declared.id)["status"]
        return status

    def _compare(self, flow: Flow) -> list[str]:
        path, stored = self.graphs[flow].path, self.rows[flow]
        # The model resumes at once; here the end may have waited for a resume when the cancel came (W-75).
        waited = stored.status == "CANCELLED" and stored.row["paused_at"] is not None
        found = (
            []
            if stored.status == flow.status or waited
            else [f"{path}: {stored.status}, by the rules {flow.status}"]
        )
        return found + [
            f"{path}.{name}: {self._status(flow, node)}, by the rules {node.status}"
            for name, node in flow.nodes.items()
            if self._status(flow, node) != node.status
        ]

    def _unknown(self) -> list[str]:
        known = {str(stored.row["id"]) for stored in self.rows.values()}
        return [f"workflow {key} is not there by the rules" for key in self.stored if key not in known]

    def _told(self) -> str:
        return "\n".join(
            f"{self.graphs[flow].path}.{name}: {self._status(flow, node)} in {self.rows[flow].status}, here "
            f"{node.shown} in {flow.status}, {self.graphs[flow].fates.get(name)}/{self.graphs[flow].steps.get(name)}"
            f" after {', '.join(node.declared.deps)} {node.declared.join} {node.declared.min_success}"
            f" {node.declared.allow_failed} {node.declared.ctx_from}"
            for flow in self.rows
            for name, node in flow.nodes.items()
        )


def _parent(flow: Flow) -> Flow | None:
    return None if flow.parent is None else flow.parent[0]
