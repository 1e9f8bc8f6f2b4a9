-- What the task of a node is given besides its static arguments (W-52, W-55, W-56, K-34), put together when its row is
-- claimed. Stored JSON text is only concatenated, so it arrives byte for byte, and nothing in it can stop a claim.

-- Under which name the executor finds the type of a node's result.
create function {schema}.source_name(_kind text, _task_name text, _definition_key text) returns text
language sql immutable parallel safe as $$
    select case _kind when 'task' then _task_name else 'horsies.' || _kind || ':' || coalesce(_definition_key, _task_name) end
$$;

-- The results of earlier nodes for the parameters of a node, as members of a JSON object; null without any. A source that
-- has not ended (joins any and quorum) leaves its parameter to the default (W-53). What is damaged becomes a null, which no
-- executor takes for a result: it fails this node, and neither the claim nor whoever completes its sources (W-45).
create function {schema}.argument_members(_workflow uuid, _args_from jsonb) returns text
language plpgsql stable as $$
begin
    if jsonb_typeof(_args_from) <> 'object' then
        return '"args_from":null';
    end if;
    return (
        select string_agg(to_json(a.key) || ':' || case
            when s.node_index is null then 'null'
            else '{"__h_taskresult_envelope__":true,"source_task_name":' || to_json(s.name) || ',"inner":' || s.result || '}'
        end, ',')
        from jsonb_each_text(_args_from) as a (key, value)
        left join lateral (
            select n.node_index, n.status, {schema}.source_name(n.kind, n.task_name, n.definition_key) as name,
                case n.status when 'SKIPPED' then {schema}.skipped_envelope(n.node_index, n.node_id) else n.result end as result
            from {schema}.workflow_nodes n
            where n.workflow_id = _workflow
                and n.node_index = case when a.value ~ '^[0-9]{1,9}$' then a.value::integer end
            offset 0
        ) s on true
        where s.node_index is null or s.status in ('COMPLETED', 'FAILED', 'SKIPPED'));
end $$;

-- The workflow context of a node: those of _nodes that have ended.
create function {schema}.context_member(_workflow uuid, _index integer, _task_name text, _nodes integer[]) returns text
language plpgsql stable as $$
begin
    return (
        select '"__h_workflow_ctx__":{"workflow_id":"' || _workflow || '","task_index":' || _index
            || ',"task_name":' || to_json(_task_name)
            || ',"results":{' || coalesce(string_agg(to_json(s.node_id) || ':{"source_task_name":' || to_json(s.name)
                || ',"inner":' || s.result || '}', ','), '')
            || '},"summaries":{' || coalesce(string_agg(to_json(s.node_id) || ':' || s.sub_workflow_summary, ','), '')
            || '}}'
        from unnest(_nodes) as c (node_index)
        cross join lateral (
            select n.node_id, {schema}.source_name(n.kind, n.task_name, n.definition_key) as name, n.sub_workflow_summary,
                case n.status when 'SKIPPED' then {schema}.skipped_envelope(n.node_index, n.node_id) else n.result end as result
            from {schema}.workflow_nodes n
            where n.workflow_id = _workflow and n.node_index = c.node_index
                and n.status in ('COMPLETED', 'FAILED', 'SKIPPED')
            offset 0
        ) s);
end $$;

-- The arguments of a node's row at its claim.
create function {schema}.node_input(_workflow uuid, _index integer, _task_name text, _kwargs text) returns text
language plpgsql stable as $$
declare
    _args_from jsonb;
    _ctx_from integer[];
    _takes_meta boolean;
    _more text;
begin
    if _task_name = 'horsies.prepare' then
        return {schema}.step_input(_workflow, _index);
    end if;
    select n.args_from, n.ctx_from, n.takes_meta into _args_from, _ctx_from, _takes_meta
    from {schema}.workflow_nodes n where n.workflow_id = _workflow and n.node_index = _index;
    _more := concat_ws(',',
        case when _args_from <> '{}' then {schema}.argument_members(_workflow, _args_from) end,
        case when cardinality(_ctx_from) > 0 then {schema}.context_member(_workflow, _index, _task_name, _ctx_from) end,
        case when _takes_meta then '"__h_workflow_meta__":{"workflow_id":"' || _workflow || '","task_index":' || _index
            || ',"task_name":' || to_json(_task_name) || '}' end);
    return case
        when _more = '' then _kwargs
        when _kwargs is null or _kwargs = '{}' then '{' || _more || '}'
        else left(_kwargs, -1) || ',' || _more || '}'
    end;
end $$;

-- All that a prepare step has to know, as JSON text (W-57, W-63, W-84).
create function {schema}.step_input(_workflow uuid, _index integer) returns text
language plpgsql stable as $$
declare
    _n {schema}.workflow_nodes;
    _w {schema}.workflows;
begin
    select * into _n from {schema}.workflow_nodes n where n.workflow_id = _workflow and n.node_index = _index;
    select * into _w from {schema}.workflows w where w.id = _workflow;
    return '{"kind":' || to_json(_n.kind) || ',"node_id":' || to_json(_n.node_id)
        || ',"definition_key":' || coalesce(to_json(_w.definition_key)::text, 'null')
        || ',"conditions":' || to_json(_n.conditions) || ',"depth":' || _w.depth
        || ',"child_key":' || coalesce(to_json(_n.definition_key)::text, 'null')
        || ',"kwargs":' || coalesce(to_json(_n.kwargs)::text, 'null')
        || ',"results":{' || coalesce({schema}.argument_members(_workflow, _n.args_from), '') || '}'
        || case when _n.conditions then ',' || {schema}.context_member(
            _workflow, _index, _n.task_name, coalesce(_n.ctx_from, _n.waits_for)) else '' end
        || '}';
end $$;
