-- Small functions that the larger ones share.

-- The channel of a queue: names over 63 bytes are cut and end in a hash; horsies/channels.py has the same rule.
create function {schema}.channel(_suffix text) returns text
language plpgsql immutable parallel safe as $$
declare
    _full text := {schema_literal} || ':' || _suffix;
    _head text;
begin
    if octet_length(_full) <= 63 then
        return _full;
    end if;
    _head := left(_full, 46);
    while octet_length(_head) > 46 loop
        _head := left(_head, char_length(_head) - 1);
    end loop;
    return _head || ':' || left(md5(_full), 16);
end $$;

-- How long a class keeps its records; null means for ever. The name alone tells, so a class never changes (D-030).
create function {schema}.retention_duration(_class text) returns interval
language plpgsql immutable parallel safe as $$
declare
    _parts text[];
begin
    if _class = 'forever' then
        return null;
    elsif _class = 'standard_30d' then
        return interval '30 days';
    end if;
    _parts := regexp_match(_class, '_([0-9]+)([dhms])$');
    if _parts is null then
        raise exception 'horsies: unknown retention class %', quote_literal(_class) using errcode = '22023';
    end if;
    return case _parts[2]
        when 'd' then make_interval(days => _parts[1]::int)
        when 'h' then make_interval(hours => _parts[1]::int)
        when 'm' then make_interval(mins => _parts[1]::int)
        else make_interval(secs => _parts[1]::int)
    end;
end $$;

-- Whether an ended task keeps its arguments for a rerun: asked for at the send, and no more than 64 KiB (M-060, T-82).
create function {schema}.keeps_input(_retain boolean, _kwargs text) returns boolean
language sql immutable parallel safe as $$
    select _retain and coalesce(octet_length(_kwargs), 0) <= 65536
$$;

-- SHA-256 of a text, as 64 hexadecimal digits.
create function {schema}.digest(_text text) returns text
language sql immutable parallel safe as $$
    select encode(sha256(convert_to(coalesce(_text, ''), 'UTF8')), 'hex')
$$;

-- A new task id: UUIDv7, in the order of the clock to a quarter of a microsecond. What gen_random_uuid() would give is
-- missing in PostgreSQL 12, so the rest is a hash of what no other call shares.
create function {schema}.new_task_id() returns uuid
language plpgsql volatile as $$
declare
    _us bigint := extract(epoch from clock_timestamp()) * 1000000;
    _rest text := md5(concat_ws(',', _us, pg_backend_pid(), txid_current(), random(), random()));
begin
    return (lpad(to_hex(_us / 1000), 12, '0') || '7' || lpad(to_hex(_us % 1000 * 4096 / 1000), 3, '0')
        || substr('89ab', 1 + floor(random() * 4)::integer, 1) || left(_rest, 15))::uuid;
end $$;

-- One day of one class. Built apart and attached, which stops neither reads nor finishes (D-031); a second caller
-- waits on the advisory lock and finds the work done.
create function {schema}.ensure_history_partition(_class text, _day date) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    _parent text := 'task_history_' || _class;
    _name text := _parent || '_' || to_char(_day, 'YYYYMMDD');
    _from timestamptz := _day::timestamp at time zone 'UTC';
    _to timestamptz := (_day + 1)::timestamp at time zone 'UTC';
begin
    if to_regclass(format('%I.%I', {schema_literal}, _name)) is not null then
        return false;
    end if;
    perform {schema}.retention_duration(_class);
    perform pg_advisory_xact_lock(hashtextextended({schema_literal} || ':history:' || _class, 0));
    if to_regclass(format('%I.%I', {schema_literal}, _name)) is not null then
        return false;
    end if;
    if to_regclass(format('%I.%I', {schema_literal}, _parent)) is null then
        execute format(
            'create table %1$I.%2$I (like %1$I.task_history including defaults including constraints)'
            ' partition by range (terminal_at)', {schema_literal}, _parent);
        execute format('create index on %I.%I (id)', {schema_literal}, _parent);
        execute format('create index on %I.%I (terminal_at, id)', {schema_literal}, _parent);
        execute format('create index on %I.%I (task_name, terminal_at)', {schema_literal}, _parent);
        execute format('create index on %I.%I (queue_name, terminal_at)', {schema_literal}, _parent);
        execute format('create index on %I.%I (worker_id, terminal_at)', {schema_literal}, _parent);
        execute format(
            'create index on %I.%I (error_code, terminal_at) where error_code is not null', {schema_literal}, _parent);
        execute format('create index on %I.%I (workflow_id) where workflow_id is not null', {schema_literal}, _parent);
        execute format('alter table %1$I.task_history attach partition %1$I.%2$I for values in (%3$L)',
            {schema_literal}, _parent, _class);
    end if;
    execute format('create table %1$I.%2$I (like %1$I.%3$I including defaults including constraints including indexes)',
        {schema_literal}, _name, _parent);
    execute format('alter table %1$I.%2$I add constraint day_bounds check (terminal_at >= %3$L and terminal_at < %4$L)',
        {schema_literal}, _name, _from, _to);
    execute format('alter table %1$I.%2$I attach partition %1$I.%3$I for values from (%4$L) to (%5$L)',
        {schema_literal}, _parent, _name, _from, _to);
    execute format('alter table %I.%I drop constraint day_bounds', {schema_literal}, _name);
    return true;
end $$;

-- Today and the three days ahead.
create function {schema}.ensure_history(_class text, _now timestamptz default now()) returns integer
language plpgsql as $$
declare
    _made integer := 0;
begin
    for _offset in 0..3 loop
        if {schema}.ensure_history_partition(_class, (_now at time zone 'UTC')::date + _offset) then
            _made := _made + 1;
        end if;
    end loop;
    return _made;
end $$;
select {schema}.ensure_history('standard_30d');
