"""WorkflowHandle: what a start gives back, and the way to a workflow's outcome, its nodes, and control over it."""

from typing import Any
from uuid import UUID

from horsies.broker import Broker
from horsies.db.effects import Op
from horsies.errors.codes import ContractCode, OperationalErrorCode, RetrievalCode
from horsies.ops import workflow_control, workflow_read
from horsies.ops.workflow_control import Control
from horsies.ops.workflow_read import WorkflowNotFoundError
from horsies.result import Err, Ok
from horsies.state import WorkflowStatus
from horsies.task_result import TaskError, TaskResult
from horsies.transient import DATABASE_FAILURES, is_transient, reason
from horsies.workflow import stored_outcome
from horsies.workflow.handle_errors import HandleErrorCode, HandleOperationError, HandleResult
from horsies.workflow.mermaid import Direction, check_direction, draw, stored_graph
from horsies.workflow.node_info import WorkflowTaskInfo
from horsies.workflow.node_key import Keyed, node_id_problem
from horsies.workflow.progress import WorkflowProgress
from horsies.workflow.result_types import result_types
from horsies.workflow.stored_outcome import AnyResult, Types, UnreadableSummaryError


class WorkflowHandle[T]:
    """One workflow that was started. `T` is the success value of its output.

    A handle can be made anywhere, any number of times, from the id and a broker; nothing is remembered, every call
    reads the database. No method raises for what the database does.

    Attributes:
        workflow_id: The workflow's id.
        broker: The broker to ask.
    """

    __slots__ = ("broker", "workflow_id")

    def __init__(self, workflow_id: str, broker: Broker) -> None:
        """Make a handle.

        Args:
            workflow_id: The workflow's id.
            broker: That of the app that started it, or of one on the same database.
        """
        self.workflow_id = workflow_id
        self.broker = broker

    def __repr__(self) -> str:
        return f"WorkflowHandle({self.workflow_id!r})"

    # -- outcome

    def get(self, timeout_ms: int | None = None) -> TaskResult[T, TaskError]:
        """Wait for the workflow to end; blocks the thread.

        Args:
            timeout_ms: Milliseconds to wait at most; `None` waits without limit.

        Returns:
            The result of its output node; without one, the results of the nodes that nothing depends on, by node id,
            `None` for a skipped one. Or an error: the workflow's own, `WORKFLOW_FAILED`, `WORKFLOW_CANCELLED`,
            `WORKFLOW_EXPIRED`, `WORKFLOW_PAUSED` (at once), `WAIT_TIMEOUT`, `WORKFLOW_NOT_FOUND`,
            `NO_TYPE_AVAILABLE`, `RESULT_DESERIALIZATION_ERROR`, `BROKER_ERROR`.
        """
        return self._folded(self._fold(self._get(timeout_ms)))

    async def get_async(self, timeout_ms: int | None = None) -> TaskResult[T, TaskError]:
        """As `get`, for event loops. Cancelling the awaiting task ends the wait and propagates."""
        return await self._folded_async(self._fold(self._get(timeout_ms)))

    def result_for[N](self, node: Keyed[N]) -> TaskResult[N, TaskError]:
        """The result of one node, without waiting.

        Args:
            node: The node, or its `NodeKey`.

        Returns:
            Its result, or an error: `RESULT_NOT_READY`, `UPSTREAM_SKIPPED`, `TASK_NOT_FOUND`,
            `WORKFLOW_CTX_MISSING_ID` for a node without id, and those of `get` that concern reading.
        """
        return self._folded(self._fold(self._result_for(node.node_id)))

    async def result_for_async[N](self, node: Keyed[N]) -> TaskResult[N, TaskError]:
        """As `result_for`, for event loops."""
        return await self._folded_async(self._fold(self._result_for(node.node_id)))

    # -- observation

    def status(self) -> HandleResult[WorkflowStatus]:
        """Where the workflow is in its life."""
        return self._wrapped(self._status())

    async def status_async(self) -> HandleResult[WorkflowStatus]:
        """As `status`, for event loops."""
        return await self._wrapped_async(self._status())

    def results(self) -> HandleResult[dict[str, TaskResult[Any, TaskError]]]:
        """The results of the nodes that have succeeded or failed so far, by node id."""
        return self._wrapped(self._results())

    async def results_async(self) -> HandleResult[dict[str, TaskResult[Any, TaskError]]]:
        """As `results`, for event loops."""
        return await self._wrapped_async(self._results())

    def tasks(self) -> HandleResult[list[WorkflowTaskInfo]]:
        """The records of all nodes, by index."""
        return self._wrapped(self._tasks())

    async def tasks_async(self) -> HandleResult[list[WorkflowTaskInfo]]:
        """As `tasks`, for event loops."""
        return await self._wrapped_async(self._tasks())

    def progress(self, include_children: bool = False) -> HandleResult[WorkflowProgress]:
        """How many nodes are in which state, at one moment; for progress bars and dashboards.

        Args:
            include_children: Count the nodes of child workflows too, at any depth; only of those that were made so
                far, so that the total grows while the workflow runs.
        """
        return self._wrapped(self._progress(include_children))

    async def progress_async(self, include_children: bool = False) -> HandleResult[WorkflowProgress]:
        """As `progress`, for event loops."""
        return await self._wrapped_async(self._progress(include_children))

    def to_mermaid(self, direction: Direction = "TD") -> HandleResult[str]:
        """The workflow as text for Mermaid, its nodes coloured by their state.

        Args:
            direction: Where it flows: `"TD"`, `"TB"`, `"BT"`, `"LR"` or `"RL"`.

        Raises:
            ValueError: There is no such direction.
        """
        check_direction(direction)
        return self._wrapped(self._draw(direction))

    async def to_mermaid_async(self, direction: Direction = "TD") -> HandleResult[str]:
        """As `to_mermaid`, for event loops."""
        check_direction(direction)
        return await self._wrapped_async(self._draw(direction))

    # -- control

    def cancel(self) -> HandleResult[None]:
        """Cancel the workflow and all child workflows, at once; what executes at the moment is not interrupted."""
        return self._wrapped(self._cancel())

    async def cancel_async(self) -> HandleResult[None]:
        """As `cancel`, for event loops."""
        return await self._wrapped_async(self._cancel())

    def pause(self) -> HandleResult[bool]:
        """Begin nothing more, here and in running child workflows; what executes goes on.

        Returns:
            `Ok(True)`, or `Ok(False)` if the workflow was not running.
        """
        return self._wrapped(self._pause())

    async def pause_async(self) -> HandleResult[bool]:
        """As `pause`, for event loops."""
        return await self._wrapped_async(self._pause())

    def resume(self) -> HandleResult[bool]:
        """Go on, here and in paused child workflows.

        Returns:
            `Ok(True)`, or `Ok(False)` if the workflow was not paused.
        """
        return self._wrapped(self._resume())

    async def resume_async(self) -> HandleResult[bool]:
        """As `resume`, for event loops."""
        return await self._wrapped_async(self._resume())

    # -- operations

    def _get(self, timeout_ms: int | None) -> Op[AnyResult]:
        seconds = None if timeout_ms is None else max(0.0, timeout_ms / 1000)
        end = yield from workflow_read.wait_end(self.broker.schema, self._id(), seconds)
        return stored_outcome.workflow_result(end, self.workflow_id, self._types())

    def _result_for(self, node_id: str | None) -> Op[AnyResult]:
        if node_id is None:
            message = "the node has no id yet; put it into a WorkflowSpec, or name it by NodeKey('its-id')"
            return stored_outcome.failure(ContractCode.WORKFLOW_CTX_MISSING_ID, message)
        # What cannot be an id is that of no node; the database might not even take it.
        known = node_id_problem(node_id) is None
        found = (yield from workflow_read.read_node(self._id(), node_id)) if known else None
        return stored_outcome.asked_result(found, node_id, self._types())

    def _status(self) -> Op[WorkflowStatus]:
        return (yield from workflow_read.read_workflow(self._id())).status

    def _results(self) -> Op[dict[str, AnyResult]]:
        types = self._types()
        stored = yield from workflow_read.read_results(self._id())
        return {item.node_id: stored_outcome.node_result(item, types) for item in stored}

    def _tasks(self) -> Op[list[WorkflowTaskInfo]]:
        types = self._types()
        stored = yield from workflow_read.read_nodes(self._id())
        return [stored_outcome.node_info(item, types) for item in stored]

    def _progress(self, include_children: bool) -> Op[WorkflowProgress]:
        read = workflow_read.read_progress(self._id(), include_children=include_children)
        status, counts = yield from read
        return WorkflowProgress(self.workflow_id, status, sum(counts.values()), counts)

    def _draw(self, direction: Direction) -> Op[str]:
        return draw(stored_graph((yield from workflow_read.read_graph(self._id()))), direction)

    def _cancel(self) -> Op[None]:
        yield from self._controlled(workflow_control.cancel(self._id(), self.broker.now))

    def _pause(self) -> Op[bool]:
        return (yield from self._controlled(workflow_control.pause(self._id(), self.broker.now)))

    def _resume(self) -> Op[bool]:
        return (yield from self._controlled(workflow_control.resume(self._id(), self.broker.now)))

    def _controlled(self, op: Op[Control]) -> Op[bool]:
        done = yield from op
        if not done.known:
            raise WorkflowNotFoundError(self.workflow_id)
        return done.changed

    def _id(self) -> str:
        """The id as the database writes it; a text that is no id names no workflow."""
        try:
            return str(UUID(self.workflow_id))
        except (ValueError, AttributeError, TypeError):
            raise WorkflowNotFoundError(self.workflow_id) from None

    def _types(self) -> Types:
        return result_types(self.broker.ok_type_of)

    # -- running them

    def _fold(self, op: Op[AnyResult]) -> Op[AnyResult]:
        """Failures as results: what is asked for is a result in any case."""
        try:
            return (yield from op)
        except WorkflowNotFoundError:
            message = stored_outcome.not_found(self.workflow_id)
            return stored_outcome.failure(RetrievalCode.WORKFLOW_NOT_FOUND, message)

    def _folded(self, op: Op[AnyResult]) -> TaskResult[Any, TaskError]:
        try:
            return self.broker.run(op)
        except Exception as error:
            return self._unasked(error)

    async def _folded_async(self, op: Op[AnyResult]) -> TaskResult[Any, TaskError]:
        try:
            return await self.broker.run_async(op)
        except Exception as error:
            return self._unasked(error)

    def _unasked(self, error: Exception) -> AnyResult:
        message = f"workflow {self.workflow_id} could not be read: {reason(error)}"
        return stored_outcome.failure(OperationalErrorCode.BROKER_ERROR, message, error)

    def _wrapped[R](self, op: Op[R]) -> HandleResult[R]:
        try:
            return Ok(self.broker.run(op))
        except Exception as error:
            return Err(self._operation_error(error))

    async def _wrapped_async[R](self, op: Op[R]) -> HandleResult[R]:
        try:
            return Ok(await self.broker.run_async(op))
        except Exception as error:
            return Err(self._operation_error(error))

    def _operation_error(self, error: Exception) -> HandleOperationError:
        if isinstance(error, WorkflowNotFoundError):
            code, message = HandleErrorCode.WORKFLOW_NOT_FOUND, stored_outcome.not_found(self.workflow_id)
            return HandleOperationError(code, message, retryable=False, workflow_id=self.workflow_id)
        is_database = isinstance(error, (*DATABASE_FAILURES, UnreadableSummaryError))
        return HandleOperationError(
            HandleErrorCode.DB_OPERATION_FAILED if is_database else HandleErrorCode.INTERNAL_FAILED,
            f"workflow {self.workflow_id}: {reason(error)}",
            retryable=is_transient(error),
            workflow_id=self.workflow_id,
            exception=error,
        )


async def pause_workflow(broker: Broker, workflow_id: str) -> HandleResult[bool]:
    """As `WorkflowHandle.pause`, for event loops."""
    return await WorkflowHandle[Any](workflow_id, broker).pause_async()


async def resume_workflow(broker: Broker, workflow_id: str) -> HandleResult[bool]:
    """As `WorkflowHandle.resume`, for event loops."""
    return await WorkflowHandle[Any](workflow_id, broker).resume_async()


def pause_workflow_sync(broker: Broker, workflow_id: str) -> HandleResult[bool]:
    """As `WorkflowHandle.pause`."""
    return WorkflowHandle[Any](workflow_id, broker).pause()


def resume_workflow_sync(broker: Broker, workflow_id: str) -> HandleResult[bool]:
    """As `WorkflowHandle.resume`."""
    return WorkflowHandle[Any](workflow_id, broker).resume()
