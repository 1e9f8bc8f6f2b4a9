"""Looking at task rows, and moving them along as a worker would, for tests without a worker."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from horsies.codec.results import failure_envelope, success_envelope
from horsies.task_result import TaskError

WORKER_ID = "00000000-0000-7000-8000-000000000001"

_KEPT = """
    id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key, options, timeout_ms, trace_context,
    sent_at, enqueued_at, good_until, next_retry_at, created_at, worker_id, claim_generation, claimed_at, started_at,
    worker_hostname, worker_pid, worker_process_name, retry_count, max_retries, attempts, workflow_id, node_index,
    is_workflow_task, retention_class, retain_rerun_input, rerun_of, rerun_root
"""


class TaskRows:
    """The tables of one test's database, on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.Connection[dict[str, Any]].connect(
            url, autocommit=True, row_factory=dict_row
        )

    def close(self) -> None:
        self._connection.close()

    def live(self, task_id: str | None = None) -> list[dict[str, Any]]:
        """Live rows in the order of their ids: all, or the one of this id."""
        return self._connection.execute(
            "select *, enqueued_at - created_at as waits from horsies.tasks"
            " where %(id)s::uuid is null or id = %(id)s::uuid order by id",
            {"id": task_id},
        ).fetchall()

    def one(self) -> dict[str, Any]:
        """The only live row."""
        (row,) = self.live()
        return row

    def count(self) -> int:
        """How many tasks there are, live and ended."""
        row = self._connection.execute(
            "select (select count(*) from horsies.tasks) + (select count(*) from horsies.task_history) as n"
        ).fetchone()
        assert row is not None
        found: int = row["n"]
        return found

    def start(self, task_id: str) -> None:
        """RUNNING, as after a claim."""
        self._connection.execute(
            "update horsies.tasks set status = 'RUNNING', worker_id = %s, claimed_at = now(), started_at = now(),"
            " worker_hostname = 'host', worker_pid = 77, worker_process_name = 'executor-1',"
            " claim_generation = claim_generation + 1 where id = %s",
            [WORKER_ID, task_id],
        )

    def retry(self, task_id: str, attempts: str) -> None:
        """PENDING again after a failed run, with these earlier attempts (JSON text)."""
        self._connection.execute(
            "update horsies.tasks set status = 'PENDING', worker_id = null, claimed_at = null, started_at = null,"
            " worker_hostname = null, worker_pid = null, worker_process_name = null, retry_count = retry_count + 1,"
            " next_retry_at = now(), attempts = %s::jsonb where id = %s",
            [attempts, task_id],
        )

    def succeed(self, task_id: str, ok_text: str) -> None:
        """COMPLETED with this value."""
        self.end(task_id, "COMPLETED", result=success_envelope(ok_text))

    def fail(self, task_id: str, error: TaskError) -> None:
        """FAILED with this error."""
        code = None if error.error_code is None else str(error.error_code)
        self.end(task_id, "FAILED", result=failure_envelope(error), error_code=code)

    def end(
        self,
        task_id: str,
        status: str,
        *,
        result: str | None = None,
        error_code: str | None = None,
        failed_reason: str | None = None,
    ) -> None:
        """Move the row to history, tell those who wait, let its idempotency key run out."""
        with self._connection.transaction():
            self._connection.execute(
                f"with gone as (delete from horsies.tasks where id = %(id)s returning *), kept as ("
                f" insert into horsies.task_history ({_KEPT}, status, terminal_at, result, error_code, failed_reason)"
                f" select {_KEPT}, %(status)s, now(), %(result)s, %(code)s, %(reason)s from gone)"
                " select horsies.after_end(array_agg(id) filter (where awaited),"
                " array_agg(id) filter (where idempotency_key is not null), now()) from gone",
                {
                    "id": task_id,
                    "status": status,
                    "result": result,
                    "code": error_code,
                    "reason": failed_reason,
                },
            )

    def execute(self, statement: Any, parameters: Any = None) -> list[dict[str, Any]]:
        """Any other statement."""
        cursor = self._connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []
