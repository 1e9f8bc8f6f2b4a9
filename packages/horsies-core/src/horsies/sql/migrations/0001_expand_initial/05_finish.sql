-- Finishing: the row leaves tasks and enters task_history in one statement. Every write names the fence (worker,
-- generation) and touches nothing when it no longer matches (R-070).
--
-- "t.id = any (array[e.id])" stands for "t.id = e.id" where the plan must not turn round and walk the whole table for each
-- batch, which it would do as long as its statistics say that the table is small.

-- The end of a node of a workflow (11_workflow_advance.sql). is_step: of its prepare step.
create type {schema}.node_end as (
    workflow_id uuid, node_index integer, status text, result text, error_code text, started_at timestamptz, summary text,
    is_step boolean
);

-- Tasks that ended COMPLETED; those of workflows go another way (end_tasks).
create function {schema}.complete_tasks(
    _worker uuid, _ids uuid[], _generations bigint[], _results text[], _run_us bigint[], _places integer[],
    _pids integer[], _names text[], _now timestamptz, out awaited uuid[], out keyed uuid[], out done uuid[])
language plpgsql as $$
begin
    with ended as (
        delete from {schema}.tasks t
        using unnest(_ids, _generations, _results, _run_us, _places) as e (id, generation, result, run_us, place)
        where t.id = any (array[e.id]) and t.worker_id = _worker and t.claim_generation = e.generation
        returning t.*, e.result, e.run_us, e.place
    ), kept as (
        insert into {schema}.task_history (
            id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key, kwargs, kwargs_digest, options,
            timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at, status, terminal_at,
            result, worker_id, claim_generation, claimed_at, started_at, worker_hostname, worker_pid,
            worker_process_name, retry_count, max_retries, attempts, workflow_id, node_index, is_workflow_task,
            retention_class, retain_rerun_input, rerun_of, rerun_root)
        select id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then kwargs end,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then {schema}.digest(kwargs) end,
            options, timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at,
            'COMPLETED', _now, result, worker_id, claim_generation, claimed_at,
            greatest(started_at, _now - run_us * interval '1 microsecond'), worker_hostname,
            coalesce(_pids[place], worker_pid), coalesce(_names[place], worker_process_name), retry_count, max_retries, attempts, workflow_id, node_index,
            is_workflow_task, retention_class, retain_rerun_input, rerun_of, rerun_root
        from ended
    )
    select array_agg(e.id) filter (where e.awaited), array_agg(e.id) filter (where e.idempotency_key is not null),
        array_agg(e.id)
    into awaited, keyed, done
    from ended e;
end $$;

-- Every other end, one JSON object a task: id, generation, status, result, error_code, failed_reason, message,
-- outcome, retry_s, max_retries (of the registration, where the row has no options), run_us (null where no run could tell,
-- and greatest() passes over it), pid, name, trace_context (for a retry). A retry is written where retry_s is given and
-- the deadline allows it (T-52, R-100); after a cancel request every end but COMPLETED is CANCELLED (M-054). nodes: the
-- ends of workflow tasks, whose caller holds their trees' locks and passes them on to after_node_tasks.
create function {schema}.end_tasks(
    _worker uuid, _ends json, _now timestamptz, out awaited uuid[], out keyed uuid[], out done uuid[], out retried uuid[],
    out nodes {schema}.node_end[])
