-- Error tracking: the tracker's own state, and what Realtime publishes.

begin;

create table if not exists public.error_tracker_status (
  instance_id uuid primary key,
  name text not null,
  version text not null,
  leader boolean not null default false,
  socket text not null default 'connecting',
  started_at timestamptz not null,
  heartbeat_at timestamptz not null,
  low_water bigint not null default 0,
  last_number bigint not null default 0,
  open_holes int not null default 0,
  oldest_hole_seconds double precision not null default 0,
  complete_through timestamptz,
  rows_counted bigint not null default 0,
  rows_repaired bigint not null default 0,
  canary_ms double precision,
  outbox_depth int not null default 0,
  problems jsonb not null default '[]'
);
comment on table public.error_tracker_status is
  'What each instance of the daemon knows of itself. The leader updates its row every 5 s, and waits for the update to come back through Realtime.';
comment on column public.error_tracker_status.instance_id is 'Primary key, drawn at start.';
comment on column public.error_tracker_status.name is 'The instance''s name in its configuration, by default the host''s.';
comment on column public.error_tracker_status.version is 'Version of the daemon.';
comment on column public.error_tracker_status.leader is 'Whether it decides and notifies.';
comment on column public.error_tracker_status.socket is 'connecting, joining, subscribed, backoff, stopped, or none for a standby.';
comment on column public.error_tracker_status.started_at is 'When it started.';
comment on column public.error_tracker_status.heartbeat_at is 'When this row was last written.';
comment on column public.error_tracker_status.low_water is 'Every error with a number up to this is accounted for.';
comment on column public.error_tracker_status.last_number is 'The highest number drawn so far.';
comment on column public.error_tracker_status.open_holes is 'Ranges of numbers between the two that are neither seen nor proven empty.';
comment on column public.error_tracker_status.oldest_hole_seconds is 'How long the oldest of them has been open: usually a long transaction elsewhere.';
comment on column public.error_tracker_status.complete_through is 'Everything committed before then has been counted, but for the holes.';
comment on column public.error_tracker_status.rows_counted is 'Errors counted since the start.';
comment on column public.error_tracker_status.rows_repaired is 'Of these, errors that a numbered read brought and the subscribed socket did not within 5 s.';
comment on column public.error_tracker_status.canary_ms is 'How long the last update of this row took to come back through Realtime.';
comment on column public.error_tracker_status.outbox_depth is 'Messages that are waiting to be sent.';
comment on column public.error_tracker_status.problems is 'What is wrong, as [{"what", "detail"}]; empty when all is well.';

alter table public.error_tracker_status enable row level security;
revoke all on public.error_tracker_status from public, anon, authenticated, error_reporter, error_daemon;
grant select on public.error_tracker_status to authenticated;
grant select, insert, update, delete on public.error_tracker_status to service_role, error_daemon;
drop policy if exists tracker_read on public.error_tracker_status;
create policy tracker_read on public.error_tracker_status for select to authenticated
  using ((select exists (select from public.error_project_ids('viewer'))) or (select error_tracking.may_globally('viewer')));
drop policy if exists tracker_daemon on public.error_tracker_status;
create policy tracker_daemon on public.error_tracker_status for all to error_daemon using (true) with check (true);

do $$
declare
  t text;
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  foreach t in array array['error_metrics', 'alert_incidents', 'alert_rules', 'error_rates_live', 'error_tracker_status'] loop
    if not (select puballtables from pg_publication where pubname = 'supabase_realtime') and not exists (
      select from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = t) then
      execute format('alter publication supabase_realtime add table public.%I', t);
    end if;
  end loop;
end $$;

-- PostgREST must learn of the new tables.
notify pgrst, 'reload schema';

commit;
