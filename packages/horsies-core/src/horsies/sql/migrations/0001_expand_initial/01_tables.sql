-- Live work. A row stands here from its enqueue until its end, which moves it to task_history (D-010), so that the
-- cost of a claim does not depend on how much was ever processed.

-- What a column may hold is said by its type: a domain's condition is looked at where a value comes in. The CHECKs of a
-- table are parsed and prepared anew by each statement that writes to it, for as long as a small statement takes itself.
create domain {schema}.task_status as text
    constraint task_status_known check (value in ('PENDING', 'CLAIMED', 'RUNNING'));
create domain {schema}.task_end as text
    constraint task_end_known check (value in ('COMPLETED', 'FAILED', 'CANCELLED', 'EXPIRED'));
create domain {schema}.task_priority as smallint
    constraint task_priority_range check (value between 1 and 100);
create domain {schema}.task_executor as text
    constraint task_executor_known check (value in ('default', 'process', 'thread', 'async'));

create table {schema}.tasks (
    -- identity
    id uuid primary key,
    task_name text not null,
    queue_name text not null,
    priority {schema}.task_priority not null,
    executor {schema}.task_executor not null default 'default',     -- default: what the worker that claims it prefers
    enqueue_sha text,
    idempotency_key text,
    -- input
    kwargs text,                                    -- JSON text exactly as sent (D-018)
    -- null: sent by SQL; retries, time limit and executor are those registered in the worker that runs it, and
    -- max_retries says nothing before the first retry wrote it down
    options text,
    timeout_ms integer,
    trace_context text,
    -- time
    sent_at timestamptz not null,
    enqueued_at timestamptz not null,
    good_until timestamptz,
    next_retry_at timestamptz,
    created_at timestamptz not null default now(),
    -- claim
    status {schema}.task_status not null default 'PENDING',
    parked boolean not null default false,
    worker_id uuid,
    claim_generation bigint not null default 0,
    claimed_at timestamptz,
    -- run
    started_at timestamptz,
    worker_hostname text,
    worker_pid integer,
    worker_process_name text,
    -- retry
    retry_count smallint not null default 0,
    max_retries smallint not null default 0,
    attempts jsonb,                                 -- earlier attempts only, oldest first
    -- wait and cancel
    awaited boolean not null default false,
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    -- workflow
    workflow_id uuid,
    node_index integer,
    is_workflow_task boolean not null default false,
    -- keeping
    retention_class text not null default 'standard_30d',
    retain_rerun_input boolean not null default false,
    rerun_of uuid,
    rerun_root uuid,

    -- Who has it and whether it runs belong together (D-015).
    constraint tasks_state_whole check (case status
        when 'PENDING' then worker_id is null
        when 'CLAIMED' then worker_id is not null and not parked
        when 'RUNNING' then worker_id is not null and not parked and started_at is not null
    end)
) with (
    fillfactor = 80,                                -- room for heap-only updates of the awaited and cancel marks (D-022)
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2,
    autovacuum_analyze_threshold = 5000
);

-- The claim (D-020). executor comes before priority: every kind is a lane of its own.
create index tasks_claim on {schema}.tasks (queue_name, executor, priority, enqueued_at, id)
    where status = 'PENDING' and not parked;
-- Rows in flight: counts under a cap, the rows of one worker (D-021).
create index tasks_in_flight on {schema}.tasks (worker_id, queue_name) where status <> 'PENDING';
create index tasks_deadline on {schema}.tasks (good_until) where status = 'PENDING' and good_until is not null;
create index tasks_node on {schema}.tasks (workflow_id, node_index) where workflow_id is not null;

-- Finished work, by retention class and UTC day of its end; days are dropped whole (D-030 to D-032).
create table {schema}.task_history (
    id uuid not null,
    task_name text not null,
    queue_name text not null,
    priority smallint not null,
    executor text not null,
    enqueue_sha text,
    idempotency_key text,
    kwargs text,                                    -- only with retain_rerun_input
    kwargs_digest text,
    options text,
    timeout_ms integer,
    trace_context text,
    sent_at timestamptz not null,
    enqueued_at timestamptz not null,
    good_until timestamptz,
    next_retry_at timestamptz,
    created_at timestamptz not null,
    status {schema}.task_end not null,
    terminal_at timestamptz not null,
    result text,
    error_code text,
    failed_reason text,
    worker_id uuid,
    claim_generation bigint not null,
    claimed_at timestamptz,
    started_at timestamptz,
    worker_hostname text,
    worker_pid integer,
    worker_process_name text,
    retry_count smallint not null,
    max_retries smallint not null,
    attempts jsonb,
    workflow_id uuid,
    node_index integer,
    is_workflow_task boolean not null,
    retention_class text not null,
    retain_rerun_input boolean not null,
    rerun_of uuid,
    rerun_root uuid
) partition by list (retention_class);

create table {schema}.workers (
    id uuid primary key,
    hostname text not null,
    pid integer not null,
    version text not null,
    state text not null,
    started_at timestamptz not null default now(),
    stopped_at timestamptz,
    heartbeat_at timestamptz not null default now(),
    heartbeat_interval_ms integer not null,
    snapshot jsonb not null default '{}',
    constraint workers_state_known check (state in ('starting', 'running', 'draining', 'stopped'))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

create table {schema}.worker_samples (
    worker_id uuid not null,
    sampled_at timestamptz not null default now(),
    snapshot jsonb not null,
    primary key (worker_id, sampled_at)
);
create index worker_samples_age on {schema}.worker_samples (sampled_at);

-- For display and pause; caps are each worker's own configuration (CF-15).
create table {schema}.queues (
    name text primary key,
    priority smallint not null default 100,
    max_concurrency integer,
    paused boolean not null default false,
    paused_by text,                                 -- who paused or resumed it last, and when
    paused_at timestamptz,
    reported_by uuid,
    updated_at timestamptz not null default now()
);
insert into {schema}.queues (name) values ('default');
-- Asked by every claim: nearly always empty (R-061).
create index queues_paused on {schema}.queues (name) where paused;

create table {schema}.idempotency_keys (
    task_name text not null,
    key text collate "C" not null,
    task_id uuid not null,
    request_sha text not null,
    expires_at timestamptz,                         -- null while the task is live
    keep interval not null default '24 hours',      -- how long it stays reserved after the task's end
    primary key (task_name, key)
);
create index idempotency_keys_task on {schema}.idempotency_keys (task_id);   -- the finish of a task with a key
create index idempotency_keys_expiry on {schema}.idempotency_keys (expires_at) where expires_at is not null;

-- PUBLIC has no right here (D-076).
revoke all on schema {schema} from public;
