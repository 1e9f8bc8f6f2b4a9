-- Claiming: PENDING -> RUNNING in one statement, in the order queue priority, task priority, due time, id (R-050).

create type {schema}.cycle_row as (
    -- lane, first, head, claimed, prefetched, started, expired, retried, lost, busy, due, again, walk, mark
    tag text,
    id text, generation bigint, task_name text, queue_name text, executor text, kwargs text, options text,
    timeout_ms integer, retry_count smallint,
    max_retries smallint,           -- null: the registration decides about retries and time limit
    seconds double precision,
    workflow_id text,
    trace_context text
);

-- A part of a lane (the rows of a queue and executor) that a claim looks into: from a priority, due time (in seconds since
-- 1970) and id on, up to a priority. A worker leaves out what it has emptied itself (D-029).
create type {schema}.claim_span as (
    queue text, executor text, low smallint, since double precision, id uuid, high smallint
);

-- The rows of some lanes (queue and executor, pairwise) at one priority, from the one due at _from with id _from_ids on,
-- taken for _worker. A place is the number of the executor that is to run the row, negative where the row waits there behind
-- another (read-ahead), 0 where it is to be held for later (prefetch, R-052). Called by cycle only, whose planner settings
-- pin the walk along the claim index.
create function {schema}.claim_rows(
    _worker uuid, _hostname text, _queues text[], _executors text[], _rooms integer[], _from timestamptz[], _from_ids uuid[],
    _priority smallint, _limit integer, _places integer[], _offset integer, _pids integer[], _names text[], _now timestamptz)
returns {schema}.cycle_row[]
language plpgsql as $$
declare
    _batch {schema}.cycle_row[];
    -- Where the rows are: nobody can move them once they are locked, and a look by id would cost a walk down an index.
    _rows tid[];
begin
    if cardinality(_queues) = 1 then
        _rows := array(
            select t.ctid from {schema}.tasks t
            where t.queue_name = _queues[1] and t.executor = _executors[1] and t.priority = _priority
                and t.status = 'PENDING' and not t.parked and t.enqueued_at <= _now
                and (t.enqueued_at, t.id) >= (_from[1], _from_ids[1])
            order by t.enqueued_at, t.id
            limit least(_limit, _rooms[1])
            for no key update skip locked);
    else
        -- Several lanes of equal rank are merged: their candidates are found first, then locked. What a rival took in
        -- between is missing, and the caller comes back for more.
        _rows := array(
            select t.ctid from {schema}.tasks t
            where t.status = 'PENDING' and not t.parked and t.ctid = any (array(
                select m.place from (
                    select c.place, c.id, c.enqueued_at, l.room,
                        row_number() over (partition by l.queue order by c.enqueued_at, c.id) as nth
                    from unnest(_queues, _executors, _rooms, _from, _from_ids) as l (queue, executor, room, since, id)
                    cross join lateral (
                        select t.ctid as place, t.id, t.enqueued_at from {schema}.tasks t
                        where t.queue_name = l.queue and t.executor = l.executor and t.priority = _priority
                            and t.status = 'PENDING' and not t.parked
                            and t.enqueued_at <= _now and (t.enqueued_at, t.id) >= (l.since, l.id)
                        order by t.enqueued_at, t.id
                        limit least(_limit, l.room)
                    ) c
                ) m
                where m.nth <= m.room
                order by m.enqueued_at, m.id
                limit _limit))
            order by t.enqueued_at, t.id
            for no key update skip locked);
    end if;
    if cardinality(_rows) = 0 then
        return '{}';
    end if;
    with moved as (
        update {schema}.tasks t
        set status = case when t.good_until <= _now or _places[_offset + p.nth] = 0 then 'CLAIMED' else 'RUNNING' end,
            started_at = case when t.good_until <= _now or _places[_offset + p.nth] = 0 then null else _now end,
            claimed_at = _now,
            worker_id = _worker,
            claim_generation = t.claim_generation + 1,
            worker_hostname = _hostname,
            worker_pid = _pids[abs(_places[_offset + p.nth])],
            worker_process_name = _names[abs(_places[_offset + p.nth])]
        from unnest(_rows) with ordinality as p (place, nth)
        where t.ctid = p.place
        returning p.nth, t.status, t.good_until, t.id, t.claim_generation, t.task_name, t.queue_name,
            t.executor, t.is_workflow_task, t.node_index, t.kwargs, t.options, t.timeout_ms, t.retry_count,
            t.max_retries, t.enqueued_at, t.workflow_id, t.trace_context
    )
    select array_agg(
        row(
            case when m.status = 'RUNNING' then 'claimed' when m.good_until <= _now then 'expired' else 'prefetched' end,
            m.id::text, m.claim_generation, m.task_name, m.queue_name, m.executor,
            case when m.is_workflow_task
                then {schema}.node_input(m.workflow_id, m.node_index, m.task_name, m.kwargs) else m.kwargs end,
            case when m.max_retries > 0 then m.options end, m.timeout_ms, m.retry_count,
            case when m.options is not null then m.max_retries end,
            extract(epoch from _now - m.enqueued_at)::double precision, m.workflow_id::text, m.trace_context
        )::{schema}.cycle_row
        order by m.nth)
    into _batch
    from moved m;
    return _batch;
