-- The record of applied migrations.

-- name: schema_version
select max(version), max(compatible_from) from {schema}.schema_migrations

-- name: limit_lock_waits
set local lock_timeout = '10s'

-- name: lock_migrations
select pg_advisory_xact_lock(hashtextextended({schema_literal} || ':migrate', 0))

-- Not "if not exists": that needs the right to create schemas also where an administrator has made this one.
-- name: schema_exists
select exists (select from pg_namespace where nspname = {schema_literal})

-- name: create_schema
create schema {schema}

-- name: create_migrations_table
create table {schema}.schema_migrations (
    version integer primary key,
    name text not null,
    kind text not null,
    checksum text not null,
    applied_at timestamptz not null default now(),
    compatible_from integer not null
)

-- name: applied_migrations
select m.version, m.checksum from {schema}.schema_migrations m order by m.version

-- name: record_migration
insert into {schema}.schema_migrations (version, name, kind, checksum, compatible_from)
values (%(version)s, %(name)s, %(kind)s, %(checksum)s, %(compatible_from)s)
