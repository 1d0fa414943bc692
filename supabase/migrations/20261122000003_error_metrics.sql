-- Error tracking: the error events, their groups and their rollups.

begin;

do $$
begin
  if to_regtype('public.error_severity') is null then
    create type public.error_severity as enum ('low', 'medium', 'high');
  end if;
end $$;
comment on type public.error_severity is 'How bad one error is.';

-- Numbers must be drawn one by one: with a cache, a connection could use a number that it drew before
-- its transaction began, and the proof that a missing number is empty would be wrong.
create sequence if not exists error_tracking.error_metrics_seq as bigint cache 1;
comment on sequence error_tracking.error_metrics_seq is 'Numbers error events; see the insert trigger.';

create table if not exists public.error_metrics (
  error_id uuid primary key default gen_random_uuid(),
  "timestamp" timestamptz not null default clock_timestamp(),
  source varchar not null,
  error_type varchar not null,
  severity public.error_severity not null default 'medium',
  workflow_id uuid references public.workflow_definitions (id) on delete set null,
  metadata jsonb not null default '{}',
  project_id uuid references public.projects (id) on delete cascade,
  message text not null default '',
  fingerprint uuid not null,
  received_at timestamptz not null,
  seq bigint not null,
  constraint source_must_be_worker_webhook_or_system check (source in ('worker', 'webhook', 'system')),
  constraint error_type_must_be_system_execution_or_input_with_detail
    check (error_type ~ '^(system|execution|input)(\.[a-z0-9_-]+)*$'),
  -- A limit in the column's type would refuse without naming the column.
  constraint error_type_must_have_at_most_128_characters check (length(error_type) <= 128),
  constraint error_metrics_seq_key unique (seq)
);
comment on table public.error_metrics is 'One row per error. Append-only. Written by workers, webhook handlers and server hooks with role error_reporter.';
comment on column public.error_metrics.error_id is 'Primary key, made by the reporter, so that a repeated insert with on_conflict=error_id adds nothing.';
comment on column public.error_metrics."timestamp" is
  'When the error happened. A time in the future or before 2000 becomes received_at, and the one given stays in metadata._tracker.';
comment on column public.error_metrics.source is 'The kind of component that failed: worker, webhook or system.';
comment on column public.error_metrics.error_type is 'Class and detail, as in execution.timeout; the class is system, execution or input.';
comment on column public.error_metrics.severity is 'How bad it is: low, medium or high.';
comment on column public.error_metrics.workflow_id is 'The workflow version it happened in. One that does not exist becomes null, and its id stays in metadata._tracker.';
comment on column public.error_metrics.metadata is 'Whatever helps to understand the error; masked by the database and cut to a summary over 32 KiB.';
comment on column public.error_metrics.project_id is 'The project, taken from the workflow where it is not given; null for errors of the platform itself.';
comment on column public.error_metrics.message is 'One masked line of at most 500 characters; taken from metadata where it is not given.';
comment on column public.error_metrics.fingerprint is 'Set by the server: errors of the same source, type and message (numbers and ids aside) share it.';
comment on column public.error_metrics.received_at is 'Set by the server: when the row was inserted.';
comment on column public.error_metrics.seq is 'Set by the server: every row has a number of its own; the daemon counts by it.';

create index if not exists idx_error_metrics_timestamp on public.error_metrics ("timestamp" desc);
create index if not exists idx_error_metrics_project_id_timestamp on public.error_metrics (project_id, "timestamp" desc);
create index if not exists idx_error_metrics_fingerprint_timestamp on public.error_metrics (fingerprint, "timestamp" desc);
create index if not exists idx_error_metrics_workflow_id_timestamp
  on public.error_metrics (workflow_id, "timestamp" desc) where workflow_id is not null;

-- What the insert trigger derives -------------------------------------------------------------------
-- These run inside the trigger, whose search_path is empty; see error_masking_functions.