end $$;

-- How many more rows each queue may run now (R-056, R-057); null: no limit. Takes the cap locks first; the counts are
-- a later statement, which sees what the previous holder of the lock committed (R-059).
create function {schema}.queue_rooms(_queues text[], _caps integer[], _cluster_cap integer, out rooms integer[], out cluster integer)
language plpgsql
as $$
declare
    _running jsonb;
    _total integer;
begin
    if _cluster_cap is null and array_position(_caps, null) is not null and cardinality(array_remove(_caps, null)) = 0 then
        rooms := _caps;
        return;
    end if;
    if _cluster_cap is not null then
        perform pg_advisory_xact_lock(hashtextextended({schema_literal} || ':cap', 0));
    else
        perform pg_advisory_xact_lock(k) from (
            select hashtextextended({schema_literal} || ':cap:' || c.queue, 0) as k
            from unnest(_queues, _caps) as c (queue, cap) where c.cap is not null order by 1) locks;
    end if;
    select coalesce(jsonb_object_agg(f.queue_name, f.n), '{}'), coalesce(sum(f.n) filter (where f.queue_name <> 'horsies.steps'), 0)
    into _running, _total
    from (select t.queue_name, count(*) as n from {schema}.tasks t where t.status <> 'PENDING' group by t.queue_name) f;
    cluster := case when _cluster_cap is not null then greatest(_cluster_cap - _total, 0) end;
    rooms := array(
        -- greatest() passes over nulls, and null is what stands for no cap
        select case when c.cap is not null then greatest(c.cap - coalesce((_running ->> c.queue)::integer, 0), 0) end
        from unnest(_queues, _caps) with ordinality as c (queue, cap, nth) order by c.nth);
end $$;

-- No room in paused queues (R-061). A statement of its own, after the cap locks: it sees a pause that was committed
-- while the locks were waited for.
create function {schema}.without_paused(_queues text[], _rooms integer[]) returns integer[]
language plpgsql as $$
declare
    _paused text[] := array(select q.name from {schema}.queues q where q.paused);
begin
    if cardinality(_paused) = 0 then
        return _rooms;
    end if;
    return array(
        select case when q.queue = any (_paused) then 0 else q.room end
        from unnest(_queues, _rooms) with ordinality as q (queue, room, nth) order by q.nth);
end $$;

-- What the claimed rows leave of each queue's room.
create function {schema}.rooms_after(_queues text[], _rooms integer[], _batch {schema}.cycle_row[]) returns integer[]
language sql immutable as $$
    select array_agg(q.room - coalesce(c.n, 0)::integer order by q.nth)
    from unnest(_queues, _rooms) with ordinality as q (queue, room, nth)
    left join (select b.queue_name, count(*) as n from unnest(_batch) b group by b.queue_name) c on c.queue_name = q.queue
