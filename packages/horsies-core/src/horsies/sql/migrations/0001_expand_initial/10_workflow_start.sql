-- Starting a workflow, and what starting shares with going on.

-- A node that may begin; is_step: after a prepare step.
create type {schema}.node_ref as (workflow_id uuid, node_index integer, is_step boolean);

-- What becomes of a node that waits for others: READY, SKIPPED, or null as long as it is open (05 §9).
create function {schema}.join_outcome(
    _join text, _min_success integer, _allow_failed boolean, _open integer, _ok integer, _bad integer, _gates integer)
returns text
language sql immutable parallel safe as $$
    select case
        when _open + _ok + _bad = 0 then 'READY'
        when _join = 'all' then
            case when _open > 0 then null when _bad > 0 and not _allow_failed then 'SKIPPED' else 'READY' end
        when _ok >= coalesce(_min_success, 1) then case when _gates = 0 then 'READY' end
        when _ok + _open < coalesce(_min_success, 1) then 'SKIPPED'
    end
$$;

-- READY becomes ENQUEUED at once where no user code has to run first (W-57).
create function {schema}.ready_status(_kind text, _conditions boolean) returns text
language sql immutable parallel safe as $$
    select case when _kind = 'task' and not _conditions then 'ENQUEUED' else 'READY' end
$$;

-- The row locks of some workflows' trees, in the order of the roots' ids (W-41); the workflows whose tree could be had.
-- Without _wait those that somebody else is at are left out. A workflow that is gone needs no lock.
create function {schema}.lock_trees(_workflows uuid[], _wait boolean) returns uuid[]
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    _locked uuid[];
begin
    if _wait then
        _locked := array(
            select r.id from {schema}.workflows r
            where r.id = any (array(select w.root_id from {schema}.workflows w where w.id = any (_workflows)))
            order by r.id
            for no key update);
    else
        _locked := array(
            select r.id from {schema}.workflows r
            where r.id = any (array(select w.root_id from {schema}.workflows w where w.id = any (_workflows)))
            order by r.id
            for no key update skip locked);
    end if;
    if cardinality(_locked) = cardinality(_workflows) then
        return _workflows;                          -- one tree each, the usual case
    end if;
    return array(
        select i.id from unnest(_workflows) as i (id)
        left join {schema}.workflows w on w.id = any (array[i.id])
        where w.id is null or w.root_id = any (_locked));
end $$;

-- Task rows of nodes: its own row for an ENQUEUED one, that of its prepare step for a READY one. In a workflow that does
-- not run any more nothing is enqueued: its nodes are READY (W-46). Returns the new rows.
create function {schema}.enqueue_nodes(_nodes {schema}.node_ref[], _now timestamptz) returns uuid[]
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    _new uuid[] := '{}';
    _made uuid[];
