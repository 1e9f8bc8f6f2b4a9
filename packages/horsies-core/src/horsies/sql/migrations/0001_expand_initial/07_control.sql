-- Actions on tasks and queues: cancel, rerun, pause, resume, and the public enqueue. Each is one call, one transaction.
-- All but enqueue run with the owner's rights, and nobody may call them unless he was given the right (D-073, D-077).

-- Cancel one task (M-050). outcome: 'cancelled', 'requested' (it runs; its worker was told), 'running' (it runs, and that
-- was not to be touched), 'ended', 'workflow', 'absent'. was: the status found.
create function {schema}.cancel_task(
    _id uuid, _include_running boolean, _by text, _now timestamptz default null, out outcome text, out was text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _at timestamptz := coalesce(_now, now());
    _live {schema}.tasks;
begin
    -- Waits for whoever writes the row now. If that ends it, the statement below finds it in history.
    select * into _live from {schema}.tasks t where t.id = _id for update;
    if not found then
        select h.status, case when h.is_workflow_task or h.workflow_id is not null then 'workflow' else 'ended' end
        into was, outcome
        from {schema}.task_history h where h.id = _id limit 1;
        outcome := coalesce(outcome, 'absent');
        return;
    end if;
    was := _live.status;
    if _live.is_workflow_task or _live.workflow_id is not null then
        outcome := 'workflow';
    elsif _live.status <> 'RUNNING' then
        perform {schema}.cancel_rows(array[_id], _by, _at);
        outcome := 'cancelled';
    elsif not _include_running then
        outcome := 'running';
    else
        update {schema}.tasks t set cancel_requested_at = _at, cancel_requested_by = _by
        where t.id = _id and t.cancel_requested_at is null;
        -- Also when asked again: the first message may have been lost.
        perform pg_notify({schema}.channel('ctl'), json_build_object('cancel', _id, 'worker', _live.worker_id)::text);
        outcome := 'requested';
    end if;
end $$;

-- Stop claiming from a queue (M-070). _priority and _cap are given by an app that has the queue in its configuration:
-- then it is made if no worker has reported it yet. known: there is such a queue.
create function {schema}.pause_queue(
    _name text, _by text, _priority smallint default null, _cap integer default null, _now timestamptz default null,
    out known boolean, out changed boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    _at timestamptz := coalesce(_now, now());
begin
    if _priority is not null then
        insert into {schema}.queues (name, priority, max_concurrency) values (_name, _priority, _cap)
        on conflict (name) do nothing;
    end if;
    update {schema}.queues q set paused = true, paused_by = _by, paused_at = _at, updated_at = _at
    where q.name = _name and not q.paused;
    changed := found;
    known := changed or exists (select from {schema}.queues q where q.name = _name);
    if changed then
        -- What a worker holds beyond what it runs goes back; it finds its claim lost. Waiting for a locked row could
        -- meet a worker that waits for another one, so such rows are left to a second look, and after that to their
        -- worker, which starts nothing of a paused queue.
        for _look in 1..3 loop
            update {schema}.tasks t
            set status = 'PENDING', worker_id = null, claimed_at = null, worker_hostname = null, worker_pid = null,
                worker_process_name = null
            where t.id = any (array(
                select c.id from {schema}.tasks c where c.queue_name = _name and c.status = 'CLAIMED'
                for no key update skip locked));
            exit when not exists (select from {schema}.tasks t where t.queue_name = _name and t.status = 'CLAIMED');
            perform pg_sleep(0.005);
        end loop;
        perform pg_notify({schema}.channel('ctl'), json_build_object('pause', _name)::text);
    end if;
end $$;

-- Claim from a queue again; its workers are woken.
create function {schema}.resume_queue(
    _name text, _by text, _now timestamptz default null, out known boolean, out changed boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _at timestamptz := coalesce(_now, now());
begin
    update {schema}.queues q set paused = false, paused_by = _by, paused_at = _at, updated_at = _at
    where q.name = _name and q.paused;
    changed := found;
    known := changed or exists (select from {schema}.queues q where q.name = _name);
    if changed then
        perform pg_notify({schema}.channel('ctl'), json_build_object('resume', _name)::text);
        perform pg_notify({schema}.channel('q:' || _name), '');
    end if;
end $$;

-- Send a terminal task again as a new one, _id (T-82, T-83). _classes: retention class by queue; a queue not in it has
-- _class, and without that the source's own. outcome: 'enqueued', 'live', 'absent', 'workflow', 'completed', 'declined',
-- 'too_large', 'corrupt', 'conflict', 'same'. root: of the lineage. holder: of the key. kept_since: when the source is
-- absent; whatever ended since then is still there (null: everything).
create function {schema}.rerun_task(
    _source uuid, _id uuid, _deadline timestamptz, _key text, _keep interval, _classes json, _class text,
    _retain boolean, _sent_at timestamptz, _now timestamptz default null,
    out outcome text, out root uuid, out holder uuid, out kept_since timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _at timestamptz := coalesce(_now, now());
    _h {schema}.task_history;
    _t {schema}.new_task;
    _options text;
    _sha text;
begin
    perform from {schema}.tasks t where t.id = _source;
    if found then
        outcome := 'live';
        return;
    end if;
    select h.* into _h from {schema}.task_history h where h.id = _source limit 1;
    if not found then
        outcome := 'absent';
        kept_since := _at - (
            select min({schema}.retention_duration(substr(c.relname, length('task_history_') + 1)))
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = '{schema}.task_history'::regclass);
        return;
    end if;
    outcome := case
        when _h.is_workflow_task or _h.workflow_id is not null then 'workflow'
        when _h.status = 'COMPLETED' then 'completed'
        when not _h.retain_rerun_input then 'declined'
        when _h.kwargs_digest is null then 'too_large'
        when _h.kwargs_digest <> {schema}.digest(_h.kwargs) then 'corrupt'
    end;
    if outcome is not null then
        return;
    end if;
    _options := _h.options;
    if _deadline is distinct from (_options::json ->> 'good_until')::timestamptz then
        _options := jsonb_set(_options::jsonb, '{good_until}', coalesce(to_jsonb(
            to_char(_deadline at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')), 'null'))::text;
    end if;
    _class := coalesce(_classes ->> _h.queue_name, _class, _h.retention_class);
    root := coalesce(_h.rerun_root, _h.id);
    _sha := {schema}.digest(json_build_array(
        'rerun', _source, extract(epoch from _deadline)::text, _class, _retain)::text);
    _t := row(
        _id, _h.task_name, _h.queue_name, _h.priority, _h.executor, _sha, _key, _h.kwargs, _options, _h.timeout_ms,
        null, _sent_at, 0, _deadline, _h.max_retries, _class, _retain, _source, root)::{schema}.new_task;
    if _key is not null then
        select k.outcome, k.task_id into outcome, holder from {schema}.enqueue_keyed(_t, _sha, _now, _keep, true) k;
    else
        outcome := {schema}.enqueue_new(_t, _at);
    end if;
    if outcome = 'inserted' then
        outcome := 'enqueued';
    end if;
end $$;

revoke all on function
    {schema}.cancel_task, {schema}.pause_queue, {schema}.resume_queue, {schema}.rerun_task from public;

-- Send a task from SQL, in the caller's transaction (D-027); everything that a registration decides is left to it. A
-- mistake is an exception that names the argument. With an id or a key, the same call again gives the same task.
create function {schema}.enqueue(
    task_name text, kwargs text default '{}', queue_name text default 'default', priority integer default null,
    delay interval default '0', good_until timestamptz default null, idempotency_key text default null,
    id uuid default null)
returns uuid
language plpgsql as $$
declare
    _end constant timestamptz := '10000-01-01 00:00:00+00';     -- Python's calendar ends here
    _problem text;
    _due timestamptz;
    _queue_priority smallint;
    _sha text;
    _t {schema}.new_task;
    _outcome text;
    _holder uuid;
begin
    _problem := case
        when coalesce(task_name, '') = '' then 'task_name is empty'
        when length(task_name) > 255 then format('task_name has %s characters; 255 is the most', length(task_name))
        when starts_with(task_name, 'horsies.') then 'task_name begins with horsies., which is reserved'
        when queue_name is null then 'queue_name is null'
        when starts_with(queue_name, 'horsies.') then 'queue_name begins with horsies., which is reserved'
        when priority not between 1 and 100 then format('priority is %s, outside of 1 to 100', priority)
        when delay is null or not isfinite(delay) then 'delay is no length of time'
        when good_until is not null and (not isfinite(good_until) or good_until >= _end
            or good_until < '0001-01-01 00:00:00+00') then 'good_until is outside of the years 1 to 9999'
        when idempotency_key = '' then 'idempotency_key is empty'
        when octet_length(convert_to(idempotency_key, 'UTF8')) > 255 then 'idempotency_key has over 255 bytes'
        when kwargs is null then 'kwargs is null, not a JSON object'
    end;
    if _problem is null then
        begin
            _problem := 'kwargs is no JSON';
            if json_typeof(kwargs::json) <> 'object' then
                _problem := format('kwargs is a JSON %s, not an object', json_typeof(kwargs::json));
            else
                _problem := 'delay goes beyond the year 9999';
                _due := now() + delay;
                if _due < _end then
                    _problem := case when _due < now() then 'delay is negative' end;
                end if;
            end if;
        exception when invalid_text_representation or statement_too_complex or datetime_field_overflow
            or interval_field_overflow then
            null;
        end;
    end if;
    if _problem is null then
        select q.priority into _queue_priority from {schema}.queues q where q.name = enqueue.queue_name;
        if not found then
            _problem := format('queue_name %L is no queue: no worker has served it and it was never configured', queue_name);
        end if;
    end if;
    if _problem is not null then
        raise exception 'horsies.enqueue: %', _problem using errcode = 'invalid_parameter_value';
    end if;

    priority := coalesce(priority, _queue_priority);
    -- Without the time of sending, which a repetition does not share.
    _sha := {schema}.digest(json_build_array('enqueue', task_name, queue_name, priority, kwargs,
        to_char(good_until at time zone 'UTC', 'YYYYMMDDHH24MISSUS'), (extract(epoch from delay) * 1000000)::bigint)::text);
    _t := row(
        coalesce(id, {schema}.new_task_id()), task_name, queue_name, priority, 'default', _sha, idempotency_key,
        case when kwargs !~ '^\s*\{\s*\}\s*$' then kwargs end, null, null, null, now(),
        extract(epoch from _due - now()), good_until, 0, 'standard_30d', false, null, null)::{schema}.new_task;
    if idempotency_key is not null then
        select k.outcome, k.task_id into _outcome, _holder
        from {schema}.enqueue_keyed(_t, _sha, _fresh => id is null) k;
        if _outcome = 'conflict' then
            raise exception 'horsies.enqueue: idempotency_key is in use for another request, task %', _holder
                using errcode = 'unique_violation';
        end if;
    elsif id is not null then
        _outcome := {schema}.enqueue_replay(_t);
    else
        _outcome := {schema}.enqueue_new(_t, now());
    end if;
    if _outcome in ('different', 'unreadable') then
        raise exception 'horsies.enqueue: id is in use for another request' using errcode = 'unique_violation';
    end if;
    return coalesce(_holder, _t.id);
end $$;
