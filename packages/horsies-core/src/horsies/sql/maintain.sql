-- Upkeep: what is old goes, what will be needed is made (R-115, R-116). Deletes go by small batches, a commit each.

-- name: clean_samples
delete from {schema}.worker_samples s
where s.ctid = any (array(
    select c.ctid from {schema}.worker_samples c
    where c.sampled_at < coalesce(%(now)s::timestamptz, now()) - %(keep_hours)s::integer * interval '1 hour'
        and (select {schema}.begin_step('samples'))
    order by c.sampled_at
    limit %(limit)s
    for update skip locked))
returning 1

-- name: clean_keys
delete from {schema}.idempotency_keys k
where k.ctid = any (array(
    select c.ctid from {schema}.idempotency_keys c
    where c.expires_at <= coalesce(%(now)s::timestamptz, now()) and (select {schema}.begin_step('keys'))
    order by c.expires_at
    limit %(limit)s
    for update skip locked))
returning 1

-- Workers that ended or fell silent long ago, once no task names them.
-- name: clean_workers
delete from {schema}.workers w
where w.ctid = any (array(
    select c.ctid from {schema}.workers c
    where c.heartbeat_at < coalesce(%(now)s::timestamptz, now()) - %(keep_hours)s::integer * interval '1 hour'
        and not exists (select from {schema}.tasks t where t.worker_id = c.id and t.status <> 'PENDING')
        and (select {schema}.begin_step('workers'))
    limit %(limit)s
    for update skip locked))
returning 1

-- name: known_classes
select distinct d.retention_class from {schema}.history_days() d

-- name: ensure_history
select {schema}.ensure_history(%(class)s::text, coalesce(%(now)s::timestamptz, now()))

-- name: past_days
select d.retention_class, d.day
from {schema}.history_days() d
where {schema}.is_past(d.retention_class, d.day, coalesce(%(now)s::timestamptz, now()))
order by d.day, d.retention_class

-- name: drop_history_partition
select {schema}.drop_history_partition(%(class)s::text, %(day)s::date, %(now)s::timestamptz)

-- Workflows with their trees.
-- name: clean_workflows
select {schema}.clean_workflows(
    %(keep_hours)s::integer * interval '1 hour', %(limit)s::integer, %(now)s::timestamptz)
