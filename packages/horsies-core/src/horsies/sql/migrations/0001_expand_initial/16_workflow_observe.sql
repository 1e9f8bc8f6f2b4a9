-- Observing workflows.

-- The nodes as they are: that one runs, and since when, is told by its task's row (W-41).
create view {schema}.node_states as
select n.workflow_id, n.node_index, n.node_id, n.kind, n.task_name, n.definition_key, n.waits_for, n.join_kind, n.min_success,
    n.allow_failed_deps, n.conditions, n.result, n.error_code, n.sub_workflow_id, n.sub_workflow_summary, n.completed_at,
    case when n.status = 'ENQUEUED' and (t.status = 'RUNNING' or t.retry_count > 0) then 'RUNNING' else n.status end
        as status,
    coalesce(n.started_at, t.started_at, (t.attempts -> -1 ->> 'started_at')::timestamptz) as started_at
from {schema}.workflow_nodes n
left join {schema}.tasks t on t.id = n.task_id and n.status = 'ENQUEUED';

create type {schema}.stored_workflow as (
    status text, name text, output_source text, result text, error text);

-- One workflow. With _mark its end is announced (D-047), as in read_result. output_source: as source_name; null where there
-- is no output node.
create function {schema}.read_workflow(_id uuid, _mark boolean) returns setof {schema}.stored_workflow
language plpgsql as $$
begin
    if _mark then
        perform set_config('synchronous_commit', 'off', true);
        update {schema}.workflows w set awaited = true where w.id = _id and not w.awaited;
    end if;
    return query
    select w.status::text, w.name, {schema}.source_name(n.kind, n.task_name, n.definition_key), w.result, w.error
    from {schema}.workflows w
    left join {schema}.workflow_nodes n on n.workflow_id = w.id and n.node_index = w.output_index
    where w.id = _id;
end $$;
