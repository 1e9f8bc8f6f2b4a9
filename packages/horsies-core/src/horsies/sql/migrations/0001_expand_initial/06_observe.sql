-- Reading one task by id: live first, then history, each in a statement of its own, so that a task that ends in
-- between is found (D-012). Nothing ever moves back.

create type {schema}.stored_result as (
    status text, task_name text, queue_name text, result text, error_code text, failed_reason text);

-- With _mark the live row is marked as awaited, so that its end is announced (D-047).
create function {schema}.read_result(_id uuid, _mark boolean) returns setof {schema}.stored_result
language plpgsql as $$
begin
    if _mark then
        -- A claim skips the row while this transaction holds it. A mark that a crash of the server loses costs one poll
        -- interval; waiting for the disk here would keep the row from its claim for ten times as long.
        perform set_config('synchronous_commit', 'off', true);
        update {schema}.tasks t set awaited = true where t.id = _id and not t.awaited;
    end if;
    return query select t.status::text, t.task_name, t.queue_name, null::text, null::text, null::text
        from {schema}.tasks t where t.id = _id;
    if not found then
        return query select h.status::text, h.task_name, h.queue_name, h.result, h.error_code, h.failed_reason
            from {schema}.task_history h where h.id = _id limit 1;
    end if;
end $$;
