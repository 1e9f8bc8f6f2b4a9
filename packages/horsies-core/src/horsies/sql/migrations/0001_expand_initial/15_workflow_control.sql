-- Pause, resume, cancel and expiry of workflows, each with what is below them in one transaction (05 §13). They wait for the
-- tree's lock, run with the owner's rights, and nobody may call them unless he was given the right (D-073, D-077).

-- A workflow under the lock of its tree; null if there is none.
create function {schema}.hold_workflow(_id uuid) returns {schema}.workflows
language plpgsql as $$
declare
    _w {schema}.workflows;
begin
    perform {schema}.lock_trees(array[_id], true);
    select * into _w from {schema}.workflows w where w.id = _id;
    return _w;
end $$;

-- A workflow and those below it that have one of these states, level by level through each other.
create function {schema}.with_descendants(_id uuid, _statuses text[]) returns uuid[]
language plpgsql as $$
declare
    _all uuid[] := array[_id];
    _level uuid[] := array[_id];
begin
    loop
        _level := array(
            select w.id from {schema}.workflows w
            where w.parent_workflow_id = any (_level) and w.status = any (_statuses)
            order by w.id);
        exit when cardinality(_level) = 0;
        _all := _all || _level;
    end loop;
    return _all;
end $$;

-- RUNNING becomes PAUSED, and so does all that runs below (W-71, W-72). known: there is such a workflow.
create function {schema}.pause_workflow(
    _id uuid, _at timestamptz default null, out known boolean, out changed boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    _now timestamptz := coalesce(_at, now());
    _w {schema}.workflows := {schema}.hold_workflow(_id);
begin
    known := _w.id is not null;
    changed := coalesce(_w.status = 'RUNNING', false);
    if changed then
        update {schema}.workflows w set status = 'PAUSED', paused_at = _now where w.id = _id;
        perform {schema}.pause_with_descendants(array[_id], _now);
    end if;
end $$;

-- PAUSED becomes RUNNING, and so does what is PAUSED below (W-75): what was parked can be claimed again, what was decided
-- meanwhile goes on, children before their parents.
create function {schema}.resume_workflow(
    _id uuid, _at timestamptz default null, out known boolean, out changed boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    _now timestamptz := coalesce(_at, now());
    _w {schema}.workflows := {schema}.hold_workflow(_id);
    _all uuid[];
    _level uuid[];
    _begun {schema}.node_ref[] := '{}';
    _unparked uuid[];
begin
    known := _w.id is not null;
    changed := coalesce(_w.status = 'PAUSED', false);
    if not changed then
        return;
    end if;
    _all := {schema}.with_descendants(_id, '{PAUSED}');
    update {schema}.workflows w set status = 'RUNNING', paused_at = null where w.id = any (_all);
    for _level in
        select array_agg(w.id order by w.id) from {schema}.workflows w where w.id = any (_all)
        group by w.depth order by w.depth desc
    loop
        _begun := _begun || {schema}.reconsider(_level, _now);
    end loop;
    -- Once each: a node that became READY by the end of a child workflow is found READY again at its own level.
    _begun := array(
        select row(b.workflow_id, b.node_index, b.is_step)::{schema}.node_ref
        from unnest(_begun) with ordinality as b (workflow_id, node_index, is_step, nth)
        group by b.workflow_id, b.node_index, b.is_step
        order by min(b.nth));
    -- Not those of a workflow that has been paused again by what it found.
    with unparked as (
        update {schema}.tasks t
        set parked = false
        from {schema}.workflows w
        where t.workflow_id = any (_all) and t.parked and w.id = any (array[t.workflow_id]) and w.status = 'RUNNING'
        returning t.id
    )
    select array_agg(u.id) into _unparked from unparked u;
    perform {schema}.wake_queues({schema}.enqueue_nodes(_begun, _now) || coalesce(_unparked, '{}'));
end $$;

-- Look again at what stood still in these workflows while they were not running. Returns the nodes to be enqueued.
create function {schema}.reconsider(_workflows uuid[], _now timestamptz) returns {schema}.node_ref[]
language plpgsql as $$
declare
    _skipped {schema}.node_end[];
    _begun {schema}.node_ref[];
    _s record;
begin
    with told as (
        select n.workflow_id, n.node_index, case
            when n.status = 'READY' then 'READY'
            else {schema}.join_outcome(n.join_kind, n.min_success, n.allow_failed_deps, n.open_deps, n.ok_deps, n.bad_deps,
                n.open_gates) end as outcome
        from {schema}.workflow_nodes n
        join {schema}.workflows w on w.id = any (array[n.workflow_id]) and w.status = 'RUNNING'
        where n.workflow_id = any (_workflows) and n.status in ('PENDING', 'READY')
            -- a READY node whose step is still there waits for it
            and not exists (
                select from {schema}.tasks t where t.workflow_id = n.workflow_id and t.node_index = n.node_index)
    ), moved as (
        update {schema}.workflow_nodes n
        set status = case t.outcome when 'READY' then {schema}.ready_status(n.kind, n.conditions) else 'SKIPPED' end,
            task_id = case when t.outcome = 'READY' and {schema}.ready_status(n.kind, n.conditions) = 'ENQUEUED'
                then {schema}.new_task_id() end,
            completed_at = case when t.outcome = 'SKIPPED' then _now end
        from told t
        where t.outcome is not null
            and n.workflow_id = any (array[t.workflow_id]) and n.node_index = t.node_index
        returning n.workflow_id, n.node_index, n.status, t.outcome
    )
    select
        coalesce(array_agg(row(m.workflow_id, m.node_index, 'SKIPPED', null, null, null, null, false)::{schema}.node_end
            order by m.workflow_id, m.node_index) filter (where m.outcome = 'SKIPPED'), '{}'),
        coalesce(array_agg(row(m.workflow_id, m.node_index, m.status = 'READY')::{schema}.node_ref
            order by m.workflow_id, m.node_index) filter (where m.outcome = 'READY'), '{}')
    into _skipped, _begun
    from moved m;
    _s := {schema}.settle(_skipped, _skipped, _workflows, _now);
    return _begun || _s.begun || {schema}.advance(_s.parents, _now);
end $$;

-- A workflow that has not ended becomes CANCELLED, at once and with all that has not ended below it (W-77 to W-81). known:
-- there is such a workflow; changed: it had not ended.
create function {schema}.cancel_workflow(
    _id uuid, _at timestamptz default null, out known boolean, out changed boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _now timestamptz := coalesce(_at, now());
    _w {schema}.workflows := {schema}.hold_workflow(_id);
begin
    known := _w.id is not null;
    changed := coalesce(_w.status in ('PENDING', 'RUNNING', 'PAUSED'), false);
    if changed then
        perform {schema}.stop_workflow(_id, 'CANCELLED', null, _now);
    end if;
end $$;

-- A workflow that has been PAUSED for longer than _policy becomes EXPIRED (W-83); false if it is not any more.
create function {schema}.expire_workflow(_id uuid, _policy interval, _at timestamptz default null) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _now timestamptz := coalesce(_at, now());
    _w {schema}.workflows := {schema}.hold_workflow(_id);
    _age bigint := floor(extract(epoch from _now - _w.paused_at));
begin
    if _w.status is distinct from 'PAUSED' or _w.paused_at > _now - _policy then
        return false;
    end if;
    perform {schema}.stop_workflow(_id, 'EXPIRED', {schema}.error_envelope('WORKFLOW_EXPIRED',
        'workflow ' || _w.name || ' was paused for ' || _age || ' s; paused_workflow_auto_cancel_after is '
            || extract(epoch from _policy) || ' s',
        '{"policy":"paused_workflow_auto_cancel_after","older_than_seconds":' || extract(epoch from _policy) || '}'), _now);
    return true;
end $$;

-- The common part: _status is CANCELLED or EXPIRED. What executes is not interrupted; nothing else is left open (W-78).
create function {schema}.stop_workflow(_id uuid, _status text, _error text, _now timestamptz) returns void
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    _all uuid[] := {schema}.with_descendants(_id, '{PENDING,RUNNING,PAUSED}');
    _waiting uuid[];
    _child uuid;
begin
    update {schema}.workflows w
    set status = _status, completed_at = _now, error = _error
    where w.id = any (_all);
    -- Waits for claims in flight: what they started executes (W-42).
    _waiting := array(
        select t.id from {schema}.tasks t
        where t.workflow_id = any (_all) and t.status in ('PENDING', 'CLAIMED')
        order by t.id
        for update);
    perform {schema}.ensure_history_for(_waiting, _now);
    perform {schema}.cancel_rows(_waiting, 'its workflow, which is ' || _status, _now);
    update {schema}.workflow_nodes n
    set status = 'SKIPPED', completed_at = _now, task_id = null
    where n.workflow_id = any (_all) and n.status not in ('COMPLETED', 'FAILED', 'SKIPPED')
        and (n.status <> 'RUNNING' or n.sub_workflow_id is null)
        and not exists (
            select from {schema}.tasks t
            where t.workflow_id = n.workflow_id and t.node_index = n.node_index and t.task_name <> 'horsies.prepare');
    update {schema}.workflows w
    set open_nodes = (
        select count(*) from {schema}.workflow_nodes n
        where n.workflow_id = w.id and n.status not in ('COMPLETED', 'FAILED', 'SKIPPED'))
    where w.id = any (_all);
    -- The nodes of those that were stopped end with them, the lowest first (W-80); that of the topmost goes on upwards.
    for _child in
        select w.id from {schema}.workflows w where w.id = any (_all) and w.parent_workflow_id is not null
        order by w.depth desc, w.id
    loop
        perform {schema}.wake_queues({schema}.enqueue_nodes(
            {schema}.advance(array[{schema}.child_end(_child)], _now), _now));
    end loop;
    perform {schema}.announce_workflows(_all);
end $$;

revoke all on function
    {schema}.pause_workflow, {schema}.resume_workflow, {schema}.cancel_workflow, {schema}.expire_workflow from public;
