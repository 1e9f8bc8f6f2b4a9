-- Workflows: one row each, one row a node, one row a dependency. A node that is ready becomes a row of tasks; what it is
-- told of earlier results is joined in when that row is claimed, not copied.

create domain {schema}.workflow_status as text
    constraint workflow_status_known check (
        value in ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'PAUSED', 'CANCELLED', 'EXPIRED'));
create domain {schema}.workflow_on_error as text
    constraint workflow_on_error_known check (value in ('fail', 'pause'));
create domain {schema}.node_status as text
    constraint node_status_known check (
        value in ('PENDING', 'READY', 'ENQUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'SKIPPED'));
create domain {schema}.node_kind as text
    constraint node_kind_known check (value in ('task', 'subworkflow'));
create domain {schema}.node_join as text
    constraint node_join_known check (value in ('all', 'any', 'quorum'));
-- How many are still to come: below zero, something would have been counted twice.
create domain {schema}.countdown as integer
    constraint countdown_positive check (value >= 0);
-- Cases as arrays of the node indexes that have to be COMPLETED. What could not be read at the end of a workflow would
-- refuse the ends of its nodes for ever.
create domain {schema}.success_cases as jsonb
    constraint success_cases_readable check (
        jsonb_typeof(value) = 'array'
        and not jsonb_path_exists(value, 'strict $[*] ? (@.type() != "array")', '{}', true)
        and not jsonb_path_exists(value, 'strict $[*][*] ? (@.type() != "number")', '{}', true)
        and not jsonb_path_exists(
            value, 'strict $[*][*] ? (@ < 0 || @ > 2147483647 || @.floor() != @)', '{}', true));

create table {schema}.workflows (
    id uuid primary key,
    name text not null,
    definition_key text,
    status {schema}.workflow_status not null default 'RUNNING',
    on_error {schema}.workflow_on_error not null,
    success_policy {schema}.success_cases,
    output_index integer,
    -- the tree: root_id is the row that every change of the tree locks first (W-41)
    parent_workflow_id uuid,
    parent_node_index integer,
    root_id uuid not null,
    depth smallint not null default 0,
    -- end
    result text,                                    -- envelope of the output node
    error text,                                     -- envelope
    failed_index integer,                           -- lowest FAILED node
    -- time
    sent_at timestamptz not null,
    created_at timestamptz not null default now(),
    started_at timestamptz not null,
    paused_at timestamptz,
    completed_at timestamptz,
    deadline timestamptz,
    -- keeping
    enqueue_sha text,
    retention_class text not null,
    step_timeout_ms integer not null,
    trace_context text,                             -- of the start, for all tasks (R-142)
    open_nodes {schema}.countdown not null,     -- nodes that are not terminal
    run integer not null default 1,
    awaited boolean not null default false
) with (
    fillfactor = 60,                                -- the counter changes with every batch of ends: heap-only updates
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2,
    autovacuum_analyze_threshold = 1000
);
create index workflows_children on {schema}.workflows (parent_workflow_id) where parent_workflow_id is not null;
create index workflows_tree on {schema}.workflows (root_id) where parent_workflow_id is not null;
create index workflows_paused on {schema}.workflows (paused_at) where status = 'PAUSED';
create index workflows_open on {schema}.workflows (sent_at) where status in ('PENDING', 'RUNNING', 'PAUSED');
create index workflows_ended on {schema}.workflows (completed_at) where parent_workflow_id is null and completed_at is not null;

-- No index holds a column that changes while a workflow runs.
create table {schema}.workflow_nodes (
    workflow_id uuid not null,
    node_index integer not null,
    node_id text not null,
    kind {schema}.node_kind not null,
    -- what it runs
    task_name text not null,                        -- or the child workflow's name
    definition_key text,                            -- of the child workflow
    kwargs text,                                    -- static arguments, JSON text
    args_from jsonb not null,                       -- parameter name -> index of the node whose result it takes
    ctx_from integer[],                             -- nodes in its context; null: none were named
    conditions boolean not null,                    -- skip_when or run_when: asked by a prepare step
    takes_meta boolean not null,                    -- the task declares workflow_meta
    -- Its row in tasks. Whoever ends the nodes before it makes that row, and must not stumble over what is missing (W-45).
    queue_name text not null,                       -- '' in the node of a child workflow, which has no such row
    priority {schema}.task_priority not null,
    executor {schema}.task_executor not null,
    options text,
    timeout_ms integer,
    max_retries smallint not null,
    good_until timestamptz,
    retention_class text not null,
    -- when it is ready
    waits_for integer[] not null,
    join_kind {schema}.node_join not null,
    min_success integer,
    allow_failed_deps boolean not null,
    open_deps {schema}.countdown not null,      -- dependencies that are not terminal
    ok_deps integer not null default 0,             -- COMPLETED ones
    bad_deps integer not null default 0,            -- FAILED and SKIPPED ones
    open_gates {schema}.countdown not null,     -- nodes of its context that are not terminal (W-51)
    -- state; that it runs is told by its task's row (W-41)
    status {schema}.node_status not null,
    task_id uuid,
    sub_workflow_id uuid,
    sub_workflow_summary text,                      -- JSON text
    result text,                                    -- envelope; null for SKIPPED
    error_code text,
    wake_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,

    primary key (workflow_id, node_index)
) with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2,
    autovacuum_analyze_threshold = 5000
);
-- Its condition, which is always true, keeps it from all statements that do not repeat it: on a small table the planner
-- would take it for the primary key's equal, and then walk all nodes of a workflow for each one.
create unique index workflow_nodes_id on {schema}.workflow_nodes (workflow_id, node_id) where node_id > '';

-- waits_for the other way round: whom the end of a node concerns.
create table {schema}.workflow_edges (
    workflow_id uuid not null,
    from_index integer not null,
    to_index integer not null,
    gate boolean not null,                          -- from_index is in the context of to_index
    primary key (workflow_id, from_index, to_index)
);
