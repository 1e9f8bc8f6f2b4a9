-- Who may do what (11-database section 7). The last part of a migration: it speaks of everything that the others made.

-- A producer sends with the owner's rights where more than one table is written: these functions take back what they
-- wrote themselves, and nothing else, which no table right could say.
alter function {schema}.enqueue_replay security definer set search_path = pg_catalog, pg_temp;
alter function {schema}.enqueue_keyed security definer set search_path = pg_catalog, pg_temp;
alter function {schema}.enqueue security definer set search_path = pg_catalog, pg_temp;
alter function {schema}.start_workflow security definer set search_path = pg_catalog, pg_temp;

-- The roles that were given a part, so that a later migration can give them what it adds.
create table {schema}.role_grants (
    role_name text not null,
    part text not null,
    granted_at timestamptz not null default now(),
    primary key (role_name, part),
    constraint role_grants_part_known check (part in ('producer', 'worker', 'scheduler', 'operator', 'monitor'))
);

-- What each part may do with tables; columns: null means all of them.
create function {schema}.table_rights() returns table (part text, rights text, tables text[])
language sql immutable as $$
    values
        ('all', 'select', array['schema_migrations']),
        ('producer', 'select', array['tasks', 'task_history', 'queues', 'workflows', 'workflow_nodes', 'workflow_edges',
            'node_states']),
        -- Only a new task: neither its claim nor its workflow can be made up.
        ('producer', 'insert (id, task_name, queue_name, priority, executor, enqueue_sha, kwargs, options, timeout_ms,'
            ' trace_context, sent_at, enqueued_at, good_until, max_retries, retention_class, retain_rerun_input)',
            array['tasks']),
        ('producer', 'update (awaited)', array['tasks', 'workflows']),
        ('worker', 'select, insert, update, delete', array['tasks', 'workers', 'worker_samples', 'queues',
            'idempotency_keys', 'workflows', 'workflow_nodes', 'workflow_edges']),
        ('worker', 'select, insert', array['task_history']),
        ('scheduler', 'select, insert, update, delete', array['schedules', 'leases'])
$$;

-- The functions of each part that change something, or read with a mark. All may call those that only read or compute.
create function {schema}.function_rights() returns table (part text, functions text[])
language sql immutable as $$
    values
        ('producer', array['enqueue', 'enqueue_keyed', 'enqueue_replay', 'start_workflow', 'read_result', 'read_workflow',
            'new_task_id']),
        ('scheduler', array['fire_slot']),
        ('operator', array['cancel_task', 'rerun_task', 'pause_queue', 'resume_queue', 'pause_workflow', 'resume_workflow',
            'cancel_workflow', 'pause_schedule', 'resume_schedule', 'ensure_history', 'ensure_history_partition']),
        ('monitor', array['read_result', 'read_workflow'])
$$;

-- The parts that a part includes, itself among them.
create function {schema}.parts_of(_part text) returns text[]
language sql immutable as $$
    select case
        when _part in ('worker', 'scheduler') then array['all', 'producer', _part]
        when _part = 'operator' then array['all', 'monitor', _part]
        else array['all', _part]
    end
$$;

create function {schema}.give_rights(_role text, _part text) returns void
language plpgsql as $$
declare
    _parts text[] := {schema}.parts_of(_part);
    _r record;
begin
    execute format('grant usage on schema {schema} to %I', _role);
    for _r in
        select r.rights, t.name from {schema}.table_rights() r, unnest(r.tables) as t (name) where r.part = any (_parts)
    loop
        execute format('grant %s on {schema}.%I to %I', _r.rights, _r.name, _role);
    end loop;
    if 'monitor' = any (_parts) then
        execute format('grant select on all tables in schema {schema} to %I', _role);
    end if;
    for _r in
        select p.oid::regprocedure::text as signature
        from pg_proc p
        where p.pronamespace = {schema_literal}::regnamespace and p.prokind = 'f'
            and (p.proname = any (array(
                    select f.name from {schema}.function_rights() r, unnest(r.functions) as f (name)
                    where r.part = any (_parts)))
                or p.provolatile <> 'v' and not p.prosecdef
                or 'worker' = any (_parts)
                    and p.proname not in ('grant_role', 'revoke_role', 'renew_grants', 'give_rights')
                    and p.proname <> all (array(
                        select f.name from {schema}.function_rights() r, unnest(r.functions) as f (name)
                        where r.part in ('operator', 'scheduler') and f.name not like 'ensure_history%')))
    loop
        execute format('grant execute on function %s to %I', _r.signature, _role);
    end loop;
end $$;

-- Give a role, which must exist, one of the parts producer, worker, scheduler, operator, monitor. For the owner only. A
-- role may have several parts.
create function {schema}.grant_role(role_name text, part text) returns void
language plpgsql as $$
begin
    if not exists (select from pg_roles r where r.rolname = grant_role.role_name) then
        raise exception 'horsies.grant_role: there is no role %', quote_literal(role_name)
            using errcode = 'undefined_object', hint = 'create it first: create role ... login';
    elsif coalesce(part, '') not in ('producer', 'worker', 'scheduler', 'operator', 'monitor') then
        raise exception 'horsies.grant_role: part is %, not producer, worker, scheduler, operator or monitor',
            coalesce(quote_literal(part), 'null') using errcode = 'invalid_parameter_value';
    end if;
    perform {schema}.give_rights(role_name, part);
    insert into {schema}.role_grants (role_name, part) values (grant_role.role_name, grant_role.part)
    on conflict do nothing;
end $$;

-- Take everything in this schema away from a role. For the owner only.
create function {schema}.revoke_role(role_name text) returns void
language plpgsql as $$
begin
    delete from {schema}.role_grants g where g.role_name = revoke_role.role_name;
    if exists (select from pg_roles r where r.rolname = revoke_role.role_name) then
        execute format('revoke all on all tables in schema {schema} from %I', role_name);
        execute format('revoke all on all functions in schema {schema} from %I', role_name);
        execute format('revoke all on schema {schema} from %I', role_name);
    end if;
end $$;

-- PUBLIC has no right at all (D-076), and all roles have what their parts stand for now. Called at the end of a migration.
create function {schema}.renew_grants() returns void
language plpgsql as $$
declare
    _name text;
    _g record;
begin
    execute 'revoke all on schema {schema} from public';
    execute 'revoke all on all tables in schema {schema} from public';
    execute 'revoke all on all functions in schema {schema} from public';
    for _name in
        select t.typname from pg_type t left join pg_class c on c.oid = t.typrelid
        where t.typnamespace = {schema_literal}::regnamespace and t.typtype = 'c' and c.relkind = 'c'
    loop
        execute format('revoke all on type {schema}.%I from public', _name);
    end loop;
    for _g in
        select g.role_name, g.part from {schema}.role_grants g join pg_roles r on r.rolname = g.role_name
    loop
        perform {schema}.give_rights(_g.role_name, _g.part);
    end loop;
end $$;
select {schema}.renew_grants();
