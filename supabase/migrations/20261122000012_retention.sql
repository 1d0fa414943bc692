-- Error tracking: how long things are kept, and the deletion of what is older.

begin;

create table if not exists error_tracking.retention (
  kind text primary key,
  keep interval not null,
  pruned_before timestamptz,
  pruned_at timestamptz,
  pruned_rows bigint not null default 0,
  constraint kind_must_be_known check (
    kind in ('events', 'minutes', 'hours', 'groups', 'notifications', 'incidents', 'silences')),
  constraint keep_must_be_1_day_to_20_years check (keep between interval '1 day' and interval '20 years')
);
comment on table error_tracking.retention is 'How long each kind of row is kept. Change keep to change it; there is one row per kind.';
comment on column error_tracking.retention.kind is
  'events: error_metrics by received_at; minutes, hours: rollups by bucket, the hours with those of groups and with all coarser sums; groups: by last_seen; notifications: by created_at; incidents: by resolved_at, with their time line; silences: by ends_at.';
comment on column error_tracking.retention.keep is 'Older rows are deleted.';
comment on column error_tracking.retention.pruned_before is 'Rows before this may be missing.';
comment on column error_tracking.retention.pruned_at is 'When rows were last deleted.';
comment on column error_tracking.retention.pruned_rows is 'Number of rows deleted so far.';
insert into error_tracking.retention (kind, keep) values
  ('events', '30 days'), ('minutes', '90 days'), ('hours', '2 years'), ('groups', '1 year'),
  ('notifications', '90 days'), ('incidents', '2 years'), ('silences', '1 year')
on conflict do nothing;

-- What the deletions look for.
create index if not exists idx_alert_notifications_created_at on public.alert_notifications (created_at);
create index if not exists idx_alert_incidents_resolved_at on public.alert_incidents (resolved_at) where state = 'resolved';

-- Rows leave in the order in which they came, so whole pages of tables and indexes become free and
-- are used again, provided that vacuum comes by often enough: after 2 % instead of 20 %.
alter table public.error_metrics set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
alter table public.error_rate_minutes set (autovacuum_vacuum_scale_factor = 0.02);

create or replace function error_tracking.prune(what text, at_most int)
returns table (deleted bigint, finished boolean)
language plpgsql security definer set search_path = '' set jit = off as
$$
declare
  cutoff timestamptz;
  looked_at bigint;
begin
  -- Two who prune at once would only wait for each other's rows.
  select now() - r.keep into cutoff from error_tracking.retention r where r.kind = what for update skip locked;
  if not found then
    return query select 0::bigint, true;
    return;
  end if;
  case what
  when 'events' then
    -- A rule's window is filled from the table after a restart, so it must be there.
    select least(cutoff, now() - make_interval(secs => max(r.window_seconds) + 3600)) into cutoff
      from public.alert_rules r where r.enabled;
    -- Numbers follow the time of arrival but for a transaction's length, so looking at the lowest is
    -- enough. A row that is not counted yet stays, however old.
    with lowest as materialized (
      select m.ctid as place, m.seq, m.received_at from public.error_metrics m order by m.seq limit at_most
    ), gone as (
      delete from public.error_metrics m using lowest l, error_tracking.checkpoint c
       where m.ctid = l.place and l.received_at < cutoff and l.seq <@ c.accounted
      returning 1
    )
    select (select count(*) from gone), (select count(*) from lowest) into deleted, looked_at;
    finished := deleted < at_most;
  when 'minutes' then
    delete from public.error_rate_minutes r where r.ctid = any (array(
      select q.ctid from public.error_rate_minutes q where q.bucket < cutoff order by q.bucket limit at_most));
  when 'hours' then
    delete from public.error_rate_hours r where r.ctid = any (array(
      select q.ctid from public.error_rate_hours q where q.bucket < cutoff order by q.bucket limit at_most));
    -- The groups' hours are as old, and their turn comes next.
    if not found then
      delete from public.error_group_hours r where r.ctid = any (array(
        select q.ctid from public.error_group_hours q where q.bucket < cutoff order by q.bucket limit at_most));
    end if;
  when 'groups' then
    -- What people chose to ignore stays ignored.
    delete from public.error_groups g where g.ctid = any (array(
      select q.ctid from public.error_groups q where q.last_seen < cutoff and q.status <> 'ignored'
       order by q.last_seen limit at_most));
  when 'notifications' then
    -- Those of an open incident say who must hear of its end.
    delete from public.alert_notifications n where n.ctid = any (array(
      select q.ctid from public.alert_notifications q
        left join public.alert_incidents i on i.incident_id = q.incident_id
       where q.created_at < cutoff and q.state in ('sent', 'dead', 'dropped')
         and coalesce(i.state, 'resolved') = 'resolved' and coalesce(i.resolved_at, q.created_at) < cutoff
       order by q.created_at limit at_most));
  when 'incidents' then
    delete from public.alert_incidents i where i.ctid = any (array(
      select q.ctid from public.alert_incidents q
       where q.state = 'resolved' and q.resolved_at < cutoff
         and not exists (select from public.alert_notifications n
                          where n.incident_id = q.incident_id and n.state in ('waiting', 'sending'))
       order by q.resolved_at limit at_most));
  when 'silences' then
    delete from public.alert_silences s where s.ctid = any (array(
      select q.ctid from public.alert_silences q where q.ends_at < cutoff limit at_most));
  else
    raise exception 'what: must be a kind of error_tracking.retention, not %', what using errcode = '22023';
  end case;
  if what <> 'events' then
    get diagnostics deleted = row_count;
    finished := deleted < at_most
      and (what <> 'hours' or not exists (select from public.error_group_hours q where q.bucket < cutoff));
  end if;
  if deleted > 0 then
    update error_tracking.retention r
       set pruned_before = greatest(r.pruned_before, cutoff), pruned_at = now(), pruned_rows = r.pruned_rows + deleted
     where r.kind = what;
  end if;
  return next;
end $$;
comment on function error_tracking.prune(text, int) is
  'Deletes at most so many rows of one kind that are older than its retention; finished when there are no more. Events that are not counted yet stay.';

create or replace procedure error_tracking.prune_all(at_most int default 5000, seconds double precision default 30)
language plpgsql as
$$
declare
  began timestamptz := clock_timestamp();
  kind text;
  done boolean;
begin
  foreach kind in array array['events', 'minutes', 'hours', 'groups', 'notifications', 'incidents', 'silences'] loop
    loop
      select p.finished into done from error_tracking.prune(kind, at_most) p;
      -- Each batch is a transaction of its own, so that nobody waits for its locks and vacuum can follow.
      commit;
      exit when done;
      if clock_timestamp() - began > make_interval(secs => seconds) then
        return;
      end if;
    end loop;
  end loop;
end $$;
comment on procedure error_tracking.prune_all(int, double precision) is
  'Prunes every kind in batches for at most so many seconds: for pg_cron, where the daemon is told not to (RETENTION=off).';

revoke all on error_tracking.retention from public, anon, authenticated, service_role;
revoke all on function error_tracking.prune(text, int) from public;
revoke all on procedure error_tracking.prune_all(int, double precision) from public;
grant select on error_tracking.retention to error_daemon;
grant execute on function error_tracking.prune(text, int) to error_daemon;

commit;
