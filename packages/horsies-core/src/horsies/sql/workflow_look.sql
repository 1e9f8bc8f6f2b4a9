-- Workflows as a whole: how far they are, and as graphs.

-- One snapshot: the counts add up to the number of nodes (W-252). A node that was retried has its present child only.
-- name: read_progress
with recursive tree (id) as (
    select w.id from {schema}.workflows w where w.id = %(id)s::uuid
    union all
    select n.sub_workflow_id
    from tree t
    join {schema}.workflow_nodes n on n.workflow_id = t.id and n.sub_workflow_id is not null
    where %(include_children)s::boolean
)
select w.status, c.status, c.number
from {schema}.workflows w
cross join (
    select n.status, count(*) as number
    from tree t
    join {schema}.node_states n on n.workflow_id = t.id
    group by n.status
) c
where w.id = %(id)s::uuid

-- name: read_graph
select n.kind, n.node_id, n.task_name, n.waits_for, n.join_kind, n.min_success, n.allow_failed_deps, n.conditions,
    n.node_index is not distinct from w.output_index, n.status
from {schema}.workflows w
join {schema}.node_states n on n.workflow_id = w.id
where w.id = %(id)s::uuid
order by n.node_index