language plpgsql as $$
begin
    -- Only an end that says so may be followed by another run; asking costs as much as ending a task.
    if strpos(_ends::text, '"retry_s"') > 0 then
        with e as (
            select * from json_to_recordset(_ends) as e (
                id uuid, generation bigint, error_code text, failed_reason text, message text, outcome text,
                retry_s double precision, max_retries smallint, run_us bigint, pid integer, name text,
                trace_context text)
            where retry_s is not null
        ), again as (
            update {schema}.tasks t
            set status = 'PENDING', worker_id = null, claimed_at = null, started_at = null, worker_hostname = null,
                worker_pid = null, worker_process_name = null,
                parked = t.is_workflow_task and {schema}.is_workflow(t.workflow_id, '{PAUSED}'),
                retry_count = t.retry_count + 1,
                max_retries = coalesce(e.max_retries, t.max_retries),
                next_retry_at = _now + e.retry_s * interval '1 second',
                enqueued_at = _now + e.retry_s * interval '1 second',
                trace_context = coalesce(e.trace_context, t.trace_context),
                attempts = coalesce(t.attempts, '[]') || jsonb_build_object(
                    'attempt', t.retry_count + 1, 'outcome', e.outcome, 'will_retry', true,
                    'started_at', greatest(t.started_at, _now - e.run_us * interval '1 microsecond'), 'finished_at', _now,
                    'error_code', e.error_code, 'error_message', left(e.message, 4096), 'failed_reason', e.failed_reason,
                    'worker_id', t.worker_id, 'worker_hostname', t.worker_hostname,
                    'worker_pid', coalesce(e.pid, t.worker_pid),
                    'worker_process_name', coalesce(e.name, t.worker_process_name))
            from e
            where t.id = any (array[e.id]) and t.worker_id = _worker and t.claim_generation = e.generation
                and t.cancel_requested_at is null
                and (t.good_until is null or _now + e.retry_s * interval '1 second' < t.good_until)
                and not (t.is_workflow_task and {schema}.is_workflow(t.workflow_id, '{CANCELLED,EXPIRED}'))
            returning t.id
        )
        select array_agg(a.id) into retried from again a;
    end if;

    with ended as (
        delete from {schema}.tasks t
        using json_to_recordset(_ends) as e (
            id uuid, generation bigint, status text, result text, error_code text, failed_reason text, run_us bigint,
            pid integer, name text)
        where t.id = any (array[e.id]) and t.worker_id = _worker and t.claim_generation = e.generation
        returning t.*, e.status as end_status, e.result, e.error_code, e.failed_reason, e.run_us, e.pid, e.name,
            t.cancel_requested_at is not null and e.status <> 'COMPLETED' as cancelled
    ), kept as (
        insert into {schema}.task_history (
            id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key, kwargs, kwargs_digest, options,
            timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at, status, terminal_at,
            result, error_code, failed_reason, worker_id, claim_generation, claimed_at, started_at, worker_hostname,
            worker_pid, worker_process_name, retry_count, max_retries, attempts, workflow_id, node_index,
            is_workflow_task, retention_class, retain_rerun_input, rerun_of, rerun_root)
        select id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then kwargs end,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then {schema}.digest(kwargs) end,
            options, timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at,
            case when cancelled then 'CANCELLED' else end_status end, _now,
            case when not cancelled and task_name <> 'horsies.prepare' then result end,
            case when cancelled then 'TASK_CANCELLED' else error_code end,
            case when cancelled then 'cancelled by ' || coalesce(cancel_requested_by, 'an operator') else failed_reason end,
            worker_id, claim_generation, claimed_at,
            -- null stays null (greatest() would pass over it): what never started has no attempt
            case when started_at is not null then greatest(started_at, _now - run_us * interval '1 microsecond') end,
            worker_hostname, coalesce(pid, worker_pid),
            coalesce(name, worker_process_name), retry_count, max_retries, attempts, workflow_id, node_index,
            is_workflow_task, retention_class, retain_rerun_input, rerun_of, rerun_root
        from ended
    )
    select array_agg(e.id) filter (where e.awaited), array_agg(e.id) filter (where e.idempotency_key is not null),
        array_agg(e.id),
        array_agg({schema}.node_end_of(e.workflow_id, e.node_index, e.task_name,
            case when e.cancelled then 'CANCELLED' else e.end_status end,
            case when not e.cancelled then e.result end, e.error_code,
            case when e.started_at is not null then greatest(e.started_at, _now - e.run_us * interval '1 microsecond') end))
            filter (where e.is_workflow_task)
    into awaited, keyed, done, nodes
    from ended e;
end $$;

-- What never began ends CANCELLED: no result, no attempt (T-65, T-70). Nothing is checked: the caller holds the rows.
create function {schema}.cancel_rows(_ids uuid[], _by text, _now timestamptz) returns void
language plpgsql as $$
declare
    _awaited uuid[];
    _keyed uuid[];
