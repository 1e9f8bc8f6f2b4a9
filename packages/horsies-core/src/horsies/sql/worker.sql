-- What a worker sends besides its cycle.

-- name: cycle
select tag, id, generation, task_name, queue_name, executor, kwargs, options, timeout_ms, retry_count, max_retries, seconds
from {schema}.cycle(
    %(worker)s, %(hostname)s, %(pids)s, %(names)s,
    %(ids)s, %(generations)s, %(results)s, %(run_us)s, %(ran_at)s,
    %(ends)s, %(back_ids)s, %(back_generations)s,
    %(queues)s, %(ranks)s, %(caps)s, %(cluster_cap)s, %(lanes)s, %(executors)s,
    %(places)s, %(now)s)

-- name: register_worker
insert into {schema}.workers (id, hostname, pid, version, state, heartbeat_interval_ms, snapshot)
values (%(id)s, %(hostname)s, %(pid)s, %(version)s, 'running', %(heartbeat_interval_ms)s, %(snapshot)s)

-- name: report_queues
insert into {schema}.queues as q (name, priority, max_concurrency, reported_by)
select * from unnest(%(names)s::text[], %(priorities)s::smallint[], %(caps)s::integer[], array_fill(%(worker)s::uuid, array[cardinality(%(names)s::text[])]))
on conflict (name) do update
set priority = excluded.priority, max_concurrency = excluded.max_concurrency, reported_by = excluded.reported_by,
    updated_at = now()

-- name: heartbeat
update {schema}.workers set heartbeat_at = now(), snapshot = %(snapshot)s, state = %(state)s
where id = %(id)s
returning heartbeat_at

-- name: stop_worker
update {schema}.workers set state = 'stopped', stopped_at = now(), heartbeat_at = now() where id = %(id)s

-- name: return_undispatched
with back as (
    update {schema}.tasks t
    set status = 'PENDING', worker_id = null, claimed_at = null, started_at = null, worker_hostname = null,
        worker_pid = null, worker_process_name = null
    where t.worker_id = %(worker)s::uuid and t.id <> all (%(kept)s::uuid[])
    returning t.queue_name
)
select pg_notify({schema}.channel('q:' || b.queue_name), '') from (select distinct queue_name from back) b

-- name: ensure_history_of
select {schema}.ensure_history(c.retention_class)
from (select distinct t.retention_class from {schema}.tasks t where t.worker_id = %(worker)s::uuid) c
