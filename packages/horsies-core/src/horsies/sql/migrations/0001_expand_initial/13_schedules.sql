-- Schedules: where each one stands (08 section 5), and the firing of one slot. What a schedule sends stands in the
-- configuration of its app; here is only what must outlive a scheduler.

create table {schema}.schedules (
    name text primary key,
    -- the configuration that next_run_at was computed from
    task_name text not null,
    queue_name text,                                -- null: that of the task, which whoever made the row does not know
    pattern jsonb not null,
    timezone text not null,
    config_hash text not null,                      -- of pattern and time zone (S-052)
    owner text,                                     -- the group of schedulers whose configuration this is; null: none yet
    enabled boolean not null default true,
    -- pause
    paused boolean not null default false,
    paused_by text,                                 -- who paused or resumed it last, and when
    paused_at timestamptz,
    -- progress
    next_run_at timestamptz,                        -- null: due now (S-056)
    last_run_at timestamptz,                        -- when it last fired
    last_slot_at timestamptz,                       -- what it then fired
    last_task_id uuid,
    run_count bigint not null default 0,
    missed_count bigint not null default 0,
    last_error text,
    last_error_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint schedules_next_run_finite check (isfinite(next_run_at))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A tick reads what is due, whatever else there is.
create index schedules_due on {schema}.schedules (coalesce(next_run_at, '-infinity'), name) where enabled and not paused;

-- What is due, oldest first. The planner knows too little of next_run_at to see by itself that few rows are: it would read
-- and sort the table.
create function {schema}.due_schedules(_now timestamptz default null)
returns table (name text, config_hash text, next_run_at timestamptz, now timestamptz)
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
    _at timestamptz := coalesce(_now, now());
begin
    return query
        select s.name, s.config_hash, s.next_run_at, _at
        from {schema}.schedules s
        where s.enabled and not s.paused and coalesce(s.next_run_at, '-infinity') <= _at
        order by coalesce(s.next_run_at, '-infinity'), s.name;
end $$;

-- Seconds until the next one is due; null if there is none. What is due already is not asked for.
create function {schema}.next_due(_now timestamptz default null) returns double precision
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
    _at timestamptz := coalesce(_now, now());
begin
    return (
        select extract(epoch from s.next_run_at - _at)
        from {schema}.schedules s
        where s.enabled and not s.paused and coalesce(s.next_run_at, '-infinity') > _at
        order by coalesce(s.next_run_at, '-infinity'), s.name
        limit 1);
end $$;

-- Who leads, for display; what holds the leadership is an advisory lock.
create table {schema}.leases (
    name text primary key,
    holder text not null,
    since timestamptz not null default now()
);

-- Fire one slot (S-043): the row is locked and must stand where the caller saw it, the task goes in, the row goes on, all
-- or nothing. 'stale': the row stands elsewhere, or a rival holds it at this moment; nothing was done, as with
-- 'different' and 'unreadable', which are those of enqueue_replay.
create function {schema}.fire_slot(
    _name text, _config_hash text, _expected timestamptz, _slot timestamptz, _next timestamptz, _missed bigint,
    _t {schema}.new_task, _now timestamptz default null)
returns text
language plpgsql as $$
declare
    _at timestamptz := coalesce(_now, now());
    _outcome text;
begin
    -- A rival that holds the row fires this very slot, or pauses the schedule: waiting would only delay other schedules.
    perform from {schema}.schedules s
    where s.name = _name and s.config_hash = _config_hash and s.next_run_at is not distinct from _expected
        and s.enabled and not s.paused and _slot <= _at
    for update skip locked;
    if not found then
        return 'stale';
    end if;
    _outcome := {schema}.enqueue_replay(_t, _at);
    if _outcome in ('inserted', 'same') then
        update {schema}.schedules s
        set next_run_at = _next, last_run_at = _at, last_slot_at = _slot, last_task_id = _t.id,
            run_count = s.run_count + (_outcome = 'inserted')::integer, missed_count = s.missed_count + _missed,
            updated_at = _at
        where s.name = _name;
    end if;
    return _outcome;
end $$;

-- Pause a schedule (M-073). _task and what follows are given by an app that has the schedule in its configuration: then
-- its row is made if no scheduler has done so yet. known: there is such a schedule.
create function {schema}.pause_schedule(
    _name text, _by text, _task text default null, _queue text default null, _pattern jsonb default null,
    _timezone text default null, _config_hash text default null, _next timestamptz default null,
    _now timestamptz default null, out known boolean, out changed boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _at timestamptz := coalesce(_now, now());
begin
    if _task is not null then
        insert into {schema}.schedules (name, task_name, queue_name, pattern, timezone, config_hash, next_run_at)
        values (_name, _task, _queue, _pattern, _timezone, _config_hash, _next)
        on conflict (name) do nothing;
    end if;
    update {schema}.schedules s set paused = true, paused_by = _by, paused_at = _at, updated_at = _at
    where s.name = _name and not s.paused;
    changed := found;
    known := changed or exists (select from {schema}.schedules s where s.name = _name);
end $$;

-- Resume a schedule. Its next run is computed from the pattern, by the caller (S-057): false if that has changed since, or
-- if the schedule is not paused.
create function {schema}.resume_schedule(
    _name text, _by text, _config_hash text, _next timestamptz, _now timestamptz default null) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _at timestamptz := coalesce(_now, now());
begin
    update {schema}.schedules s
    set paused = false, paused_by = _by, paused_at = _at, next_run_at = _next, updated_at = _at
    where s.name = _name and s.paused and s.config_hash = _config_hash;
    return found;
end $$;

revoke all on function {schema}.pause_schedule, {schema}.resume_schedule from public;
