-- Rows that a worker holds CLAIMED beyond its free places (R-054), when a place frees.

-- CLAIMED -> RUNNING for many at once (R-071). _starts: objects of id, generation, place. The answer names what is started
-- now and what has met its deadline (T-64); what it does not name is not this worker's to start: of a paused queue, which
-- goes back here (R-061), or lost to somebody else. A start that was answered to nobody may be asked for again.
create function {schema}.start_held(_worker uuid, _starts json, _pids integer[], _names text[], _now timestamptz)
returns setof {schema}.cycle_row
language plpgsql as $$
declare
    _paused text[] := array(select q.name from {schema}.queues q where q.paused);
    _ids uuid[];
    _generations bigint[];
begin
    if cardinality(_paused) > 0 then
        select array_agg(t.id), array_agg(t.claim_generation) into _ids, _generations
        from json_to_recordset(_starts) as s (id uuid, generation bigint)
        join {schema}.tasks t on t.id = any (array[s.id]) and t.claim_generation = s.generation
        where t.worker_id = _worker and t.status = 'CLAIMED' and t.queue_name = any (_paused);
        perform {schema}.hand_back(_worker, _ids, _generations, _now);
    end if;
    return query
    with moved as (
        update {schema}.tasks t
        set status = case when t.good_until <= _now then t.status else 'RUNNING' end,
            started_at = case when t.good_until <= _now then t.started_at else _now end,
            worker_pid = _pids[abs(s.place)],
            worker_process_name = _names[abs(s.place)]
        from json_to_recordset(_starts) as s (id uuid, generation bigint, place integer)
        where t.id = any (array[s.id]) and t.worker_id = _worker and t.claim_generation = s.generation
        returning t.id, t.status
    )
    select ({schema}.task_answer(case when m.status = 'RUNNING' then 'started' else 'expired' end, m.id)).*
    from moved m;
end $$;
