-- What the helpers for tests ask (horsies/testing).

-- name: list_live
select t.id::text, t.task_name, t.queue_name, t.priority, t.status, t.kwargs, t.enqueued_at, t.good_until,
    t.retry_count, t.idempotency_key
from {schema}.tasks t
where t.task_name = coalesce(%(task_name)s::text, t.task_name) and t.task_name <> 'horsies.prepare'
order by t.id

-- name: database_exists
select 1 from pg_database where datname = %(name)s::text

-- name: databases_beginning
select datname::text from pg_database where starts_with(datname::text, %(prefix)s::text)

-- name: hold_name
select pg_advisory_lock(hashtext(%(name)s::text))

-- name: release_name
select pg_advisory_unlock(hashtext(%(name)s::text))
