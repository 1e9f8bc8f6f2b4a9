-- Schedules: reading where they stand, firing what is due, pausing.

-- name: due_schedules
select d.name, d.config_hash, d.next_run_at, d.now from {schema}.due_schedules(%(now)s::timestamptz) d

-- name: next_due
select {schema}.next_due(%(now)s::timestamptz)

-- name: fire_slot
select {schema}.fire_slot(
    %(schedule)s::text, %(config_hash)s::text, %(expected)s::timestamptz, %(slot)s::timestamptz, %(next)s::timestamptz,
    %(missed)s::bigint, row(
        %(id)s, %(task_name)s, %(queue_name)s, %(priority)s, %(executor)s, %(enqueue_sha)s, null, %(kwargs)s,
        %(options)s, %(timeout_ms)s, %(trace_context)s, %(sent_at)s, %(delay_s)s, %(good_until)s, %(max_retries)s,
        %(retention_class)s, %(retain_rerun_input)s, null, null)::{schema}.new_task, %(now)s::timestamptz)

-- The row goes on without firing: slots that are dropped, or one that can never be sent.
-- name: pass_slots
update {schema}.schedules s
set next_run_at = %(next)s::timestamptz, missed_count = s.missed_count + %(missed)s::bigint,
    last_error = coalesce(%(error)s::text, s.last_error),
    last_error_at = case when %(error)s::text is null then s.last_error_at else at.now end,
    updated_at = at.now
from (select coalesce(%(now)s::timestamptz, now()) as now) at, (
    select h.name from {schema}.schedules h
    where h.name = %(schedule)s::text and h.config_hash = %(config_hash)s::text
        and h.next_run_at is not distinct from %(expected)s::timestamptz and h.enabled and not h.paused
    for update skip locked) held
where s.name = held.name
returning 1

-- Last column: the row is of another group, and that has a leader: the session that holds the lock of try_to_lead.
-- name: schedule_rows
select s.name, s.task_name, s.queue_name, s.config_hash, s.enabled, coalesce(
    s.owner <> %(group)s::text
    and hashtextextended({schema_literal} || ':scheduler:' || s.owner, 0) in (
        select l.classid::bigint << 32 | l.objid::bigint
        from pg_locks l
        where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
            and l.database = (select d.oid from pg_database d where d.datname = current_database())), false)
from {schema}.schedules s
where %(names)s::text[] is null or s.name = any (%(names)s::text[])
order by s.name

-- name: add_schedules
insert into {schema}.schedules (name, task_name, queue_name, pattern, timezone, config_hash, owner, next_run_at)
select each.name, each.task_name, each.queue_name, each.pattern::jsonb, each.timezone, each.config_hash,
    %(group)s::text, each.next_run_at
from unnest(
    %(names)s::text[], %(tasks)s::text[], %(queues)s::text[], %(patterns)s::text[], %(timezones)s::text[],
    %(hashes)s::text[], %(next_runs)s::timestamptz[])
    as each (name, task_name, queue_name, pattern, timezone, config_hash, next_run_at)
on conflict (name) do nothing

-- A row that another configuration left behind; with `restart` it goes on from its next run after now.
-- name: adopt_schedule
update {schema}.schedules s
set task_name = %(task)s::text, queue_name = %(queue)s::text, pattern = %(pattern)s::jsonb,
    timezone = %(timezone)s::text, config_hash = %(config_hash)s::text, owner = %(group)s::text, enabled = true,
    next_run_at = case when %(restart)s::boolean then %(next)s::timestamptz else s.next_run_at end,
    updated_at = coalesce(%(now)s::timestamptz, now())
where s.name = %(schedule)s::text and s.config_hash = %(old_hash)s::text and s.enabled = %(was_enabled)s::boolean

-- name: disable_schedules
update {schema}.schedules s
set enabled = false, owner = %(group)s::text, updated_at = coalesce(%(now)s::timestamptz, now())
where s.name = any (%(names)s::text[]) and s.enabled

-- name: database_time
select coalesce(%(now)s::timestamptz, now())

-- name: list_schedules
select s.name, s.task_name, s.queue_name, s.pattern, s.timezone, s.config_hash, s.enabled, s.paused, s.paused_by,
    s.paused_at, s.next_run_at, s.last_run_at, s.last_slot_at, s.last_task_id::text, s.run_count, s.missed_count,
    s.last_error, s.last_error_at, s.updated_at
from {schema}.schedules s
order by s.name

-- name: pause_schedule
select known, changed
from {schema}.pause_schedule(
    %(schedule)s::text, %(by)s::text, %(task)s::text, %(queue)s::text, %(pattern)s::jsonb, %(timezone)s::text,
    %(config_hash)s::text, %(next)s::timestamptz, %(now)s::timestamptz)

-- name: pattern_of_schedule
select s.paused, s.pattern, s.timezone, s.config_hash, coalesce(%(now)s::timestamptz, now())
from {schema}.schedules s
where s.name = %(schedule)s::text

-- name: resume_schedule
select {schema}.resume_schedule(
    %(schedule)s::text, %(by)s::text, %(config_hash)s::text, %(next)s::timestamptz, %(now)s::timestamptz)

-- Leading: a session's lock, and the server's own watch over that session (S-040, S-041).

-- name: watch_session
select set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '3', false),
    set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '14000', false)

-- name: try_to_lead
select pg_try_advisory_lock(hashtextextended({schema_literal} || ':scheduler:' || %(group)s::text, 0))

-- name: take_lease
insert into {schema}.leases as l (name, holder) values ('scheduler:' || %(group)s::text, %(holder)s::text)
on conflict (name) do update set holder = excluded.holder, since = now()

-- name: stop_leading
select pg_advisory_unlock(hashtextextended({schema_literal} || ':scheduler:' || %(group)s::text, 0))

-- name: drop_lease
delete from {schema}.leases l where l.name = 'scheduler:' || %(group)s::text and l.holder = %(holder)s::text