$$;

-- One pass for one lane of executors. _places has an entry for each row wanted, free places first (see claim_rows); rows
-- of a queue under a cap are taken for free places only (CF-15).
-- Queues come by rank (their priority), then name; queues of one rank are merged. Present priorities are stepped over
-- one by one and only rows that are due are read, so what is delayed or parked in front costs nothing (D-020).
-- _rooms: how many rows each queue may still start, null without a cap. Returns what is left of it, how many rows were
-- taken, and where in the order the first of them stands.
-- _spans: the parts of lanes to look into; a lane without any is looked through from its beginning. A pass that fills all
-- places, or had to walk far, says where its last rows stand (mark): what comes before them is empty, or locked.
create function {schema}.claim_lane(
    _worker uuid, _hostname text, _queues text[], _ranks integer[], inout _rooms integer[], _executors text[],
    _places integer[], _pids integer[], _names text[], _spans {schema}.claim_span[], _now timestamptz,
    out _claimed {schema}.cycle_row[], out _count integer, out _first_rank integer, out _first_priority smallint)
language plpgsql as $$
declare
    _capped boolean := cardinality(array_remove(_rooms, null)) > 0;
    _wanted integer := cardinality(_places);
    _limit integer := _wanted;                      -- rows that may be taken at this point of the walk
    _free integer;
    _batch {schema}.cycle_row[];
    -- Where the walk has got to: in lanes of this rank this priority and due time, in lanes of later ranks the beginning.
    _at_rank integer := -2147483648;
    _at_priority smallint := 0;
    _at_time timestamptz := '-infinity';
    _taken boolean := false;                        -- whether rows of that rank and priority were claimed
    _rank integer;
    _priority smallint;
    _lane_queues text[];
    _lane_executors text[];
    _lane_rooms integer[];
    _lane_dues timestamptz[];
    _lane_ids uuid[];
    _first timestamptz;
    _due timestamptz;
    _again boolean := false;
    _first_id constant uuid := '00000000-0000-0000-0000-000000000000';
    _began timestamptz := clock_timestamp();
    _walked double precision;
