-- What silent workers left behind, and what waits past its deadline: the candidates, page by page in the order of ids, and
-- the writes, which check everything again (08_recover.sql).

-- name: stale_claimed
select t.id::text, t.worker_id::text, t.claim_generation
from {schema}.tasks t
left join {schema}.workers w on w.id = t.worker_id
where t.status = 'CLAIMED' and t.id > %(after)s::uuid
    and {schema}.is_silent(
        w.heartbeat_at, w.heartbeat_interval_ms, %(threshold_ms)s::bigint, coalesce(%(now)s::timestamptz, now()))
order by t.id
limit %(limit)s

-- name: requeue_claimed
select {schema}.requeue_claimed(
    %(worker)s::uuid, %(ids)s::uuid[], %(generations)s::bigint[], %(threshold_ms)s::bigint, %(now)s::timestamptz)

-- name: stale_running
select t.id::text, t.worker_id::text, t.claim_generation, t.task_name, t.options, t.retry_count, t.max_retries,
    t.worker_hostname, t.worker_pid, t.worker_process_name, w.heartbeat_at, w.state
from {schema}.tasks t
left join {schema}.workers w on w.id = t.worker_id
where t.status = 'RUNNING' and t.id > %(after)s::uuid
    and (w.state = 'stopped' or {schema}.is_silent(
        w.heartbeat_at, w.heartbeat_interval_ms, %(threshold_ms)s::bigint, coalesce(%(now)s::timestamptz, now())))
order by t.id
limit %(limit)s

-- name: fail_running
select handled, retried
from {schema}.fail_running(%(worker)s::uuid, %(ends)s::json, %(threshold_ms)s::bigint, %(now)s::timestamptz)

-- name: past_deadline
select t.id::text, t.good_until
from {schema}.tasks t
where t.status = 'PENDING' and t.good_until is not null and t.good_until <= coalesce(%(now)s::timestamptz, now())
    and (t.good_until, t.id) > (%(after_time)s::timestamptz, %(after)s::uuid)
order by t.good_until, t.id
limit %(limit)s

-- name: expire_pending
select {schema}.expire_pending(%(ids)s::uuid[], %(result)s::text, %(now)s::timestamptz)

-- name: list_stale_running
select t.id::text, t.task_name, t.worker_hostname, t.worker_pid, t.worker_process_name, w.heartbeat_at, t.started_at
from {schema}.tasks t
left join {schema}.workers w on w.id = t.worker_id
where t.status = 'RUNNING'
    and {schema}.is_silent(
        w.heartbeat_at, w.heartbeat_interval_ms, %(threshold_ms)s::bigint, coalesce(%(now)s::timestamptz, now()))
order by w.heartbeat_at nulls first, t.started_at, t.id
limit %(limit)s

-- name: list_past_deadline
select t.id::text, t.task_name, t.queue_name, t.priority, t.sent_at, t.enqueued_at, t.good_until,
    coalesce(%(now)s::timestamptz, now()) - t.good_until
from {schema}.tasks t
where t.status = 'PENDING' and t.good_until is not null and t.good_until <= coalesce(%(now)s::timestamptz, now())
order by t.good_until, t.id
limit %(limit)s