begin
    if coalesce(cardinality(_nodes), 0) = 0 then
        return _new;
    end if;
    with made as (
        insert into {schema}.tasks (
            id, task_name, queue_name, priority, executor, kwargs, options, timeout_ms, trace_context, sent_at,
            enqueued_at, good_until, created_at, max_retries, retention_class, workflow_id, node_index, is_workflow_task)
        select n.task_id, n.task_name, n.queue_name, n.priority, n.executor, n.kwargs, n.options, n.timeout_ms,
            w.trace_context, _now, _now, n.good_until, _now, n.max_retries, n.retention_class, r.workflow_id,
            r.node_index, true
        from unnest(_nodes) with ordinality as r (workflow_id, node_index, is_step, nth)
        cross join lateral (
            select n.task_id, n.task_name, n.queue_name, n.priority, n.executor, n.kwargs, n.options, n.timeout_ms,
                n.good_until, n.max_retries, n.retention_class
            from {schema}.workflow_nodes n
            where n.workflow_id = r.workflow_id and n.node_index = r.node_index
            offset 0
        ) n
        cross join lateral (
            select w.trace_context from {schema}.workflows w where w.id = r.workflow_id and w.status = 'RUNNING' offset 0
        ) w
        where not r.is_step
        order by r.nth
        returning id
    )
    select array_agg(m.id) into _made from made m;
    _new := coalesce(_made, '{}');
    -- The usual case ends here: nothing needs a step, and every workflow runs.
    if cardinality(_new) < cardinality(_nodes) then
        with made as (
            insert into {schema}.tasks (
                id, task_name, queue_name, priority, executor, options, timeout_ms, sent_at, enqueued_at, created_at,
                max_retries, retention_class, workflow_id, node_index, is_workflow_task)
            select {schema}.new_task_id(), 'horsies.prepare', 'horsies.steps', 1, 'process', {schema}.step_options(),
                w.step_timeout_ms, _now, _now, _now, 2, w.retention_class, r.workflow_id, r.node_index, true
            from unnest(_nodes) with ordinality as r (workflow_id, node_index, is_step, nth)
            cross join lateral (
                select w.step_timeout_ms, w.retention_class from {schema}.workflows w
                where w.id = r.workflow_id and w.status = 'RUNNING'
                offset 0
            ) w
            where r.is_step
            order by r.nth
            returning id
        )
        select array_agg(m.id) into _made from made m;
        _new := _new || coalesce(_made, '{}');
    end if;
    if cardinality(_new) < cardinality(_nodes) then
        update {schema}.workflow_nodes n
        set status = 'READY', task_id = null
        from unnest(_nodes) as r
        where n.workflow_id = any (array[r.workflow_id]) and n.node_index = r.node_index
            and n.status = 'ENQUEUED'
            and exists (
                select from {schema}.workflows w
                where w.id = any (array[r.workflow_id]) and w.status <> 'RUNNING');
    end if;
    return _new;
end $$;

-- The built-in retry policy of prepare steps (W-57), as task options.
create function {schema}.step_options() returns text
language sql immutable parallel safe as $$
    select '{"retry_policy":{"max_retries":2,"intervals":[1,1],"backoff_strategy":"fixed","jitter":false,'
        '"auto_retry_for":["WORKER_CRASHED"]},"good_until":null,"timeout_ms":null}'
$$;

-- Wake the workers of new rows that are still to be claimed.
create function {schema}.wake_queues(_tasks uuid[]) returns void
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off
as $$
begin
    perform pg_notify({schema}.channel('q:' || q.queue_name), '')
    from (
        select distinct t.queue_name
        from unnest(_tasks) as n (id)
        cross join lateral (select * from {schema}.tasks t where t.id = n.id offset 0) t
        where t.status = 'PENDING' and not t.parked
    ) q;
end $$;

-- A workflow with its nodes and dependencies; nothing if the id is taken. _begun: its roots, for enqueue_nodes.
-- _plan: name, definition_key, on_error, output_index, success_policy (cases as arrays of indexes), retention_class,
-- step_timeout_ms, trace_context, nodes; these by index, with the columns of workflow_nodes and waits_for.
create function {schema}.insert_workflow(
    _id uuid, _plan json, _root uuid, _parent uuid, _parent_index integer, _depth integer, _sent_at timestamptz,
    _now timestamptz, out is_new boolean, out begun {schema}.node_ref[])
