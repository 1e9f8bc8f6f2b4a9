-- What a worker sends besides its cycle.

-- name: cycle
select tag, id, generation, task_name, queue_name, executor, kwargs, options, timeout_ms, retry_count, max_retries, seconds,
    workflow_id, trace_context
from {schema}.cycle(
    %(worker)s, %(hostname)s, %(pids)s, %(names)s,
    %(ids)s, %(generations)s, %(results)s, %(run_us)s, %(ran_at)s,
    %(ends)s, %(back_ids)s, %(back_generations)s,
    %(workflows)s, %(node_ends)s, %(node_backs)s,
    %(queues)s, %(ranks)s, %(caps)s, %(cluster_cap)s, %(lanes)s, %(executors)s,
    %(places)s, %(freed)s, %(spans)s, %(starts)s, %(now)s)

-- name: register_worker
insert into {schema}.workers (id, hostname, pid, version, state, heartbeat_interval_ms, snapshot)
values (%(id)s, %(hostname)s, %(pid)s, %(version)s, 'running', %(heartbeat_interval_ms)s, %(snapshot)s)

-- name: report_queues
insert into {schema}.queues as q (name, priority, max_concurrency, reported_by)
select * from unnest(%(names)s::text[], %(priorities)s::smallint[], %(caps)s::integer[], array_fill(%(worker)s::uuid, array[cardinality(%(names)s::text[])]))
on conflict (name) do update
set priority = excluded.priority, max_concurrency = excluded.max_concurrency, reported_by = excluded.reported_by,
    updated_at = now()

-- One sign of life for all that the worker answers for (R-090).
-- name: heartbeat
select tag, id::text, generation
from {schema}.heartbeat(
    %(id)s::uuid, %(state)s::text, %(snapshot)s::jsonb, %(ids)s::uuid[], %(generations)s::bigint[],
    %(now)s::timestamptz)

-- The last heartbeat's state as a sample (R-093).
-- name: keep_sample
insert into {schema}.worker_samples (worker_id, sampled_at, snapshot)
select w.id, w.heartbeat_at, w.snapshot || jsonb_build_object(
    'hostname', w.hostname, 'pid', w.pid, 'version', w.version, 'state', w.state, 'worker_started_at', w.started_at)
from {schema}.workers w
where w.id = %(id)s::uuid
on conflict do nothing

-- name: stop_worker
update {schema}.workers set state = 'stopped', stopped_at = now(), heartbeat_at = now() where id = %(id)s

-- What the worker knows of is kept (R-092): by fence, as it may have claimed again what it gave back or what is retried.
-- name: return_undispatched
select {schema}.return_undispatched(%(worker)s::uuid, array(
    select t.id
    from unnest(%(kept)s::uuid[], %(generations)s::bigint[]) as k (id, generation)
    join {schema}.tasks t on t.id = any (array[k.id]) and t.claim_generation = k.generation))

-- name: ensure_history_of
select {schema}.ensure_history(c.retention_class)
from (select distinct t.retention_class from {schema}.tasks t where t.worker_id = %(worker)s::uuid) c
