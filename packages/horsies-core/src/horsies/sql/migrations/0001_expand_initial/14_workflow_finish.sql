-- The ends of workflow tasks: task, node, successors, workflow, parents, all in the transaction that ends the task (W-43).

-- Whether a workflow is in one of these states.
create function {schema}.is_workflow(_id uuid, _statuses text[]) returns boolean
language plpgsql stable as $$
begin
    return exists (select from {schema}.workflows w where w.id = _id and w.status = any (_statuses));
end $$;

-- The end of a node by that of its task, or of its prepare step. One that comes without a result gets one (W-93).
create function {schema}.node_end_of(
    _workflow uuid, _index integer, _task_name text, _status text, _result text, _error_code text, _started_at timestamptz)
returns {schema}.node_end
language plpgsql immutable as $$
declare
    _code text;
begin
    if _result is null and _status <> 'SKIPPED' then
        _code := case _status
            when 'CANCELLED' then 'TASK_CANCELLED' when 'COMPLETED' then 'RESULT_NOT_AVAILABLE' else 'WORKER_CRASHED' end;
        return row(_workflow, _index, 'FAILED',
            {schema}.error_envelope(_code, 'the task ended ' || _status || ' without a result', null), _code, _started_at, null,
            _task_name = 'horsies.prepare')::{schema}.node_end;
    end if;
    return row(_workflow, _index, case when _status in ('COMPLETED', 'SKIPPED') then _status else 'FAILED' end, _result,
        case when _status <> 'COMPLETED' then _error_code end, _started_at, null, _task_name = 'horsies.prepare')::{schema}.node_end;
end $$;

-- Nodes whose tasks or prepare steps have ended. Returns the task rows that this has brought.
create function {schema}.after_node_tasks(_ends {schema}.node_end[], _now timestamptz) returns uuid[]
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    _begun {schema}.node_ref[];
    _steps {schema}.node_end[];
    _e {schema}.node_end;
    _has_steps boolean := false;
begin
    if _ends is null then
        return '{}';
    end if;
    foreach _e in array _ends loop
        _has_steps := _has_steps or _e.is_step;
    end loop;
    if not _has_steps then
        return {schema}.enqueue_nodes({schema}.advance(_ends, _now), _now);
    end if;
    _steps := array(select e from unnest(_ends) e where e.is_step);
    _begun := {schema}.advance(
        array(select e from unnest(_ends) e where not e.is_step) || {schema}.ends_by_steps(_steps), _now);
    return {schema}.enqueue_nodes(_begun || {schema}.begin_prepared(_steps, _now), _now);
end $$;

-- Nodes that end by what their step has found: skipped by a condition, or the step failed (W-59, W-60, W-62). The result
-- of a step counts only while its workflow runs (W-74).
create function {schema}.ends_by_steps(_steps {schema}.node_end[]) returns {schema}.node_end[]
language plpgsql as $$
begin
    return array(
        select row(
            s.workflow_id, s.node_index, case when s.status = 'COMPLETED' then 'SKIPPED' else 'FAILED' end,
            case when s.status <> 'COMPLETED' then s.result end, case when s.status <> 'COMPLETED' then s.error_code end,
            null, null, false)::{schema}.node_end
        from unnest(_steps) s
        cross join lateral (
            select from {schema}.workflows w where w.id = s.workflow_id and w.status = 'RUNNING' offset 0
        ) w
        where s.status <> 'COMPLETED' or s.result::json ->> 'decision' = 'skip');
end $$;

-- Nodes that may begin after their step: a task is enqueued, a child workflow is made (W-84).
create function {schema}.begin_prepared(_steps {schema}.node_end[], _now timestamptz) returns {schema}.node_ref[]
language plpgsql as $$
declare
    _s record;
    _child uuid;
    _begun {schema}.node_ref[] := '{}';
    _roots {schema}.node_ref[];
