-- Enqueueing: one statement, one round trip, wake-up included (D-026).

-- name: enqueue_task
with task as (
    insert into {schema}.tasks (
        id, task_name, queue_name, priority, executor, enqueue_sha, kwargs, options, timeout_ms, trace_context, sent_at,
        enqueued_at, good_until, max_retries, retention_class, retain_rerun_input)
    values (
        %(id)s, %(task_name)s, %(queue_name)s, %(priority)s, %(executor)s, %(enqueue_sha)s, %(kwargs)s, %(options)s,
        %(timeout_ms)s, %(trace_context)s, %(sent_at)s,
        coalesce(%(now)s, now()) + %(delay_s)s::double precision * interval '1 second', %(good_until)s,
        %(max_retries)s, %(retention_class)s, %(retain_rerun_input)s)
)
select pg_notify(%(channel)s, '')

-- name: enqueue_tasks
with task as (
    insert into {schema}.tasks (
        id, task_name, queue_name, priority, executor, enqueue_sha, kwargs, options, timeout_ms, trace_context, sent_at,
        enqueued_at, good_until, max_retries, retention_class, retain_rerun_input)
    select each.id, %(task_name)s, %(queue_name)s, %(priority)s, %(executor)s, each.sha, each.kwargs, %(options)s,
        %(timeout_ms)s::integer, %(trace_context)s, %(sent_at)s::timestamptz,
        coalesce(%(now)s, now()) + %(delay_s)s::double precision * interval '1 second', %(good_until)s::timestamptz,
        %(max_retries)s, %(retention_class)s, %(retain_rerun_input)s::boolean
    from unnest(%(ids)s::uuid[], %(shas)s::text[], %(kwargs)s::text[]) as each (id, sha, kwargs)
)
select pg_notify(%(channel)s, '')

-- name: enqueue_replay
select {schema}.enqueue_replay(row(
    %(id)s, %(task_name)s, %(queue_name)s, %(priority)s, %(executor)s, %(enqueue_sha)s, null, %(kwargs)s, %(options)s,
    %(timeout_ms)s, %(trace_context)s, %(sent_at)s, %(delay_s)s, %(good_until)s, %(max_retries)s, %(retention_class)s,
    %(retain_rerun_input)s, null, null)::{schema}.new_task, %(now)s)

-- name: enqueue_keyed
select k.outcome, k.task_id::text from {schema}.enqueue_keyed(row(
    %(id)s, %(task_name)s, %(queue_name)s, %(priority)s, %(executor)s, %(enqueue_sha)s, %(idempotency_key)s, %(kwargs)s,
    %(options)s, %(timeout_ms)s, %(trace_context)s, %(sent_at)s, %(delay_s)s, %(good_until)s, %(max_retries)s,
    %(retention_class)s, %(retain_rerun_input)s, null, null)::{schema}.new_task, %(request_sha)s, %(now)s,
    _fresh => %(fresh)s, _wait_ms => %(wait_ms)s) k
