-- Observing one task.

-- name: read_result
select status, task_name, queue_name, result, error_code, failed_reason
from {schema}.read_result(%(id)s::uuid, %(mark)s::boolean)

-- name: read_task
select t.id::text, t.task_name, t.status, t.queue_name, t.priority, t.retry_count, t.max_retries, t.next_retry_at,
    t.sent_at, t.enqueued_at, t.claimed_at, t.started_at, null::timestamptz as terminal_at, t.worker_id::text,
    t.worker_hostname, t.worker_pid, t.worker_process_name, null::text as error_code, null::text as result,
    null::text as failed_reason, t.attempts
from {schema}.tasks t
where t.id = %(id)s::uuid
union all
select h.id::text, h.task_name, h.status, h.queue_name, h.priority, h.retry_count, h.max_retries, h.next_retry_at,
    h.sent_at, h.enqueued_at, h.claimed_at, h.started_at, h.terminal_at, h.worker_id::text,
    h.worker_hostname, h.worker_pid, h.worker_process_name, h.error_code, h.result,
    h.failed_reason, h.attempts
from {schema}.task_history h
where h.id = %(id)s::uuid
limit 1