begin
    _claimed := '{}';
    _count := 0;
    if _capped then
        _free := (select count(*) from unnest(_places) p where p > 0);
        _limit := case when _free > 0 then _free else _wanted end;
    end if;
    loop
        select array_agg(l.queue), array_agg(l.executor), array_agg(l.room), array_agg(l.due), array_agg(l.id), l.rank,
            l.priority, min(l.due)
        into _lane_queues, _lane_executors, _lane_rooms, _lane_dues, _lane_ids, _rank, _priority, _first
        from (
            select q.queue, q.rank, e.executor, coalesce(q.room, _wanted) as room, f.priority, f.due, f.id
            from unnest(_queues, _ranks, _rooms) as q (queue, rank, room)
            cross join unnest(_executors) as e (executor)
            left join unnest(_spans) as s on s.queue = q.queue and s.executor = e.executor
            cross join lateral (
                select coalesce(s.low, 0::smallint) as low, coalesce(to_timestamp(s.since), '-infinity') as since) b
            cross join lateral (select q.rank = _at_rank and (_at_priority, _at_time) > (b.low, b.since) as is_past) w
            cross join lateral (                    -- one index probe
                select t.priority, t.enqueued_at as due, t.id from {schema}.tasks t
                where t.queue_name = q.queue and t.executor = e.executor and t.status = 'PENDING' and not t.parked
                    and (t.priority, t.enqueued_at, t.id) >= (
                        case when w.is_past then _at_priority else b.low end,
                        case when w.is_past then _at_time else b.since end,
                        case when w.is_past then _first_id else coalesce(s.id, _first_id) end)
                    and t.priority <= coalesce(s.high, 32767::smallint)
                order by t.priority, t.enqueued_at, t.id
                limit 1) f
            where q.rank >= _at_rank and (q.room is null or q.room > 0 and _count < _free)
        ) l
        group by l.rank, l.priority
        order by l.rank, l.priority
        limit 1;
        if _walked is null then
            -- It takes microseconds, unless an old snapshot pins dead entries at the front of the index.
            _walked := extract(epoch from clock_timestamp() - _began);
        end if;
        exit when _rank is null;
        if _taken and _rank = _at_rank and _priority = _at_priority or _first > _now then
            -- What is left here is not due, or locked, or came just now.
            if _first > _now then
                _due := least(_due, _first);
            else
                _again := true;
            end if;
            _at_rank := _rank;
            _at_priority := _priority + 1;
            _at_time := '-infinity';
            _taken := false;
            continue;
        end if;
        _batch := {schema}.claim_rows(
            _worker, _hostname, _lane_queues, _lane_executors, _lane_rooms, _lane_dues, _lane_ids, _priority,
            _limit - _count, _places, _count, _pids, _names, _now);
        if _count = 0 and cardinality(_batch) > 0 then
            _first_rank := _rank;
            _first_priority := _priority;
        end if;
        _count := _count + cardinality(_batch);
        _claimed := _claimed || _batch;
        if _count >= _wanted or _walked > 0.002 then
            _claimed := _claimed || array(
                select row('mark', l.id::text, null, null, l.queue, l.executor, null, null, null, null, _priority,
                    extract(epoch from l.due)::double precision, null, null)::{schema}.cycle_row
                from unnest(_lane_queues, _lane_executors, _lane_dues, _lane_ids) as l (queue, executor, due, id));
        end if;
        if _capped then
            _rooms := {schema}.rooms_after(_queues, _rooms, _batch);
        end if;
        exit when _count >= _wanted;
        _at_rank := _rank;
        _at_priority := _priority;
        _at_time := _first;
        _taken := _count < _limit;
        if not _taken then
            _limit := _wanted;                      -- the free places are filled; queues without a cap go on from here
        end if;
    end loop;
    if _walked > 0.002 then
        _claimed := _claimed || row('walk', null, null, null, null, null, null, null, null, null, null, _walked, null, null)::{schema}.cycle_row;
    end if;
    if _again then
        _claimed := _claimed || row('again', null, null, null, null, null, null, null, null, null, null, 0, null, null)::{schema}.cycle_row;
    end if;
    if _due is not null then
        _claimed := _claimed || row('due', null, null, null, null, null, null, null, null, null, null,
            extract(epoch from _due - _now)::double precision, null, null)::{schema}.cycle_row;
    end if;
end $$;

-- The first row of a lane that is due now, for the choice of the lane that an idle executor goes to (R-032). Its place in
-- the order is given as queue rank (retry_count), priority (max_retries) and waiting time.
create function {schema}.lane_head(
    _queues text[], _ranks integer[], _rooms integer[], _executors text[], _now timestamptz)
returns setof {schema}.cycle_row
language plpgsql as $$
declare
    _lane record;
    _after smallint;
    _first record;
begin
    for _lane in
        select q.rank, q.queue, e.executor
        from unnest(_queues, _ranks, _rooms) as q (queue, rank, room)
        cross join unnest(_executors) as e (executor)
        where q.room is null or q.room > 0
    loop
        _after := 0;
        loop
            select t.priority, t.enqueued_at into _first         -- one index probe
            from {schema}.tasks t
            where t.queue_name = _lane.queue and t.executor = _lane.executor and t.status = 'PENDING' and not t.parked
                and t.priority > _after
            order by t.priority, t.enqueued_at, t.id
            limit 1;
            exit when not found;
            if _first.enqueued_at <= _now then
                return query select 'head', null::text, null::bigint, null::text, null::text, null::text, null::text,
                    null::text, null::integer, _lane.rank::smallint, _first.priority::smallint,
                    extract(epoch from _now - _first.enqueued_at)::double precision, null::text, null::text;
                exit;
            end if;
            _after := _first.priority;
        end loop;
    end loop;
end $$;
