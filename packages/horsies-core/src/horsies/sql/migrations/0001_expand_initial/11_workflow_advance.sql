-- How a workflow goes on when nodes end (W-43, W-44). Everything is done for sets: the ends of one batch, whatever trees
-- they belong to. The caller holds the tree locks; nothing here asks for one.
--
-- "x = any (array[y])" stands for "x = y" where the plan must not turn round and walk the whole table for each batch,
-- which it would do as long as its statistics say that the table is small. Only for the first column of an index: before
-- PostgreSQL 17 the others would be left to a filter, and all nodes of a workflow read for each one.

-- What became of the work of some nodes is put down; a node that has ended already keeps what it has (W-40). _over: the
-- workflows that have no open node any more.
create function {schema}.end_nodes(
    _ends {schema}.node_end[], _now timestamptz,
    out ended {schema}.node_end[], out failed boolean, out over uuid[])
language plpgsql as $$
begin
    with written as (
        update {schema}.workflow_nodes n
        set status = e.status, result = e.result, error_code = e.error_code, completed_at = _now,
            started_at = coalesce(e.started_at, n.started_at),
            sub_workflow_summary = e.summary
        from unnest(_ends) as e
        where n.workflow_id = any (array[e.workflow_id]) and n.node_index = e.node_index
            and n.status not in ('COMPLETED', 'FAILED', 'SKIPPED')
        returning e, n.workflow_id, n.status = 'FAILED' as has_failed
    ), counted as (
        update {schema}.workflows w
        set open_nodes = w.open_nodes - c.n
        from (select x.workflow_id, count(*)::integer as n from written x group by x.workflow_id) c
        where w.id = any (array[c.workflow_id])
        returning w.id, w.open_nodes
    )
    select array_agg(x.e), bool_or(x.has_failed), (select array_agg(c.id) from counted c where c.open_nodes = 0)
    into ended, failed, over
    from written x;
end $$;

-- FAILED nodes and their workflows: the lowest one's error is kept, and what is to pause on an error pauses (W-66, W-67).
create function {schema}.note_failures(_ended {schema}.node_end[], _now timestamptz) returns void
language plpgsql as $$
declare
    _paused uuid[];
begin
    with failed as (
        select f.*, w.status as was
        from (
            select distinct on (e.workflow_id) e.workflow_id, e.node_index, e.result
            from unnest(_ended) e
            where e.status = 'FAILED'
            order by e.workflow_id, e.node_index
        ) f
        cross join lateral (select w.status from {schema}.workflows w where w.id = f.workflow_id offset 0) w
    ), noted as (
        update {schema}.workflows w
        set failed_index = least(w.failed_index, f.node_index),
            error = case
                when w.on_error = 'fail' and f.node_index < coalesce(w.failed_index, f.node_index + 1) then f.result
                when w.on_error = 'pause' and w.status = 'RUNNING' then f.result
                else w.error
            end,
            status = case when w.on_error = 'pause' then 'PAUSED' else w.status end,
            paused_at = case when w.on_error = 'pause' and w.status = 'RUNNING' then _now else w.paused_at end
        from failed f
        where w.id = any (array[f.workflow_id]) and w.status in ('RUNNING', 'PAUSED')
        returning w.id, w.status, f.was
    )
    select array_agg(n.id) into _paused from noted n where n.status = 'PAUSED' and n.was = 'RUNNING';
    if _paused is not null then
        perform {schema}.pause_with_descendants(_paused, _now);
    end if;
end $$;

-- Workflows that have just become PAUSED: their running descendants do too, level by level (W-72), and what waits for a
-- worker is parked (W-73). A claim in flight is waited for: what it started counts as executing (W-42).
create function {schema}.pause_with_descendants(_paused uuid[], _now timestamptz) returns void
language plpgsql as $$
declare
    _level uuid[] := _paused;
begin
    loop
        with below as (
            update {schema}.workflows w
            set status = 'PAUSED', paused_at = _now
            where w.parent_workflow_id = any (_level) and w.status = 'RUNNING'
            returning w.id
        )
        select array_agg(b.id) into _level from below b;
        exit when _level is null;
        _paused := _paused || _level;
    end loop;
    update {schema}.tasks t
    set status = 'PENDING', parked = true, worker_id = null, claimed_at = null, worker_hostname = null,
        worker_pid = null, worker_process_name = null
    where t.workflow_id = any (_paused) and t.status in ('PENDING', 'CLAIMED') and not t.parked;
    perform {schema}.announce_workflows(_paused);
end $$;

-- Those who wait for these workflows are told (W-47).
create function {schema}.announce_workflows(_ids uuid[]) returns void
language plpgsql as $$
begin
    perform pg_notify({schema}.channel('workflow_done'), w.id::text)
    from {schema}.workflows w where w.id = any (_ids) and w.awaited;
end $$;

-- The ends of some nodes reach those that wait for them: counters go down, and what is decided by that is READY (ENQUEUED
-- if nothing has to be prepared) or SKIPPED. Under PAUSED only the counters change (W-74).
create function {schema}.count_down(
    _ended {schema}.node_end[], _now timestamptz, out skipped {schema}.node_end[], out begun {schema}.node_ref[])