begin
    for _s in
        select s.workflow_id, s.node_index, s.result::json as result, w.root_id, w.depth
        from unnest(_steps) s
        cross join lateral (
            select * from {schema}.workflows w where w.id = s.workflow_id and w.status = 'RUNNING' offset 0
        ) w
        cross join lateral (
            select from {schema}.workflow_nodes n
            where n.workflow_id = s.workflow_id and n.node_index = s.node_index and n.status = 'READY'
            offset 0
        ) n
        where s.status = 'COMPLETED' and s.result::json ->> 'decision' <> 'skip'
        order by s.workflow_id, s.node_index
    loop
        if _s.result ->> 'decision' = 'run' then
            update {schema}.workflow_nodes n
            set status = 'ENQUEUED', task_id = {schema}.new_task_id()
            where n.workflow_id = _s.workflow_id and n.node_index = _s.node_index;
            _begun := _begun || row(_s.workflow_id, _s.node_index, false)::{schema}.node_ref;
        else
            _child := {schema}.new_task_id();
            select i.begun into _roots
            from {schema}.insert_workflow(
                _child, _s.result -> 'child', _s.root_id, _s.workflow_id, _s.node_index, _s.depth + 1, _now, _now) i;
            update {schema}.workflow_nodes n
            set status = 'RUNNING', started_at = _now, sub_workflow_id = _child
            where n.workflow_id = _s.workflow_id and n.node_index = _s.node_index;
            _begun := _begun || _roots;
        end if;
    end loop;
    return _begun;
end $$;

-- A worker's ends and returns of workflow tasks. Trees that somebody else is at are left alone unless _wait is given: their
-- tasks come back as 'busy' (W-41). _workflows: all that the ends and returns belong to. made: task rows this has brought.
create function {schema}.finish_nodes(
    _worker uuid, _workflows uuid[], _ends json, _backs json, _wait boolean, _now timestamptz,
    out answers {schema}.cycle_row[], out made uuid[])
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    _locked uuid[] := {schema}.lock_trees(_workflows, _wait);
    _ids uuid[];
    _generations bigint[];
    _e record;
begin
    answers := '{}';
    made := '{}';
    if cardinality(_locked) < cardinality(_workflows) then
        answers := array(
            select {schema}.task_answer('busy', b.id)
            from (
                select * from json_to_recordset(_ends) as e (id uuid, workflow_id uuid)
                union all
                select * from json_to_recordset(_backs) as r (id uuid, workflow_id uuid)
            ) b
            where b.workflow_id <> all (_locked));
        select json_agg(e.value) into _ends
        from json_array_elements(_ends) as e (value) where (e.value ->> 'workflow_id')::uuid = any (_locked);
    end if;
    if _ends is not null then
        _e := {schema}.end_tasks(_worker, _ends, _now);
        if _e.awaited is not null or _e.keyed is not null then
            perform {schema}.after_end(_e.awaited, _e.keyed, _now);
        end if;
        made := {schema}.after_node_tasks(_e.nodes, _now);
        if coalesce(cardinality(_e.done), 0) < json_array_length(_ends) then
            answers := answers || array(
                select {schema}.task_answer(
                    case when e.id = any (coalesce(_e.retried, '{}')) then 'retried' else 'lost' end, e.id)
                from json_to_recordset(_ends) as e (id uuid) where e.id <> all (coalesce(_e.done, '{}')));
        end if;
    end if;
    if _backs is not null then
        select array_agg(r.id), array_agg(r.generation) into _ids, _generations
        from json_to_recordset(_backs) as r (id uuid, workflow_id uuid, generation bigint)
        where r.workflow_id = any (_locked);
        perform {schema}.hand_back(_worker, _ids, _generations, _now);
    end if;
end $$;

-- What finish_nodes left as busy, written by a statement that waits for the trees, on the worker's second connection. Not
-- for longer than a second: the worker's heartbeat goes by the same connection, and the other ends of the batch wait too.
create function {schema}.finish_busy(
    _worker uuid, _workflows uuid[], _ends json, _backs json, _at timestamptz default null)
returns setof {schema}.cycle_row
language plpgsql set lock_timeout = '1s' as $$
declare
    _f record;
begin
    select * into _f from {schema}.finish_nodes(_worker, _workflows, _ends, _backs, true, coalesce(_at, now()));
    perform {schema}.wake_queues(_f.made);
    return query select * from unnest(_f.answers);
end $$;