begin
    with ended as (
        delete from {schema}.tasks t where t.id = any (_ids) returning t.*
    ), kept as (
        insert into {schema}.task_history (
            id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key, kwargs, kwargs_digest, options,
            timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at, status, terminal_at,
            error_code, failed_reason, claim_generation, retry_count, max_retries, attempts, workflow_id, node_index,
            is_workflow_task, retention_class, retain_rerun_input, rerun_of, rerun_root)
        select id, task_name, queue_name, priority, executor, enqueue_sha, idempotency_key,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then kwargs end,
            case when {schema}.keeps_input(retain_rerun_input, kwargs) then {schema}.digest(kwargs) end,
            options, timeout_ms, trace_context, sent_at, enqueued_at, good_until, next_retry_at, created_at,
            'CANCELLED', _now, 'TASK_CANCELLED',
            'cancelled by ' || coalesce(_by, cancel_requested_by, 'an operator'),
            claim_generation, retry_count, max_retries, attempts, workflow_id, node_index, is_workflow_task,
            retention_class, retain_rerun_input, rerun_of, rerun_root
        from ended
    )
    select array_agg(e.id) filter (where e.awaited), array_agg(e.id) filter (where e.idempotency_key is not null)
    into _awaited, _keyed
    from ended e;
    perform {schema}.after_end(_awaited, _keyed, _now);
end $$;

-- Back to PENDING without an attempt: what provably did not begin (R-075). Due time, retry count and generation stay.
-- A row whose cancel was requested, or whose workflow was, ends instead: what has not begun need not be stopped (M-051,
-- W-79). For RUNNING rows of workflows the caller holds the trees' locks.
create function {schema}.hand_back(_worker uuid, _ids uuid[], _generations bigint[], _now timestamptz) returns integer
language plpgsql as $$
declare
    _count integer;
    _cancelled uuid[];
    _nodes {schema}.node_end[];
begin
    with back as (
        update {schema}.tasks t
        set status = 'PENDING', worker_id = null, claimed_at = null, started_at = null, worker_hostname = null,
            worker_pid = null, worker_process_name = null,
            parked = t.is_workflow_task and {schema}.is_workflow(t.workflow_id, '{PAUSED}')
        from unnest(_ids, _generations) as e (id, generation)
        where t.id = any (array[e.id]) and t.worker_id = _worker and t.claim_generation = e.generation
        returning t.id, t.queue_name, t.workflow_id, t.node_index, t.task_name, t.is_workflow_task,
            t.cancel_requested_at is not null
            or t.is_workflow_task and {schema}.is_workflow(t.workflow_id, '{CANCELLED,EXPIRED}') as is_over
    ), woken as (
        select pg_notify({schema}.channel('q:' || b.queue_name), '') from (select distinct queue_name from back) b
    )
    select count(*), array_agg(b.id) filter (where b.is_over),
        array_agg({schema}.node_end_of(b.workflow_id, b.node_index, b.task_name, 'SKIPPED', null, null, null))
            filter (where b.is_over and b.is_workflow_task)
    into _count, _cancelled, _nodes
    from back b, (select count(*) from woken) w;
    if _cancelled is not null then
        perform {schema}.cancel_rows(_cancelled, null, _now);
        perform {schema}.after_node_tasks(_nodes, _now);
    end if;
    return _count;
end $$;

-- What every end does besides: waiters are told, idempotency keys start to run out (D-014, D-047).
create function {schema}.after_end(_awaited uuid[], _keyed uuid[], _now timestamptz) returns void
language plpgsql as $$
begin
    if _awaited is not null then
        perform pg_notify({schema}.channel('task_done'), a::text) from unnest(_awaited) a;
    end if;
    if _keyed is not null then
        update {schema}.idempotency_keys k set expires_at = _now + k.keep where k.task_id = any (_keyed);
    end if;
end $$;

-- One answer of the cycle about a task.
create function {schema}.task_answer(_tag text, _id uuid) returns {schema}.cycle_row
language sql immutable parallel safe as $$
    select row(_tag, _id::text, null, null, null, null, null, null, null, null, null, null, null, null)::{schema}.cycle_row
$$;

-- The worker's cycle (one round trip, one transaction): finish what ended, then claim for every free place.
create function {schema}.cycle(
    _worker uuid, _hostname text, _pids integer[], _names text[],
    _ids uuid[], _generations bigint[], _results text[], _run_us bigint[], _ran_at integer[],
    _ends json, _back_ids uuid[], _back_generations bigint[],
    _workflows uuid[], _node_ends json, _node_backs json,
    _queues text[], _ranks integer[], _caps integer[], _cluster_cap integer, _lanes text[], _executors text[],
    _places text[], _freed text[], _spans {schema}.claim_span[], _starts json,
    _at timestamptz default null)
