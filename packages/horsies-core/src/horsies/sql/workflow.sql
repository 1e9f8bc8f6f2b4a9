-- Workflows: start, control, observe. What their tasks' ends bring is written by the worker's cycle.

-- name: start_workflow
select outcome, name
from {schema}.start_workflow(%(id)s::uuid, %(plan)s::json, %(sent_at)s::timestamptz, %(now)s::timestamptz)

-- Ends of workflow tasks whose tree was busy for a while (W-41).
-- name: finish_busy
select tag, id, generation, task_name, queue_name, executor, kwargs, options, timeout_ms, retry_count, max_retries, seconds,
    workflow_id, trace_context
from {schema}.finish_busy(
    %(worker)s::uuid, %(workflows)s::uuid[], %(node_ends)s::json, %(node_backs)s::json, %(now)s::timestamptz)

-- name: pause_workflow
select known, changed from {schema}.pause_workflow(%(id)s::uuid, %(now)s::timestamptz)

-- name: resume_workflow
select known, changed from {schema}.resume_workflow(%(id)s::uuid, %(now)s::timestamptz)

-- name: cancel_workflow
select known, changed from {schema}.cancel_workflow(%(id)s::uuid, %(now)s::timestamptz)

-- name: read_workflow
select status, name, output_source, result, error from {schema}.read_workflow(%(id)s::uuid, %(mark)s::boolean)

-- The nodes that nothing depends on: the result of a workflow without output (W-70).
-- name: read_last_nodes
select n.node_id, n.status, {schema}.source_name(n.kind, n.task_name, n.definition_key), n.result
from {schema}.workflow_nodes n
where n.workflow_id = %(id)s::uuid
    and not exists (
        select from {schema}.workflow_edges e where e.workflow_id = n.workflow_id and e.from_index = n.node_index)
order by n.node_index

-- name: read_node
select n.node_id, n.status, {schema}.source_name(n.kind, n.task_name, n.definition_key), n.result, n.node_index
from {schema}.workflows w
left join {schema}.node_states n on n.workflow_id = w.id and n.node_id = %(node_id)s::text and n.node_id > ''
where w.id = %(id)s::uuid

-- name: read_results
select n.node_id, n.status, {schema}.source_name(n.kind, n.task_name, n.definition_key), n.result
from {schema}.workflows w
left join {schema}.workflow_nodes n on n.workflow_id = w.id and n.status in ('COMPLETED', 'FAILED')
where w.id = %(id)s::uuid
order by n.node_index

-- name: read_nodes
select n.node_id, n.status, {schema}.source_name(n.kind, n.task_name, n.definition_key), n.result, n.node_index, n.task_name,
    n.started_at, n.completed_at, n.sub_workflow_id::text, n.sub_workflow_summary, n.definition_key
from {schema}.node_states n
where n.workflow_id = %(id)s::uuid
order by n.node_index

-- name: list_paused_workflows
select w.id::text
from {schema}.workflows w
where w.status = 'PAUSED' and w.paused_at <= coalesce(%(now)s::timestamptz, now()) - %(policy_s)s::double precision * interval '1 second'
order by w.paused_at
limit %(limit)s

-- name: expire_workflow
select {schema}.expire_workflow(
    %(id)s::uuid, %(policy_s)s::double precision * interval '1 second', %(now)s::timestamptz)

-- name: cancel_orphans
select {schema}.cancel_orphans(%(limit)s::integer, %(now)s::timestamptz)
