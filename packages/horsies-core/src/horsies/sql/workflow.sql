-- Workflows: start, control, observe. What their tasks' ends bring is written by the worker's cycle.

-- name: start_workflow
select outcome, name
from {schema}.start_workflow(%(id)s::uuid, %(plan)s::json, %(sent_at)s::timestamptz, %(now)s::timestamptz)

-- Ends of workflow tasks whose tree was busy for a while (W-41).
-- name: finish_busy
select tag, id, generation, task_name, queue_name, executor, kwargs, options, timeout_ms, retry_count, max_retries, seconds,
    workflow_id
from {schema}.finish_busy(
    %(worker)s::uuid, %(workflows)s::uuid[], %(node_ends)s::json, %(node_backs)s::json, %(now)s::timestamptz)
