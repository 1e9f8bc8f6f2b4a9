-- Actions on tasks and queues.

-- name: cancel_task
select outcome, was
from {schema}.cancel_task(%(id)s::uuid, %(include_running)s::boolean, %(by)s::text, %(now)s::timestamptz)

-- The days that the end of this task may need (D-031).
-- name: ensure_history_of_task
select {schema}.ensure_history(t.retention_class, coalesce(%(now)s::timestamptz, now()))
from {schema}.tasks t where t.id = %(id)s::uuid

-- name: pause_queue
select known, changed
from {schema}.pause_queue(
    %(name)s::text, %(by)s::text, %(priority)s::smallint, %(cap)s::integer, %(now)s::timestamptz)

-- name: resume_queue
select known, changed from {schema}.resume_queue(%(name)s::text, %(by)s::text, %(now)s::timestamptz)

-- name: rerun_task
select outcome, root::text, holder::text, kept_since
from {schema}.rerun_task(
    %(source)s::uuid, %(id)s::uuid, %(deadline)s::timestamptz, %(key)s::text, %(keep)s::interval, %(classes)s::json,
    %(class)s::text, %(retain)s::boolean, %(sent_at)s::timestamptz, %(now)s::timestamptz)