language plpgsql as $$
begin
    with hit as (
        select e.workflow_id, d.to_index, count(*)::integer as n,
            count(*) filter (where e.status = 'COMPLETED')::integer as ok,
            count(*) filter (where d.gate)::integer as gates
        from unnest(_ended) e
        cross join lateral (
            select x.to_index, x.gate from {schema}.workflow_edges x
            where x.workflow_id = e.workflow_id and x.from_index = e.node_index
            offset 0
        ) d
        group by e.workflow_id, d.to_index
    ), told as materialized (                       -- else the outcome would be computed once for each use
        select h.*, case when n.status = 'PENDING' and w.status = 'RUNNING' then {schema}.join_outcome(
            n.join_kind, n.min_success, n.allow_failed_deps, n.open_deps - h.n, n.ok_deps + h.ok,
            n.bad_deps + h.n - h.ok, n.open_gates - h.gates) end as outcome
        from hit h
        cross join lateral (
            select n.status, n.join_kind, n.min_success, n.allow_failed_deps, n.open_deps, n.ok_deps, n.bad_deps,
                n.open_gates
            from {schema}.workflow_nodes n
            where n.workflow_id = h.workflow_id and n.node_index = h.to_index
            offset 0
        ) n
        cross join lateral (
            select w.status from {schema}.workflows w
            where w.id = h.workflow_id and w.status in ('RUNNING', 'PAUSED')
            offset 0
        ) w
    ), counted as (
        update {schema}.workflow_nodes n
        set open_deps = n.open_deps - t.n, ok_deps = n.ok_deps + t.ok, bad_deps = n.bad_deps + t.n - t.ok,
            open_gates = n.open_gates - t.gates,
            status = case t.outcome
                when 'READY' then {schema}.ready_status(n.kind, n.conditions)
                when 'SKIPPED' then 'SKIPPED'
                else n.status
            end,
            task_id = case when t.outcome = 'READY' and {schema}.ready_status(n.kind, n.conditions) = 'ENQUEUED'
                then {schema}.new_task_id() else n.task_id end,
            completed_at = case when t.outcome = 'SKIPPED' then _now else n.completed_at end
        from told t
        where n.workflow_id = any (array[t.workflow_id]) and n.node_index = t.to_index
        returning n.workflow_id, n.node_index, n.status, t.outcome
    )
    select
        array_agg(row(c.workflow_id, c.node_index, 'SKIPPED', null, null, null, null, false)::{schema}.node_end
            order by c.workflow_id, c.node_index) filter (where c.outcome = 'SKIPPED'),
        array_agg(row(c.workflow_id, c.node_index, c.status = 'READY')::{schema}.node_ref
            order by c.workflow_id, c.node_index) filter (where c.outcome = 'READY')
    into skipped, begun
    from counted c
    where c.outcome is not null;
end $$;

-- Nodes that have just become terminal: dependents follow, skips cascade, workflows without open nodes end. _uncounted:
-- those that the workflows' counters do not know yet; _workflows: which ones may be at their end. parents: the ends of
-- nodes whose child workflow has ended.
create function {schema}.settle(
    _ended {schema}.node_end[], _uncounted {schema}.node_end[], _workflows uuid[], _now timestamptz,
    out parents {schema}.node_end[], out begun {schema}.node_ref[])
language plpgsql as $$
declare
    _c record;
begin
    parents := '{}';
    begun := '{}';
    loop
        _c := {schema}.count_down(_ended, _now);
        begun := begun || _c.begun;
        exit when _c.skipped is null;
        _ended := _c.skipped;
        _uncounted := _uncounted || _ended;
    end loop;
    if cardinality(_uncounted) > 0 then
        with counted as (
            update {schema}.workflows w
            set open_nodes = w.open_nodes - c.n
            from (select e.workflow_id, count(*)::integer as n from unnest(_uncounted) e group by e.workflow_id) c
            where w.id = any (array[c.workflow_id])
            returning w.id, w.open_nodes
        )
        select _workflows || array_agg(c.id) into _workflows from counted c where c.open_nodes = 0;
    end if;
    if cardinality(_workflows) > 0 then
        parents := {schema}.end_workflows(_workflows, _now);
    end if;
end $$;

-- Nodes end, and so on upwards to the root. Returns the nodes that are to be enqueued.
create function {schema}.advance(_ends {schema}.node_end[], _now timestamptz) returns {schema}.node_ref[]
language plpgsql as $$
declare
    _begun {schema}.node_ref[] := '{}';
    _e record;
    _s record;
begin
    while coalesce(cardinality(_ends), 0) > 0 loop
        _e := {schema}.end_nodes(_ends, _now);
        exit when _e.ended is null;
        if _e.failed then
            perform {schema}.note_failures(_e.ended, _now);
        end if;
        _s := {schema}.settle(_e.ended, '{}', _e.over, _now);
        _ends := _s.parents;
        _begun := _begun || _s.begun;
    end loop;
    return _begun;
end $$;
