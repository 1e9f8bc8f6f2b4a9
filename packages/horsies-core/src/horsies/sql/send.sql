-- What sends and the live check need beside the enqueueing statements.

-- Tasks of one send_many whose first attempt got no answer: all in one transaction, each as in enqueue_replay.
-- name: replay_tasks
select {schema}.enqueue_replay(row(
    each.id, %(task_name)s, %(queue_name)s, %(priority)s, %(executor)s, each.sha, null, each.kwargs, %(options)s,
    %(timeout_ms)s, %(trace_context)s, %(sent_at)s, %(delay_s)s, %(good_until)s, %(max_retries)s, %(retention_class)s,
    %(retain_rerun_input)s, null, null)::{schema}.new_task, %(now)s)
from unnest(%(ids)s::uuid[], %(shas)s::text[], %(kwargs)s::text[]) as each (id, sha, kwargs)

-- name: select_one
select 1

-- name: notify
select pg_notify(%(channel)s, %(payload)s)
