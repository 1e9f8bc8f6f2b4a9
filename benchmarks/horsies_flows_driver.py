"""Sender for horsies that starts workflows, by the synchronous public interface."""

from benchmarks.horsies_driver import RESULT_TIMEOUT_MS, HorsiesSender
from benchmarks.horsies_flows_app import app, item, step, total
from benchmarks.peers.flows import serve_flows
from horsies import TaskNode, WorkflowSpec


class HorsiesFlows(HorsiesSender):
    def chain(self, first: int, length: int) -> int:
        handle = self._chain(first, length).start().unwrap()
        return handle.get(timeout_ms=RESULT_TIMEOUT_MS).ok_value

    def start_chain(self, first: int, length: int) -> None:
        self._chain(first, length).start().unwrap()

    def fan(self, first: int, width: int, *, with_values: bool) -> int:
        items = [TaskNode(fn=item, kwargs={"n": first + i}, node_id=f"item-{i}") for i in range(width)]
        last = (
            TaskNode(
                fn=total,
                kwargs={"n": first + width, "width": width},
                waits_for=items,
                workflow_ctx_from=items,
                node_id="last",
            )
            if with_values
            else TaskNode(fn=item, kwargs={"n": first + width}, waits_for=items, node_id="last")
        )
        handle = app.workflow("fan", [*items, last], output=last).start().unwrap()
        return handle.get(timeout_ms=RESULT_TIMEOUT_MS).ok_value

    @staticmethod
    def _chain(first: int, length: int) -> WorkflowSpec[int]:
        node = TaskNode(fn=step, kwargs={"n": first})
        nodes = [node]
        for n in range(first + 1, first + length):
            node = TaskNode(fn=step, kwargs={"n": n}, waits_for=[node], args_from={"before": node})
            nodes.append(node)
        return app.workflow("chain", nodes, output=node)


if __name__ == "__main__":
    serve_flows(HorsiesFlows())