create or replace function error_tracking.message_of(metadata jsonb) returns text
language sql immutable as
$$
  select candidate from (values
      (1, metadata -> 'message'), (2, metadata -> 'error'), (3, metadata -> 'error' -> 'message'), (4, metadata -> 'reason')
    ) as candidates (position, value), lateral (select value #>> '{}' as candidate) as text
   where jsonb_typeof(value) = 'string' and candidate ~ '[^[:space:][:cntrl:]]'
   order by position limit 1
$$;
comment on function error_tracking.message_of(jsonb) is
  'The message of an event that came without one: metadata.message, .error, .error.message or .reason; null where there is none.';

-- Without a path of its own, and not strict, it becomes a part of the trigger's expression.
create or replace function error_tracking.fingerprint_of(source text, error_type text, message text) returns uuid
language sql stable as
$$
  -- What differs from one occurrence to the next is replaced: ids, addresses, hexadecimal and decimal numbers.
  select encode(substr(sha256(convert_to(source || chr(31) || error_type || chr(31) || regexp_replace(
      case when lower(message collate "C") ~ '0x|[0-9a-f]{8}' and message ~ '[0-9]' then
        regexp_replace(
          regexp_replace(lower(message collate "C"), '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', '<id>', 'g'),
          '\m(0x[0-9a-f]+|(?=[a-f]*[0-9])[0-9a-f]{8,})\M', '<hex>', 'g')
      else lower(message collate "C") end, '\d+([.,:]\d+)*', '<n>', 'g'), 'utf8')), 1, 16), 'hex')::uuid
$$;
comment on function error_tracking.fingerprint_of(text, text, text) is
  'The first 16 bytes of SHA-256 over source, error type and message, with ids and numbers of the message replaced.';

create or replace function error_tracking.before_error_insert() returns trigger
language plpgsql security definer set search_path = '' as
$$
declare
  document text;
  lowered text collate "C";
  masked record;
  notes jsonb := '{}';
  owner_project uuid;
begin
  -- Order matters: the transaction must have its id before the number is drawn. Whoever later sees the
  -- number missing can then tell, by transaction ids alone, whether the row may still appear.
  new.seq := case when pg_current_xact_id() is not null then nextval('error_tracking.error_metrics_seq') end;
  -- A clock that is set back during the statement must not put the row before it: the reporter's
  -- policy takes rows from before its own statement for others' rows.
  new.received_at := greatest(clock_timestamp(), statement_timestamp());

  if new."timestamp" is null then
    new."timestamp" := new.received_at;
  elsif new."timestamp" > new.received_at or new."timestamp" < '2000-01-01+00' then
    -- Clocks run ahead, and an infinite time has no place in any window.
    notes := notes || jsonb_build_object('reported_timestamp', case when isfinite(new."timestamp")
      then to_char(new."timestamp" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') else new."timestamp"::text end);
    new."timestamp" := new.received_at;
  end if;

  if new.source is null then
    raise exception 'source: must be worker, webhook or system' using errcode = '23502', column = 'source';
  end if;
  if new.error_type is null then
    raise exception 'error_type: must be system, execution or input, with a detail behind a dot where there is one'
      using errcode = '23502', column = 'error_type';
  end if;
  if new.severity is null then
    new.severity := 'medium';
  end if;

  if new.workflow_id is not null then
    -- The lock keeps the workflow from vanishing between here and the foreign key's own check.
    select w.project_id into owner_project from public.workflow_definitions w where w.id = new.workflow_id for key share;
    if not found then
      notes := notes || jsonb_build_object('unknown_workflow_id', new.workflow_id);
      new.workflow_id := null;
    elsif new.project_id is not null and new.project_id <> owner_project then
      raise exception 'workflow_id: workflow % does not belong to project %', new.workflow_id, new.project_id
        using errcode = '23514', column = 'workflow_id';
    else
      new.project_id := owner_project;
    end if;
  end if;
  if owner_project is null then
    new.project_id := coalesce(new.project_id, error_tracking.claimed_project());
    if new.project_id is not null then
      perform from public.projects p where p.id = new.project_id for key share;
      if not found and new.project_id is distinct from error_tracking.claimed_project() then
        notes := notes || jsonb_build_object('unknown_project_id', new.project_id);
        new.project_id := null;
      end if;
    end if;
  end if;

  if jsonb_typeof(new.metadata) is distinct from 'object' then
    new.metadata := case when new.metadata is null then '{}' else jsonb_build_object('value', new.metadata) end;
  end if;
  document := new.metadata::text;
  if octet_length(document) > 32768 then
    new.metadata := error_tracking.bound_metadata(new.metadata, octet_length(document));
    document := new.metadata::text;
  end if;
  if new.message is null or new.message !~ '[^[:space:][:cntrl:]]' then
    -- That of the metadata is masked a second time, as a text that is to be cut.
    new.message := coalesce(error_tracking.message_of(new.metadata), new.error_type);
  end if;
  -- Space at its beginning would push the text over the cuts that follow.
  new.message := ltrim(new.message, E' \t\r\n\f\x0b');

  lowered := error_tracking.to_look_through(document, new.message);
  if error_tracking.is_suspect(lowered) then
    masked := error_tracking.mask_event(new.metadata, new.message, document, lowered);
    new.metadata := masked.metadata;
    new.message := masked.message;
  end if;
  -- A text as long as this is cut before the message is made of it.
  if length(new.message) > 8192 then
    new.message := error_tracking.mask_start(new.message, 2000, '{}', '{}', '{}', false);
  end if;
  if notes <> '{}' then
    new.metadata := new.metadata || jsonb_build_object('_tracker',
      case when jsonb_typeof(new.metadata -> '_tracker') = 'object' then new.metadata -> '_tracker' else '{}' end || notes);
  end if;
  if new.message !~ '^[!-~]+( [!-~]+)*$' or length(new.message) > 500 then
    new.message := coalesce(nullif(error_tracking.one_line(new.message), ''), new.error_type);
  end if;
  new.fingerprint := error_tracking.fingerprint_of(new.source, new.error_type, new.message);
  return new;
end $$;
comment on function error_tracking.before_error_insert() is 'Numbers, checks, masks and completes an error event before it is stored.';

drop trigger if exists number_and_mask on public.error_metrics;
create trigger number_and_mask before insert on public.error_metrics
  for each row execute function error_tracking.before_error_insert();

create or replace function error_tracking.refuse_update() returns trigger
language plpgsql set search_path = '' as
$$
begin
  -- The only change a stored event may see is the loss of its workflow (on delete set null).
  if new.workflow_id is null and to_jsonb(new) - 'workflow_id' = to_jsonb(old) - 'workflow_id' then
    return new;
  end if;
  raise exception 'error_metrics is append-only' using errcode = '42501';
end $$;
comment on function error_tracking.refuse_update() is 'Keeps error_metrics append-only, whoever tries.';
drop trigger if exists append_only on public.error_metrics;
create trigger append_only before update on public.error_metrics
  for each row execute function error_tracking.refuse_update();

-- Groups --------------------------------------------------------------------------------------------

create table if not exists public.error_groups (
  group_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  fingerprint uuid not null,
  title text not null,
  source varchar(16) not null,
  error_type varchar(128) not null,
  worst_severity public.error_severity not null,
  first_seen timestamptz not null,
  last_seen timestamptz not null,
  count bigint not null,
  sample_error_id uuid not null,
  status text not null default 'open',
  status_changed_at timestamptz,
  status_changed_by uuid,
  constraint status_must_be_open_resolved_or_ignored check (status in ('open', 'resolved', 'ignored')),
  constraint error_groups_project_fingerprint unique nulls not distinct (project_id, fingerprint)
);
create index if not exists idx_error_groups_last_seen on public.error_groups (last_seen desc);
comment on table public.error_groups is 'Errors of a project with one fingerprint. Counted by the daemon.';
comment on column public.error_groups.group_id is 'Primary key.';
comment on column public.error_groups.project_id is 'The project; null for errors that belong to none.';
comment on column public.error_groups.fingerprint is 'As in error_metrics.';
comment on column public.error_groups.title is 'Message of the group''s latest counted error.';
comment on column public.error_groups.source is 'As in error_metrics.';
comment on column public.error_groups.error_type is 'As in error_metrics.';
comment on column public.error_groups.worst_severity is 'The highest severity seen.';
comment on column public.error_groups.first_seen is 'Earliest timestamp.';
comment on column public.error_groups.last_seen is 'Latest timestamp.';
comment on column public.error_groups.count is 'Number of errors.';
comment on column public.error_groups.sample_error_id is 'The latest counted error.';
comment on column public.error_groups.status is 'open, resolved or ignored; set by responders.';
comment on column public.error_groups.status_changed_at is 'When the status was last changed.';
comment on column public.error_groups.status_changed_by is 'Who changed it.';

create or replace function error_tracking.group_status_changed() returns trigger
language plpgsql set search_path = '' as
$$
begin
  if new.status is distinct from old.status then
    new.status_changed_at := now();
    new.status_changed_by := auth.uid();
  end if;
  return new;
end $$;
comment on function error_tracking.group_status_changed() is 'Notes who changed a group''s status, and when.';
drop trigger if exists status_changed on public.error_groups;
create trigger status_changed before update of status on public.error_groups
  for each row execute function error_tracking.group_status_changed();

-- Rollups -------------------------------------------------------------------------------------------

create table if not exists public.error_rate_minutes (
  bucket timestamptz not null,
  project_id uuid references public.projects (id) on delete cascade,
  workflow_id uuid,
  source varchar(16) not null,
  error_type varchar(128) not null,
  severity public.error_severity not null,
  count bigint not null,
  constraint error_rate_minutes_key unique nulls not distinct (bucket, project_id, workflow_id, source, error_type, severity)
);
comment on table public.error_rate_minutes is 'Exact number of errors per minute of their timestamp. A count over the table of a complete period equals the sum over these rows.';

create table if not exists public.error_rate_hours (
  like public.error_rate_minutes,
  constraint error_rate_hours_key unique nulls not distinct (bucket, project_id, workflow_id, source, error_type, severity),
  constraint error_rate_hours_project_id_fkey foreign key (project_id) references public.projects (id) on delete cascade
);
comment on table public.error_rate_hours is 'The same as error_rate_minutes, per hour.';

do $$
declare
  t text;
begin
  foreach t in array array['error_rate_minutes', 'error_rate_hours'] loop
    execute format('create index if not exists %I on public.%I (project_id, bucket)', 'idx_' || t || '_project_id_bucket', t);
    execute format('comment on column public.%I.bucket is %L', t, 'Start of the minute or hour, UTC.');
    execute format('comment on column public.%I.project_id is %L', t, 'As in error_metrics.');
    execute format('comment on column public.%I.workflow_id is %L', t, 'As in error_metrics when the row was counted.');
    execute format('comment on column public.%I.source is %L', t, 'As in error_metrics.');
    execute format('comment on column public.%I.error_type is %L', t, 'As in error_metrics.');
    execute format('comment on column public.%I.severity is %L', t, 'As in error_metrics.');
    execute format('comment on column public.%I.count is %L', t, 'Number of errors.');
  end loop;
end $$;

create table if not exists public.error_rates_live (
  live_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  snapshot jsonb not null,
  updated_at timestamptz not null default now(),
  constraint error_rates_live_project unique nulls not distinct (project_id)
);
comment on table public.error_rates_live is
  'The present rates of each project, updated by the daemon at most once a second while they change. Dashboards subscribe to this table and not to raw errors.';
comment on column public.error_rates_live.live_id is 'Primary key.';
comment on column public.error_rates_live.project_id is 'The project; null for errors that belong to none.';
comment on column public.error_rates_live.snapshot is 'Errors per minute by severity over the last hour, and totals; docs/schema.md describes it.';
comment on column public.error_rates_live.updated_at is 'When the daemon last wrote it.';

-- What has been counted ------------------------------------------------------------------------------

create table if not exists error_tracking.checkpoint (
  only_row boolean primary key default true check (only_row),
  epoch int not null default 1,
  accounted int8multirange not null default '{}',
  updated_at timestamptz not null default now()
);
insert into error_tracking.checkpoint default values on conflict do nothing;
comment on table error_tracking.checkpoint is 'The numbers that are accounted for in minutes, hours and groups; changed in the same transaction as those.';
comment on column error_tracking.checkpoint.only_row is 'Always true: there is one row.';
comment on column error_tracking.checkpoint.epoch is 'Grows when the sequence was found behind the checkpoint, as after a restore.';
comment on column error_tracking.checkpoint.accounted is 'Ranges of seq that were counted or proven empty.';
comment on column error_tracking.checkpoint.updated_at is 'When it last grew.';

create table if not exists error_tracking.leases (
  name text primary key,
  holder uuid,
  fence bigint not null default 0,
  expires_at timestamptz not null default '-infinity'
);
insert into error_tracking.leases (name) values ('leader') on conflict do nothing;
comment on table error_tracking.leases is 'Which instance leads. Every write of a leader checks its fence here.';
comment on column error_tracking.leases.name is 'What is led.';
comment on column error_tracking.leases.holder is 'The leading instance.';
comment on column error_tracking.leases.fence is 'Grows with each new holder.';
comment on column error_tracking.leases.expires_at is 'Until when the holder leads without renewing.';

create or replace function error_tracking.run_counts(since timestamptz, until timestamptz, width integer, projects uuid[],
  workflows uuid[], by_workflow boolean)
returns table (project_id uuid, workflow_id uuid, at timestamptz, runs bigint)
language sql security definer stable set search_path = '' as
$$
  select r.project_id, case when by_workflow then r.workflow_id end,
         greatest(date_bin(make_interval(secs => width), r.started_at, timestamptz 'epoch'), date_trunc('second', since)), count(*)
    from public.workflow_runs r
   where r.started_at >= since and r.started_at < until
     and (projects is null or r.project_id = any (projects)) and (workflows is null or r.workflow_id = any (workflows))
   group by 1, 2, 3
$$;
comment on function error_tracking.run_counts(timestamptz, timestamptz, integer, uuid[], uuid[], boolean) is
  'Workflow runs started per width (in seconds), project and, where asked, workflow: the denominator of ratio rules.';

-- Access ----------------------------------------------------------------------------------------------

revoke all on all functions in schema error_tracking from public;
revoke all on all tables in schema error_tracking from public, anon, authenticated, service_role;
revoke all on sequence error_tracking.error_metrics_seq from public, anon, authenticated, service_role;

select error_tracking.protect('public.error_metrics', 'viewer');
revoke all on public.error_metrics from service_role;
grant select, insert, delete on public.error_metrics to service_role;
grant insert (error_id, "timestamp", source, error_type, severity, workflow_id, project_id, message, metadata)
  on public.error_metrics to authenticated, error_reporter;
-- on_conflict=error_id needs the right to read the column, and a policy that lets the new row be read:
-- only rows that the statement itself inserts are that new, so a select finds nothing.
grant select (error_id) on public.error_metrics to error_reporter;
grant select (error_id, "timestamp", source, error_type, severity, workflow_id, project_id, message, fingerprint, received_at, seq)
  on public.error_metrics to error_daemon;

drop policy if exists tracker_owner_insert on public.error_metrics;
create policy tracker_owner_insert on public.error_metrics for insert to authenticated
  with check (project_id in (select public.user_project_ids()));
drop policy if exists tracker_reporter_insert on public.error_metrics;
create policy tracker_reporter_insert on public.error_metrics for insert to error_reporter
  with check (project_id is not distinct from coalesce((select error_tracking.claimed_project()), project_id));
drop policy if exists tracker_reporter_read on public.error_metrics;
create policy tracker_reporter_read on public.error_metrics for select to error_reporter
  using (received_at >= statement_timestamp());

select error_tracking.protect('public.error_groups', 'viewer', null, 'responder');
grant update (status) on public.error_groups to authenticated;
grant select, insert, update on public.error_groups to error_daemon;

select error_tracking.protect('public.error_rate_minutes', 'viewer');
select error_tracking.protect('public.error_rate_hours', 'viewer');
select error_tracking.protect('public.error_rates_live', 'viewer');
grant select, insert, update on public.error_rate_minutes, public.error_rate_hours, public.error_rates_live to error_daemon;

grant select, update on error_tracking.checkpoint, error_tracking.leases to error_daemon;
grant select on error_tracking.error_metrics_seq to error_daemon;
grant execute on function error_tracking.run_counts(timestamptz, timestamptz, integer, uuid[], uuid[], boolean) to error_daemon;

commit;