language plpgsql as $$
begin
    insert into {schema}.workflows (
        id, name, definition_key, status, on_error, success_policy, output_index, parent_workflow_id, parent_node_index,
        root_id, depth, sent_at, created_at, started_at, retention_class, step_timeout_ms, trace_context, open_nodes)
    select _id, p.name, p.definition_key, 'RUNNING', p.on_error, p.success_policy, p.output_index, _parent,
        _parent_index, _root, _depth, _sent_at, _now, _now, p.retention_class, p.step_timeout_ms,
        case when _parent is null then p.trace_context
            else (select w.trace_context from {schema}.workflows w where w.id = _parent) end,
        json_array_length(p.nodes)
    from json_to_record(_plan) as p (
        name text, definition_key text, on_error text, success_policy jsonb, output_index integer, retention_class text,
        step_timeout_ms integer, trace_context text, nodes json)
    on conflict (id) do nothing;
    is_new := found;
    if not is_new then
        return;
    end if;
    with placed as (
        insert into {schema}.workflow_nodes (
            workflow_id, node_index, node_id, kind, task_name, definition_key, kwargs, args_from, ctx_from, conditions,
            takes_meta, queue_name, priority, executor, options, timeout_ms, max_retries, good_until, retention_class,
            waits_for, join_kind, min_success, allow_failed_deps, open_deps, open_gates, status, task_id)
        select _id, p.node_index, p.node_id, p.kind, p.task_name, p.definition_key, p.kwargs, p.args_from, p.ctx_from,
            p.conditions, p.takes_meta, t.queue_name, t.priority, t.executor, p.options, p.timeout_ms, t.max_retries,
            p.good_until, t.retention_class, p.waits_for, p.join_kind, p.min_success, p.allow_failed_deps,
            cardinality(p.waits_for), coalesce(cardinality(p.ctx_from), 0),
            case when p.waits_for = '{}' then {schema}.ready_status(p.kind, p.conditions) else 'PENDING' end,
            case when p.waits_for = '{}' and {schema}.ready_status(p.kind, p.conditions) = 'ENQUEUED'
                then {schema}.new_task_id() end
        from json_to_recordset(_plan -> 'nodes') as p (
            node_index integer, node_id text, kind text, task_name text, definition_key text, kwargs text, args_from jsonb,
            ctx_from integer[], conditions boolean, takes_meta boolean, queue_name text, priority smallint, executor text,
            options text, timeout_ms integer, max_retries smallint, good_until timestamptz, retention_class text,
            waits_for integer[], join_kind text, min_success integer, allow_failed_deps boolean)
        cross join lateral (
            select p.queue_name, p.priority, p.executor, p.max_retries, p.retention_class where p.kind = 'task'
            union all
            select '', 100::smallint, 'default', 0::smallint, '' where p.kind is distinct from 'task'
        ) as t
        returning node_index, waits_for, ctx_from, status
    ), linked as (
        insert into {schema}.workflow_edges (workflow_id, from_index, to_index, gate)
        select _id, d.from_index, p.node_index, coalesce(d.from_index = any (p.ctx_from), false)
        from placed p cross join lateral unnest(p.waits_for) as d (from_index)
        order by d.from_index, p.node_index
    )
    select array_agg(row(_id, p.node_index, p.status = 'READY')::{schema}.node_ref order by p.node_index) into begun
    from placed p where p.waits_for = '{}';
end $$;

-- Start a workflow (W-26 to W-28): 'started'; 'same' or 'different' if there is one of that id already, by its name.
create function {schema}.start_workflow(
    _id uuid, _plan json, _sent_at timestamptz, _at timestamptz default null, out outcome text, out name text)
language plpgsql
-- Else the statements are planned anew for each start, as a plan for known arrays always looks cheaper.
set plan_cache_mode = force_generic_plan
as $$
declare
    _now timestamptz := coalesce(_at, now());
    _begun {schema}.node_ref[];
    _is_new boolean;
begin
    loop
        select i.is_new, i.begun into _is_new, _begun
        from {schema}.insert_workflow(_id, _plan, _id, null, null, 0, coalesce(_sent_at, _now), _now) i;
        if _is_new then
            perform {schema}.wake_queues({schema}.enqueue_nodes(_begun, _now));
            outcome := 'started';
            name := _plan ->> 'name';
            return;
        end if;
        select w.name into name from {schema}.workflows w where w.id = _id;
        exit when found;
        -- It was deleted between the two statements: the id is free.
    end loop;
    outcome := case when name = _plan ->> 'name' then 'same' else 'different' end;
end $$;