returns setof {schema}.cycle_row
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    _now timestamptz := coalesce(_at, now());
    _awaited uuid[];
    _keyed uuid[];
    _done uuid[];
    _retried uuid[];
    _rooms integer[];
    _cluster integer;
    _claimed {schema}.cycle_row[];
    _wanted integer;
    _made uuid[] := '{}';
    -- What the parts return. An assignment costs a third of a `select into ... from`, which starts an executor.
    _f record;
    _q record;
    _c record;
begin
    -- First, so that the locks of the trees come before all others (W-41).
    if cardinality(_workflows) > 0 then
        _f := {schema}.finish_nodes(_worker, _workflows, _node_ends, _node_backs, false, _now);
        _made := _f.made;
        if cardinality(_f.answers) > 0 then
            return query select * from unnest(_f.answers);
        end if;
    end if;
    if cardinality(_ids) > 0 then
        select c.awaited, c.keyed, c.done into _awaited, _keyed, _done
        from {schema}.complete_tasks(_worker, _ids, _generations, _results, _run_us, _ran_at, _pids, _names, _now) c;
        perform {schema}.after_end(_awaited, _keyed, _now);
        if coalesce(cardinality(_done), 0) < cardinality(_ids) then
            return query select ({schema}.task_answer('lost', l.id)).*
            from unnest(_ids) as l (id) where l.id <> all (coalesce(_done, '{}'));
        end if;
    end if;
    if _ends is not null then
        select c.awaited, c.keyed, c.done, c.retried into _awaited, _keyed, _done, _retried
        from {schema}.end_tasks(_worker, _ends, _now) c;
        perform {schema}.after_end(_awaited, _keyed, _now);
        return query select ({schema}.task_answer(
            case when e.id = any (coalesce(_retried, '{}')) then 'retried' else 'lost' end, e.id)).*
        from json_to_recordset(_ends) as e (id uuid) where e.id <> all (coalesce(_done, '{}'));
    end if;
    if cardinality(_back_ids) > 0 then
        perform {schema}.hand_back(_worker, _back_ids, _back_generations, _now);
    end if;
    if _starts is not null then
        return query select * from {schema}.start_held(_worker, _starts, _pids, _names, _now);
    end if;
    if cardinality(_lanes) > 0 then
        _q := {schema}.queue_rooms(_queues, _caps, _cluster_cap);
        _cluster := _q.cluster;
        _rooms := {schema}.without_paused(_queues, _q.rooms);
        for _l in 1..cardinality(_lanes) loop
            if cardinality(_lanes) > 1 then
                return query select 'lane', null::text, null::bigint, _lanes[_l], null::text, null::text, null::text,
                    null::text, null::integer, null::smallint, null::smallint, null::double precision, null::text,
                    null::text;
            end if;
            _wanted := cardinality(_places[_l]::integer[]);
            if _wanted > 0 then
                _c := {schema}.claim_lane(
                    _worker, _hostname, _queues, _ranks, _rooms, string_to_array(_executors[_l], ','),
                    (_places[_l]::integer[])[1 : coalesce(_cluster, _wanted)], _pids, _names, _spans, _now);
                _rooms := _c._rooms;
                _claimed := _c._claimed;
                return query select * from unnest(_claimed);
                if cardinality(_made) = 1 and (_claimed[1]).id = _made[1]::text then
                    _made := '{}';                  -- the next of a chain: nobody else need look for it
                end if;
                if cardinality(_lanes) > 1 and _c._first_rank is not null then
                    return query select 'first', null::text, null::bigint, null::text, null::text, null::text, null::text,
                        null::text, null::integer, _c._first_rank::smallint, _c._first_priority, (_claimed[1]).seconds, null::text,
                        null::text;
                end if;
                _cluster := _cluster - _c._count;
                _wanted := _wanted - _c._count;
            end if;
            if cardinality(_lanes) > 1 and _wanted = 0 then
                return query select * from {schema}.lane_head(
                    _queues, _ranks, _rooms, string_to_array(_executors[_l], ','), _now);
            end if;
        end loop;
    end if;
    if cardinality(_made) > 0 then
        perform {schema}.wake_queues(_made);
    end if;
    -- Room under a cap that this worker has freed and does not use itself: others may be waiting for it (R-062).
    if cardinality(_freed) > 0 then
        perform pg_notify({schema}.channel('q:' || f.queue), '')
        from unnest(_freed) as f (queue)
        where coalesce(_cluster, 1) > 0 and coalesce(_rooms[array_position(_queues, f.queue)], 1) > 0;
    end if;
end $$;
