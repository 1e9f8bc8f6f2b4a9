-- Recovery and upkeep (07 §8). Whoever calls has read what to do in an earlier statement; here it is checked again under
-- lock and written. Everything is safe with any number of callers; the try-lock saves them doing the same work twice.

-- A worker's sign of life, and in return what it should know (R-090): a row 'beat' if it is known, then 'lost' for each of
-- the claims it named that are not its own any more, and 'cancel' for those of its own that somebody wants cancelled.
-- The update may have waited for a reaper; what is looked up after it sees what the reaper did.
create function {schema}.heartbeat(
    _worker uuid, _state text, _snapshot jsonb, _ids uuid[], _generations bigint[], _at timestamptz default null)
returns table (tag text, id uuid, generation bigint)
language plpgsql as $$
begin
    update {schema}.workers w
    set heartbeat_at = coalesce(_at, now()), snapshot = _snapshot, state = _state
    where w.id = _worker;
    if found then
        return query select 'beat', _worker, null::bigint;
    end if;
    return query
    select 'lost', k.id, k.generation
    from unnest(_ids, _generations) as k (id, generation)
    where not exists (
        select from {schema}.tasks t
        where t.id = k.id and t.worker_id = _worker and t.claim_generation = k.generation);
    return query
    select 'cancel', t.id, t.claim_generation
    from {schema}.tasks t
    where t.worker_id = _worker and t.status <> 'PENDING' and t.cancel_requested_at is not null;
end $$;

-- Whether a step of recovery is this caller's until its transaction ends (D-006).
create function {schema}.begin_step(_step text) returns boolean
language sql as $$
    select pg_try_advisory_xact_lock(hashtextextended({schema_literal} || ':recover:' || _step, 0))
$$;

-- Whether a worker has been silent for _threshold_ms. One that beats more slowly than the caller's thresholds allow for
-- has two of its own intervals: a worker that beats is never taken for dead (CF-29).
create function {schema}.is_silent(
    _heartbeat_at timestamptz, _interval_ms integer, _threshold_ms bigint, _now timestamptz) returns boolean
language sql stable parallel safe as $$
    select _heartbeat_at is null
        or _heartbeat_at < _now - greatest(_threshold_ms, 2 * _interval_ms) * interval '1 millisecond'
$$;

-- The same under lock: until the transaction ends, no heartbeat of this worker comes in between. A worker without a row
-- counts as silent; nobody writes it again while tasks name it.
create function {schema}.hold_silent(_worker uuid, _threshold_ms bigint, _or_stopped boolean, _now timestamptz)
returns boolean
language plpgsql as $$
declare
    _w {schema}.workers;
begin
    select * into _w from {schema}.workers w where w.id = _worker for no key update;
    return not found or {schema}.is_silent(_w.heartbeat_at, _w.heartbeat_interval_ms, _threshold_ms, _now)
        or (_or_stopped and _w.state = 'stopped');
end $$;

-- The days that ends of these rows need (D-031); before anything is locked.
create function {schema}.ensure_history_for(_ids uuid[], _now timestamptz) returns void
language plpgsql as $$
begin
    perform {schema}.ensure_history_partition(c.retention_class, (_now at time zone 'UTC')::date)
    from (select distinct t.retention_class from {schema}.tasks t where t.id = any (_ids)) c;
end $$;

-- CLAIMED rows of one silent worker go back (R-110). The number; null: somebody else is at it.
create function {schema}.requeue_claimed(
    _worker uuid, _ids uuid[], _generations bigint[], _threshold_ms bigint, _at timestamptz default null)
returns integer
language plpgsql as $$
declare
    _now timestamptz := coalesce(_at, now());
begin
    if not {schema}.begin_step('claimed') then
        return null;
    elsif not {schema}.hold_silent(_worker, _threshold_ms, false, _now) then
        return 0;
    end if;
    -- Its cycle may start a row it holds while its heartbeat is stuck, so the status counts too, under the row's lock.
    select array_agg(h.id), array_agg(h.claim_generation) into _ids, _generations
    from (
        select t.id, t.claim_generation from {schema}.tasks t
        join unnest(_ids, _generations) as e (id, generation) on t.id = e.id and t.claim_generation = e.generation
        where t.worker_id = _worker and t.status = 'CLAIMED'
        order by t.id
        for no key update of t skip locked
    ) h;
    return {schema}.hand_back(_worker, _ids, _generations, _now);
end $$;

-- RUNNING rows of one silent or stopped worker end as crashed, or are retried (R-112). _ends as in end_tasks.
-- handled: the number, retries included; null: somebody else is at it.
create function {schema}.fail_running(
    _worker uuid, _ends json, _threshold_ms bigint, _at timestamptz default null,
    out handled integer, out retried integer)
language plpgsql as $$
declare
    _now timestamptz := coalesce(_at, now());
    _ids uuid[] := array(select e.id from json_to_recordset(_ends) as e (id uuid));
    _free uuid[];
    _e record;
