-- The state of the database, the workers and the queues (10-monitoring §2).

-- name: list_workers
select w.id::text, w.heartbeat_at, w.hostname, w.pid, w.version, w.state, w.started_at, w.heartbeat_interval_ms,
    extract(epoch from coalesce(%(now)s::timestamptz, now()) - w.heartbeat_at)::double precision, w.snapshot
from {schema}.workers w
where %(id)s::uuid is null or w.id = %(id)s::uuid
order by w.started_at, w.id

-- name: worker_history
select s.sampled_at, s.snapshot
from {schema}.worker_samples s
where s.worker_id = %(id)s::uuid
order by s.sampled_at desc
limit %(limit)s

-- name: queue_stats
select coalesce(q.name, c.queue_name), coalesce(c.pending, 0), coalesce(c.delayed, 0), coalesce(c.claimed, 0), coalesce(c.running, 0),
    c.oldest_s, q.max_concurrency, q.priority, coalesce(q.paused, false)
from (
    select t.queue_name,
        count(*) filter (where t.status = 'PENDING' and t.enqueued_at <= n.now) as pending,
        count(*) filter (where t.status = 'PENDING' and t.enqueued_at > n.now) as delayed,
        count(*) filter (where t.status = 'CLAIMED') as claimed,
        count(*) filter (where t.status = 'RUNNING') as running,
        extract(epoch from n.now - min(t.enqueued_at) filter (
            where t.status = 'PENDING' and t.enqueued_at <= n.now))::double precision as oldest_s
    from {schema}.tasks t, (select coalesce(%(now)s::timestamptz, now()) as now) n
    group by t.queue_name, n.now
) c
full join {schema}.queues q on q.name = c.queue_name
order by coalesce(q.name, c.queue_name)
