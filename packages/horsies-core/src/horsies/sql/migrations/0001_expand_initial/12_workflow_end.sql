-- The end of a workflow: success or failure, its output, and what its parent's node is told.

-- The envelope of an error that the engine itself makes; _more: further fields as JSON text, beginning with a comma.
create function {schema}.error_envelope(_code text, _message text, _data text, _more text default '') returns text
language sql immutable parallel safe as $$
    select '{"__h_task_result__":true,"ok":null,"err":{"error_code":{"__builtin_task_code__":"' || _code
        || '"},"message":' || to_json(_message) || ',"exception":null' || _more || ',"data":' || coalesce(_data, 'null')
        || '}}'
$$;

-- What stands for the result of a node that was skipped (W-52, W-70).
create function {schema}.skipped_envelope(_index integer, _node_id text) returns text
language sql immutable parallel safe as $$
    select {schema}.error_envelope('UPSTREAM_SKIPPED', 'node ' || _node_id || ' was skipped',
        '{"dependency_index":' || _index || '}')
$$;

-- The success value in an envelope, as its text; null for a failure. Not by JSON functions, which refuse U+0000.
create function {schema}.ok_text(_envelope text) returns text
language sql immutable parallel safe as $$
    select case when _envelope like '{"\_\_h\_task\_result\_\_":true,"ok":%,"err":null}'
        then substr(_envelope, 32, length(_envelope) - 43) end
$$;

-- The message in the envelope of a failure; null if there is none or it cannot be read.
create function {schema}.error_message(_envelope text) returns text
language plpgsql immutable parallel safe as $$
begin
    return replace(_envelope, '\u0000', '\ufffd')::json -> 'err' ->> 'message';
exception when data_exception or statement_too_complex then
    return null;
end $$;

-- Whether a workflow whose nodes have all ended has succeeded (W-68).
create function {schema}.has_succeeded(_id uuid) returns boolean
language plpgsql stable as $$
declare
    _w {schema}.workflows;
begin
    select * into _w from {schema}.workflows w where w.id = _id;
    if _w.success_policy is null then
        return _w.failed_index is null;
    end if;
    return exists (
        select from jsonb_array_elements(_w.success_policy) as c (required)
        where not exists (
            select from jsonb_array_elements_text(c.required) as r (node_index)
            join {schema}.workflow_nodes n on n.workflow_id = _id and n.node_index = r.node_index::integer
            where n.status <> 'COMPLETED'));
end $$;

-- The error of a FAILED workflow (W-69).
create function {schema}.failure_of(_id uuid) returns text
language plpgsql stable as $$
declare
    _w {schema}.workflows;
    _index integer;
begin
    select * into _w from {schema}.workflows w where w.id = _id;
    _index := _w.failed_index;
    if _w.success_policy is not null then
        select min(n.node_index) into _index
        from jsonb_array_elements(_w.success_policy) as c (required)
        cross join jsonb_array_elements_text(c.required) as r (node_index)
        join {schema}.workflow_nodes n on n.workflow_id = _id and n.node_index = r.node_index::integer
        where n.status = 'FAILED';
        if _index is null then
            return {schema}.error_envelope('WORKFLOW_SUCCESS_CASE_NOT_MET',
                'no success case of workflow ' || _w.name || ' was met, and none of the required nodes failed', null);
        end if;
    end if;
    return (select n.result from {schema}.workflow_nodes n where n.workflow_id = _id and n.node_index = _index);
end $$;

-- The result of the output node; null where there is none: then the results of the last nodes are read when asked for.
create function {schema}.output_of(_id uuid, _index integer) returns text
language plpgsql stable as $$
begin
    return (
        select case when n.status = 'SKIPPED' then {schema}.skipped_envelope(n.node_index, n.node_id) else n.result end
        from {schema}.workflow_nodes n where n.workflow_id = _id and n.node_index = _index);
end $$;

-- Those of these workflows that run and have no open node end COMPLETED or FAILED. Returns the ends of their parents' nodes.
create function {schema}.end_workflows(_ids uuid[], _now timestamptz) returns {schema}.node_end[]
language plpgsql as $$
declare
    _children uuid[];
    _awaited uuid[];
begin
    with ended as (
        update {schema}.workflows w
        set status = case when s.success then 'COMPLETED' else 'FAILED' end,
            result = case when s.success then {schema}.output_of(w.id, w.output_index) end,
            error = case when not s.success then {schema}.failure_of(w.id) end,
            completed_at = _now
        from unnest(_ids) as i (id)
        cross join lateral (select {schema}.has_succeeded(i.id) as success offset 0) s
        where w.id = any (array[i.id]) and w.status = 'RUNNING' and w.open_nodes = 0
        returning w.id, w.parent_workflow_id, w.awaited
    )
    select array_agg(e.id order by e.id) filter (where e.parent_workflow_id is not null),
        array_agg(e.id) filter (where e.awaited)
    into _children, _awaited
    from ended e;
    if _awaited is not null then
        perform {schema}.announce_workflows(_awaited);
    end if;
    if _children is null then
        return '{}';
    end if;
    return array(select {schema}.child_end(c.id) from unnest(_children) as c (id));
end $$;

-- How the node of a parent ends whose child workflow, _child, has ended (W-85 to W-87).
create function {schema}.child_end(_child uuid) returns {schema}.node_end
language plpgsql as $$
declare
    _w {schema}.workflows;
    _output text;
    _summary text;
    _end {schema}.node_end;
begin
    select * into _w from {schema}.workflows w where w.id = _child;
    if _w.status = 'COMPLETED' then
        _output := case when _w.output_index is null then 'null' else {schema}.ok_text(_w.result) end;
    end if;
    select '{"status":"' || _w.status || '","output":' || coalesce(_output, 'null') || ',"total_tasks":' || count(*)
        || ',"completed_tasks":' || count(*) filter (where n.status = 'COMPLETED')
        || ',"failed_tasks":' || count(*) filter (where n.status = 'FAILED')
        || ',"skipped_tasks":' || count(*) filter (where n.status = 'SKIPPED')
        || ',"error_summary":' || coalesce(
            to_json(case when _output is null then {schema}.error_message(coalesce(_w.error, _w.result)) end)::text, 'null')
        || '}'
    into _summary
    from {schema}.workflow_nodes n where n.workflow_id = _child;
    _end.workflow_id := _w.parent_workflow_id;
    _end.node_index := _w.parent_node_index;
    _end.summary := _summary;
    _end.is_step := false;
    if _output is not null then
        _end.status := 'COMPLETED';
        _end.result := '{"__h_task_result__":true,"ok":' || _output || ',"err":null}';
    else
        _end.status := 'FAILED';
        _end.error_code := 'SUBWORKFLOW_FAILED';
        _end.result := {schema}.error_envelope('SUBWORKFLOW_FAILED',
            'child workflow ' || _w.name || case
                when _w.status = 'COMPLETED' then ' ended COMPLETED without a value' else ' ended ' || _w.status end,
            null, ',"sub_workflow_id":"' || _child || '","sub_workflow_summary":' || _summary);
    end if;
    return _end;
end $$;