begin
    retried := 0;
    if not {schema}.begin_step('running') then
        return;
    end if;
    handled := 0;
    _free := {schema}.hold_trees_of(_ids);
    if cardinality(_free) < cardinality(_ids) then
        select json_agg(e.value) into _ends
        from json_array_elements(_ends) as e (value) where (e.value ->> 'id')::uuid = any (_free);
    end if;
    perform {schema}.ensure_history_for(_free, _now);
    if _ends is not null and {schema}.hold_silent(_worker, _threshold_ms, true, _now) then
        select * into _e from {schema}.end_tasks(_worker, _ends, _now);
        perform {schema}.after_end(_e.awaited, _e.keyed, _now);
        perform {schema}.wake_queues({schema}.after_node_tasks(_e.nodes, _now));
        retried := coalesce(cardinality(_e.retried), 0);
        handled := retried + coalesce(cardinality(_e.done), 0);
    end if;
end $$;

-- PENDING rows whose deadline has passed end EXPIRED (R-113). In _result the nil UUID stands for the task's id.
-- The number; null: somebody else is at it.
create function {schema}.expire_pending(_ids uuid[], _result text, _at timestamptz default null) returns integer
language plpgsql as $$
declare
    _now timestamptz := coalesce(_at, now());
    _awaited uuid[];
    _keyed uuid[];
    _nodes {schema}.node_end[];
    _count integer;
begin
    if not {schema}.begin_step('expired') then
        return null;
    end if;
    _ids := {schema}.hold_trees_of(_ids);
    perform {schema}.ensure_history_for(_ids, _now);
    with due as (
        select t.id from {schema}.tasks t
        where t.id = any (_ids) and t.status = 'PENDING' and t.good_until <= _now
        order by t.id
        for update skip locked
    ), ended as (
        delete from {schema}.tasks t using due d where t.id = d.id returning t.*
    ), kept as (
        insert into {schema}.task_history (
            id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key, kwargs, kwargs_digest, options,
            timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at, status, terminal_at,
            result, error_code, claim_generation, retry_count, max_retries, attempts, workflow_id, node_index,
            is_workflow_task, retention_class, retain_rerun_input, rerun_of, rerun_root)
        select id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then kwargs end,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then {schema}.digest(kwargs) end,
            options, timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at,
            'EXPIRED', _now, replace(_result, '00000000-0000-0000-0000-000000000000', id::text), 'TASK_EXPIRED',
            claim_generation, retry_count, max_retries, attempts, workflow_id, node_index,
            is_workflow_task, retention_class, retain_rerun_input, rerun_of, rerun_root
        from ended
    )
    select array_agg(e.id) filter (where e.awaited), array_agg(e.id) filter (where e.idempotency_key is not null),
        count(*),
        array_agg({schema}.node_end_of(e.workflow_id, e.node_index, e.task_name, 'EXPIRED',
            replace(_result, '00000000-0000-0000-0000-000000000000', e.id::text), 'TASK_EXPIRED', null))
            filter (where e.is_workflow_task)
    into _awaited, _keyed, _count, _nodes
    from ended e;
    perform {schema}.after_end(_awaited, _keyed, _now);
    perform {schema}.wake_queues({schema}.after_node_tasks(_nodes, _now));
    return _count;
end $$;

-- The days of history that there are, as the catalog has them: one dropped by hand is simply not there (D-036).
create function {schema}.history_days() returns table (retention_class text, day date)
language sql stable as $$
    select substr(c.relname, length('task_history_') + 1), to_date(right(d.relname, 8), 'YYYYMMDD')
    from pg_inherits ci
    join pg_class c on c.oid = ci.inhrelid
    left join pg_inherits di on di.inhparent = c.oid
    left join pg_class d on d.oid = di.inhrelid and d.relname ~ '_[0-9]{8}$'
    where ci.inhparent = '{schema}.task_history'::regclass
$$;

-- Whether all records of a day have been kept for as long as their class promises (D-032); false for ever for 'forever'.
create function {schema}.is_past(_class text, _day date, _now timestamptz) returns boolean
language sql stable as $$
    select coalesce((_day + 1)::timestamp at time zone 'UTC' + {schema}.retention_duration(_class) <= _now, false)
$$;

-- Drop one day. Its class is locked exclusively for a moment; who cannot have that within 200 ms leaves it (D-033).
-- Null: somebody else is at it.
create function {schema}.drop_history_partition(_class text, _day date, _at timestamptz default null) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
    _name text := format('task_history_%s_%s', _class, to_char(_day, 'YYYYMMDD'));
begin
    if not {schema}.begin_step('partitions') then
        return null;
    elsif to_regclass(format('%I.%I', {schema_literal}, _name)) is null
        or not {schema}.is_past(_class, _day, coalesce(_at, now()))
    then
        return false;
    end if;
    execute format('drop table if exists %I.%I', {schema_literal}, _name);
    return true;
end $$;
revoke all on function {schema}.drop_history_partition from public;
