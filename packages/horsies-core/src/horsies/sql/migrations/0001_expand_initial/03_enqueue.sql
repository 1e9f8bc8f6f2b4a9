-- Enqueueing that needs more than one statement in one transaction. A plain send is a single insert (sql/enqueue.sql).

create type {schema}.new_task as (
    id uuid, task_name text, queue_name text, priority smallint, executor text, enqueue_sha text, idempotency_key text,
    kwargs text, options text, timeout_ms integer, trace_context text, sent_at timestamptz, delay_s double precision,
    good_until timestamptz, max_retries smallint, retention_class text, retain_rerun_input boolean,
    rerun_of uuid, rerun_root uuid
);

-- Inserts unless the id is live; tells whether it did.
create function {schema}.insert_task(_t {schema}.new_task, _now timestamptz) returns boolean
language plpgsql as $$
begin
    insert into {schema}.tasks (
        id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key, kwargs, options, timeout_ms,
        trace_context, sent_at, enqueued_at, good_until, created_at, max_retries, retention_class, retain_rerun_input,
        rerun_of, rerun_root)
    values (
        _t.id, _t.task_name, _t.queue_name, _t.priority, _t.executor, _t.enqueue_sha, _t.idempotency_key, _t.kwargs,
        _t.options, _t.timeout_ms, _t.trace_context, _t.sent_at,
        _now + coalesce(_t.delay_s, 0) * interval '1 second', _t.good_until, _now, _t.max_retries, _t.retention_class,
        _t.retain_rerun_input, _t.rerun_of, _t.rerun_root)
    on conflict (id) do nothing;
    return found;
end $$;

-- A send under an id made for it just now, which nobody else can have: history need not be asked (T-40).
create function {schema}.enqueue_new(_t {schema}.new_task, _now timestamptz) returns text
language plpgsql as $$
begin
    if not {schema}.insert_task(_t, _now) then
        return 'different';
    end if;
    perform pg_notify({schema}.channel('q:' || _t.queue_name), '');
    return 'inserted';
end $$;

-- What is known of a task whose id a repeated send has: 'same', 'different' or null. Live first, then history (D-012).
create function {schema}.compare_task(_t {schema}.new_task) returns text
language plpgsql as $$
declare
    _sha text;
begin
    select t.enqueue_sha into _sha from {schema}.tasks t where t.id = _t.id;
    if not found then
        select h.enqueue_sha into _sha from {schema}.task_history h where h.id = _t.id;
        if not found then
            return null;
        end if;
    end if;
    return case when _sha = _t.enqueue_sha then 'same' else 'different' end;
end $$;

-- A send that may be a repetition (D-013): 'inserted', 'same' or 'different'. The insert comes first: looking first
-- would miss a task that finishes between the look and the insert. Each statement sees what was committed before it.
create function {schema}.enqueue_replay(_t {schema}.new_task, _now timestamptz default null) returns text
language plpgsql as $$
declare
    _sha text;
begin
    if {schema}.insert_task(_t, coalesce(_now, now())) then
        select h.enqueue_sha into _sha from {schema}.task_history h where h.id = _t.id;
        if not found then
            perform pg_notify({schema}.channel('q:' || _t.queue_name), '');
            return 'inserted';
        end if;
        delete from {schema}.tasks where id = _t.id;
        return case when _sha = _t.enqueue_sha then 'same' else 'different' end;
    end if;
    return coalesce({schema}.compare_task(_t), 'unreadable');
end $$;

-- A send under an idempotency key (D-014, T-44 to T-46). The insert of the key waits for an uncommitted rival. A key that
-- is held is only read: a lock on it would keep the end of its task waiting for the caller's transaction.
-- _keep: how long the key stays reserved after the task's end. _fresh: the id was made for this call. _wait_ms: how long
-- rivals may take; without it, or where the session has a lock_timeout, that of the session says.
create function {schema}.enqueue_keyed(
    _t {schema}.new_task, _request_sha text, _now timestamptz default null, _keep interval default '24 hours',
    _fresh boolean default false, _wait_ms integer default null, out outcome text, out task_id uuid)
language plpgsql as $$
declare
    _at timestamptz := coalesce(_now, now());
    _limited boolean := _wait_ms is not null and current_setting('lock_timeout') = '0';
    _until timestamptz := clock_timestamp() + _wait_ms * interval '1 millisecond';
    _held {schema}.idempotency_keys;
begin
    loop
        if _limited then
            perform set_config('lock_timeout', greatest(
                ceil(extract(epoch from _until - clock_timestamp()) * 1000), 1)::integer::text, true);
        end if;
        insert into {schema}.idempotency_keys (task_name, key, task_id, request_sha, keep)
        values (_t.task_name, _t.idempotency_key, _t.id, _request_sha, _keep)
        on conflict on constraint idempotency_keys_pkey do nothing;
        exit when found;
        select k.* into _held from {schema}.idempotency_keys k
        where k.task_name = _t.task_name and k.key = _t.idempotency_key;
        if found and (_held.expires_at is null or _held.expires_at > _at) then
            task_id := _held.task_id;
            exit;
        end if;
        -- It ran out: it is taken over by one of those who want it, or it was cleaned up just now and is free.
        update {schema}.idempotency_keys k
        set task_id = _t.id, request_sha = _request_sha, keep = _keep, expires_at = null
        where k.task_name = _t.task_name and k.key = _t.idempotency_key and k.expires_at <= _at;
        exit when found;
    end loop;
    if _limited then
        perform set_config('lock_timeout', '0', true);
    end if;
    if task_id is not null then
        if not _fresh and task_id <> _t.id then
            -- A repeated send that got in at first has its own task for an answer, whoever holds the key since then.
            outcome := {schema}.compare_task(_t);
            if outcome is not null then
                task_id := _t.id;
                return;
            end if;
        end if;
        outcome := case when _held.request_sha = _request_sha then 'same' else 'conflict' end;
        return;
    end if;
    task_id := _t.id;
    outcome := case when _fresh then {schema}.enqueue_new(_t, _at) else {schema}.enqueue_replay(_t, _now) end;
    if outcome <> 'inserted' then
        -- The id was there before, and its end, if it has one, was before the key: nobody would ever free it.
        delete from {schema}.idempotency_keys k where k.task_name = _t.task_name and k.key = _t.idempotency_key;
    end if;
end $$;
