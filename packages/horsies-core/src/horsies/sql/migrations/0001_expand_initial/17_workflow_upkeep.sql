-- Workflows in recovery and upkeep.

-- The trees of the workflows that some tasks belong to, before anything else is locked (R-112); the tasks that may be
-- written now. A tree that somebody holds for longer than a second is left for the next pass: it holds up no other.
create function {schema}.hold_trees_of(_tasks uuid[]) returns uuid[]
language plpgsql set lock_timeout = '1s' as $$
declare
    _workflows uuid[] := array(
        select distinct t.workflow_id from {schema}.tasks t where t.id = any (_tasks) and t.is_workflow_task);
begin
    if cardinality(_workflows) = 0 then
        return _tasks;
    end if;
    begin
        perform {schema}.lock_trees(_workflows, true);
        return _tasks;
    exception when lock_not_available then
        _workflows := {schema}.lock_trees(_workflows, false);
    end;
    return array(
        select t.id from {schema}.tasks t
        where t.id = any (_tasks) and (not t.is_workflow_task or t.workflow_id = any (_workflows)));
end $$;

-- What names a worker that never got it, because the answer to its claim was lost, goes back (R-092).
create function {schema}.return_undispatched(_worker uuid, _kept uuid[]) returns integer
language plpgsql as $$
declare
    _ids uuid[];
    _generations bigint[];
begin
    perform {schema}.lock_trees(array(
        select distinct t.workflow_id from {schema}.tasks t
        where t.worker_id = _worker and t.status <> 'PENDING' and t.id <> all (_kept) and t.is_workflow_task), true);
    select array_agg(t.id), array_agg(t.claim_generation) into _ids, _generations
    from {schema}.tasks t
    where t.worker_id = _worker and t.status <> 'PENDING' and t.id <> all (_kept);
    return {schema}.hand_back(_worker, _ids, _generations, now());
end $$;

-- Tasks that no node waits for (R-111); there are none unless somebody has written to the tables by hand. Returns the number.
create function {schema}.cancel_orphans(_limit integer, _at timestamptz default null) returns integer
language plpgsql as $$
declare
    _now timestamptz := coalesce(_at, now());
    _ids uuid[];
begin
    if not {schema}.begin_step('orphans') then
        return 0;
    end if;
    _ids := array(
        select t.id
        from {schema}.tasks t
        where t.is_workflow_task and t.workflow_id is not null and t.status in ('PENDING', 'CLAIMED')
            and not exists (
                select
                from {schema}.workflow_nodes n
                join {schema}.workflows w on w.id = n.workflow_id
                where n.workflow_id = t.workflow_id and n.node_index = t.node_index
                    and w.status in ('RUNNING', 'PAUSED')
                    and (n.status = 'ENQUEUED' and n.task_id = t.id
                        or n.status = 'READY' and t.task_name = 'horsies.prepare'))
        order by t.id
        limit _limit
        for update skip locked);
    perform {schema}.ensure_history_for(_ids, _now);
    perform {schema}.cancel_rows(_ids, 'the audit of workflow tasks: no node waits for it', _now);
    return cardinality(_ids);
end $$;

-- Workflows that ended long ago, each with its whole tree once nothing of it is open or executes (W-102, D-017). At most
-- _limit rows and a tree. One row of the answer for each row deleted.
create function {schema}.clean_workflows(_keep interval, _limit integer, _at timestamptz default null)
returns setof integer
language plpgsql as $$
declare
    _root uuid;
    _tree uuid[];
    _deleted integer := 0;
    _count integer;
begin
    if not {schema}.begin_step('workflows') then
        return;
    end if;
    for _root in
        select w.id from {schema}.workflows w
        where w.parent_workflow_id is null and w.completed_at < coalesce(_at, now()) - _keep
        order by w.completed_at
        limit _limit
        for update skip locked
    loop
        exit when _deleted >= _limit;
        _tree := array(
            select w.id from {schema}.workflows w where w.root_id = _root and w.parent_workflow_id is not null) || _root;
        continue when exists (select from {schema}.tasks t where t.workflow_id = any (_tree))
            or exists (select from {schema}.workflows w where w.id = any (_tree) and w.completed_at is null);
        delete from {schema}.workflow_edges e where e.workflow_id = any (_tree);
        get diagnostics _count = row_count;
        _deleted := _deleted + _count;
        delete from {schema}.workflow_nodes n where n.workflow_id = any (_tree);
        get diagnostics _count = row_count;
        _deleted := _deleted + _count;
        delete from {schema}.workflows w where w.id = any (_tree);
        get diagnostics _count = row_count;
        _deleted := _deleted + _count;
    end loop;
    return query select generate_series(1, _deleted);
end $$;
