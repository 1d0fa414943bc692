-- Error tracking: what the dashboard asks for. Each function answers one card of a page in one call,
-- under the caller's own row-level security, and reads rollups wherever a range is long.

begin;

-- Errors per group and hour ---------------------------------------------------------------------

do $$
begin
  if to_regclass('public.error_group_hours') is null then
    create table public.error_group_hours (
      bucket timestamptz not null,
      project_id uuid references public.projects (id) on delete cascade,
      workflow_id uuid,
      fingerprint uuid not null,
      source varchar(16) not null,
      error_type varchar(128) not null,
      severity public.error_severity not null,
      count bigint not null,
      constraint error_group_hours_key unique nulls not distinct (bucket, project_id, fingerprint, workflow_id, severity)
    );
    -- What the checkpoint says is counted must be counted here as well; nobody may count meanwhile.
    perform from error_tracking.checkpoint for update;
    insert into public.error_group_hours (bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count)
    select date_trunc('hour', m."timestamp", 'UTC'), m.project_id, m.workflow_id, m.fingerprint, m.source, m.error_type,
           m.severity, count(*)
      from public.error_metrics m, error_tracking.checkpoint c
     where m.seq <@ c.accounted
     group by 1, 2, 3, 4, 5, 6, 7;
  end if;
end $$;
create index if not exists idx_error_group_hours_fingerprint_bucket on public.error_group_hours (fingerprint, bucket);
comment on table public.error_group_hours is
  'Exact number of errors per hour and group, so that lists of groups need not read single errors.';
comment on column public.error_group_hours.bucket is 'Start of the hour, UTC.';
comment on column public.error_group_hours.project_id is 'As in error_metrics.';
comment on column public.error_group_hours.workflow_id is 'As in error_metrics when the row was counted.';
comment on column public.error_group_hours.fingerprint is 'As in error_metrics.';
comment on column public.error_group_hours.source is 'As in error_metrics; the fingerprint implies it.';
comment on column public.error_group_hours.error_type is 'As in error_metrics; the fingerprint implies it.';
comment on column public.error_group_hours.severity is 'As in error_metrics.';
comment on column public.error_group_hours.count is 'Number of errors.';

select error_tracking.protect('public.error_group_hours', 'viewer');
grant select, insert, update on public.error_group_hours to error_daemon;

-- How long updates took to come back -------------------------------------------------------------

create table if not exists error_tracking.canary_delays (
  instance_id uuid not null,
  at timestamptz not null,
  milliseconds double precision not null,
  primary key (at, instance_id)
);
comment on table error_tracking.canary_delays is
  'How long each update of a status row took to come back through Realtime, over the last day.';
comment on column error_tracking.canary_delays.instance_id is 'The instance that measured.';
comment on column error_tracking.canary_delays.at is 'When it wrote the measurement down.';
comment on column error_tracking.canary_delays.milliseconds is 'From writing to hearing.';
revoke all on error_tracking.canary_delays from public, anon, authenticated, service_role, error_daemon;

create or replace function error_tracking.keep_canary_delay() returns trigger
language plpgsql security definer set search_path = '' as
$$
begin
  insert into error_tracking.canary_delays (instance_id, at, milliseconds)
  values (new.instance_id, new.heartbeat_at, new.canary_ms) on conflict do nothing;
  delete from error_tracking.canary_delays where at < new.heartbeat_at - interval '1 day';
  return null;
end $$;
comment on function error_tracking.keep_canary_delay() is 'Keeps a day of measurements; the status row holds only the last one.';
drop trigger if exists keep_canary_delay on public.error_tracker_status;
create trigger keep_canary_delay after update of canary_ms on public.error_tracker_status
  for each row when (new.canary_ms is not null and new.canary_ms is distinct from old.canary_ms)
  execute function error_tracking.keep_canary_delay();

-- Filters ------------------------------------------------------------------------------------------
-- All functions take the same filters, as {"project": id or "none", "sources": [], "types": [],
-- "severities": [], "workflows": [], "fingerprint": id, "text": "…"}. They build their statement with
-- literals, so that the planner knows the range; every value goes through format's %L.

create or replace function error_tracking.one_of(ids text[]) returns text
language sql immutable strict set search_path = '' as
$$ select case cardinality(ids) when 1 then format('= %L::uuid', ids[1]) else format('= any (%L::uuid[])', ids) end $$;
comment on function error_tracking.one_of(text[]) is
  'A comparison with ids as a piece of SQL: with one id, an index can give the rows in order.';

create or replace function error_tracking.event_filter(filters jsonb) returns text
language plpgsql stable set search_path = '' as
$$
declare
  condition text := '';
  key text;
  value jsonb;
  listed text[];
begin
  for key, value in select * from jsonb_each(coalesce(filters, '{}')) loop
    continue when value in ('null', '[]', '""');
    listed := case jsonb_typeof(value) when 'array' then array(select jsonb_array_elements_text(value))
      else array[value #>> '{}'] end;
    if key in ('project', 'workflows', 'fingerprint') and not (key = 'project' and listed = '{none}')
      and not error_tracking.all_match(listed, '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$') then
      raise exception 'filters.%: must be a uuid', key using errcode = '22023';
    end if;
    condition := condition || case key
      when 'project' then case when listed = '{none}' then ' and e.project_id is null'
        else format(' and e.project_id %s', error_tracking.one_of(listed)) end
      when 'sources' then format(' and e.source = any (%L::text[])', listed)
      when 'types' then format(' and (e.error_type = any (%1$L::text[]) or split_part(e.error_type, ''.'', 1) = any (%1$L::text[]))', listed)
      when 'severities' then format(' and e.severity = any (%L::public.error_severity[])', listed)
      when 'workflows' then format(' and e.workflow_id %s', error_tracking.one_of(listed))
      when 'fingerprint' then format(' and e.fingerprint %s', error_tracking.one_of(listed))
      when 'text' then format(' and strpos(lower(e.message), lower(%L)) > 0', left(listed[1], 200)) end;
    if condition is null then
      raise exception 'filters.%: there is no such filter', key using errcode = '22023';
    end if;
  end loop;
  if not filters ? 'project' and not coalesce(error_tracking.may_globally('viewer'), false) then
    -- Row-level security says the same, but in a form that cannot use an index.
    condition := condition || format(' and e.project_id %s', error_tracking.one_of(array(select public.error_project_ids('viewer')::text)));
  end if;
  return condition;
end $$;
comment on function error_tracking.event_filter(jsonb) is 'The filters of the dashboard as conditions on e.';

create or replace function error_tracking.event_source(filters jsonb, since timestamptz, until timestamptz, step_seconds int)
returns text language plpgsql stable set search_path = '' as
$$
declare
  events constant text := '(select m.*, m."timestamp" as bucket, 1 as count from public.error_metrics m) e';
  by_text boolean := coalesce(filters ->> 'text', '') <> '';
begin
  if since is null or until is null or not isfinite(since) or not isfinite(until) or since >= until then
    raise exception 'since: must be before until' using errcode = '22023';
  elsif by_text or step_seconds % 60 <> 0 then
    -- A range of a day that was widened to whole steps is still one of a day.
    if until - since > interval '24 hours' + make_interval(secs => 2 * least(step_seconds, 3600)) then
      raise exception '%: the range must be at most 24 hours', case when by_text then 'filters.text' else 'step_seconds' end
        using errcode = '22023', hint = 'Texts and single seconds are read from the errors themselves.';
    end if;
    return events;
  elsif filters ? 'fingerprint' then
    if step_seconds % 3600 = 0 then return 'public.error_group_hours e'; end if;
    if until - since > interval '48 hours' then
      raise exception 'step_seconds: must be whole hours over more than 48 hours' using errcode = '22023';
    end if;
    return events;
  elsif step_seconds % 3600 = 0 then
    return 'public.error_rate_hours e';
  elsif until - since > interval '8 days' then
    raise exception 'step_seconds: must be whole hours over more than 8 days' using errcode = '22023';
  end if;
  return 'public.error_rate_minutes e';
end $$;
comment on function error_tracking.event_source(jsonb, timestamptz, timestamptz, int) is
  'The smallest relation that can answer: rollups per hour or minute, or a bounded stretch of single errors.';

create or replace function error_tracking.complete_through() returns timestamptz
language sql stable set search_path = '' as
$$ select max(s.complete_through) from public.error_tracker_status s where s.leader and s.heartbeat_at > now() - interval '1 minute' $$;
comment on function error_tracking.complete_through() is
  'Up to when everything committed has been counted; null while nobody leads.';

create or replace function error_tracking.runs_started(since timestamptz, until timestamptz, filters jsonb)
returns table (workflow_id uuid, runs bigint) language plpgsql security definer stable set search_path = '' set jit = off as
$$
declare
  visible uuid[] := array(select public.error_project_ids('viewer'));
begin
  if filters ->> 'project' is not null then
    visible := array(select p from unnest(visible) as p where p::text = lower(filters ->> 'project'));
  end if;
  -- MeshHook lets only owners read runs; viewers of their errors may know how many there were.
  return query select r.workflow_id, count(*) from public.workflow_runs r
   where r.project_id = any (visible) and r.started_at >= since and r.started_at < until
     and (coalesce(filters -> 'workflows', '[]') in ('[]', 'null') or filters -> 'workflows' ? r.workflow_id::text)
   group by r.workflow_id;
end $$;
comment on function error_tracking.runs_started(timestamptz, timestamptz, jsonb) is
  'Workflow runs of projects that the caller may see, by the start of each run.';

-- Charts ---------------------------------------------------------------------------------------------

create or replace function public.error_series(
  since timestamptz default now() - interval '1 hour', until timestamptz default now(), step_seconds int default 60,
  dimension text default 'severity', filters jsonb default '{}'
) returns jsonb language plpgsql stable set search_path = '' set jit = off as
$$
declare
  origin constant timestamptz := '2000-01-01+00';
  step interval;
  first timestamptz;
  last timestamptz;
  n bigint;
  relation text;
  result jsonb;
begin
  if step_seconds is null or step_seconds not between 1 and 2592000 then
    raise exception 'step_seconds: must be 1 to 2592000' using errcode = '22023';
  end if;
  step := make_interval(secs => step_seconds);
  first := date_bin(step, since, origin);
  last := date_bin(step, until, origin);
  if last < until then last := last + step; end if;
  n := round(extract(epoch from last - first) / step_seconds);
  if n not between 1 and 2000 then
    raise exception 'step_seconds: must make 1 to 2000 steps, not %', n using errcode = '22023';
  end if;
  if dimension is null or dimension not in ('severity', 'source', 'type', 'workflow', 'none') then
    raise exception 'dimension: must be severity, source, type, workflow or none' using errcode = '22023';
  end if;
  relation := error_tracking.event_source(filters, first, last, step_seconds);
  if relation in ('public.error_rate_minutes e', 'public.error_rate_hours e') then
    relation := error_tracking.rates_between(filters, dimension, array[first, last], step_seconds);
  end if;
  execute format($f$
    with stored as (
      -- Grouped by what is stored first, which is cheap; steps and names are made of the few rows that remain.
      select e.bucket, %3$s as key, sum(e.count) as count
        from %4$s where e.bucket >= %5$L and e.bucket < %6$L %7$s
       group by 1, 2
    ), counted as materialized (
      select date_bin(%1$L::interval, bucket, %2$L::timestamptz) as at, coalesce(key::text, 'none') as key, sum(count)::bigint as count
        from stored group by 1, 2
    ), ranked as (
      select key, row_number() over (order by sum(count) desc, key) as place from counted group by key
    ), named as (
      select c.at, case when r.place <= 8 then c.key else 'other' end as key, sum(c.count)::bigint as count
        from counted c join ranked r using (key) group by 1, 2
    ), filled as (
      select k.key, jsonb_agg(coalesce(n.count, 0) order by i) as counts, sum(n.count) as total
        from (select unnest(%8$L::text[]) as key union select key from named) k
       cross join generate_series(0, %9$s - 1) as i
        left join named n on n.key = k.key and n.at = %5$L::timestamptz + i * %1$L::interval
       group by k.key
    )
    select jsonb_build_object('since', %5$L::timestamptz, 'until', %6$L::timestamptz, 'step_seconds', %10$s, 'dimension', %11$L,
             'counts', coalesce(jsonb_object_agg(key, counts), '{}'), 'totals', coalesce(jsonb_object_agg(key, coalesce(total, 0)), '{}'),
             'complete_through', error_tracking.complete_through()) from filled $f$,
    step, origin,
    case dimension when 'severity' then 'e.severity' when 'source' then 'e.source' when 'type' then 'e.error_type'
      when 'workflow' then 'e.workflow_id' else '''total''' end,
    relation, first, last, error_tracking.event_filter(filters),
    case dimension when 'severity' then '{high,medium,low}' when 'source' then '{worker,webhook,system}'
      when 'none' then '{total}' else '{}' end,
    n, step_seconds, dimension) into result;
  return result;
end $$;
comment on function public.error_series(timestamptz, timestamptz, int, text, jsonb) is
  'Errors per step of a range, zero where there were none, by severity, source, type (the eight most frequent and "other"), workflow or none. The range is widened to whole steps, whose bounds come with the answer.';

create or replace function public.error_overview(
  since timestamptz default now() - interval '1 hour', until timestamptz default now(), filters jsonb default '{}'
) returns jsonb language plpgsql stable set search_path = '' set jit = off as
$$
declare
  step constant int := case when until - since > interval '24 hours' then 3600 else 60 end;
  width constant interval := make_interval(secs => step);
  first constant timestamptz := date_bin(width, since, '2000-01-01+00');
  whole constant timestamptz := date_bin(width, until, '2000-01-01+00');
  raw constant boolean := coalesce(filters ->> 'text', '') <> '' or coalesce(filters, '{}') ? 'fingerprint';
  -- Where single errors must be read, no more than a day of them is.
  compares constant boolean := not raw or until - since <= interval '12 hours';
  before constant timestamptz := case when compares then first - (whole - first) else first end;
  ratio_since constant timestamptz := greatest(first, whole - interval '24 hours');
  condition constant text := error_tracking.event_filter(filters);
  relation text; current bigint; rest bigint; previous bigint; recent bigint; ratio_errors bigint; runs bigint; incidents jsonb;
begin
  relation := error_tracking.event_source(filters, case when raw then before else since end, until, step);
  if not raw then
    -- Whole hours where no instant that is asked about lies within them.
    relation := error_tracking.rates_between(filters, 'none', array[before, first, ratio_since, whole,
      case when step = 3600 then error_tracking.round_up(until, width) else until end], 21600);
  end if;
  execute format('select coalesce(sum(e.count) filter (where e.bucket >= %1$L and e.bucket < %2$L), 0), '
      'coalesce(sum(e.count) filter (where e.bucket >= %2$L), 0), coalesce(sum(e.count) filter (where e.bucket < %1$L), 0), '
      'coalesce(sum(e.count) filter (where e.bucket >= %6$L), 0) from %3$s where e.bucket >= %4$L and e.bucket < %7$L %5$s',
    first, whole, relation, before, condition, ratio_since, until)
    into current, rest, previous, ratio_errors;
  execute format('select count(*) from public.error_metrics e where e."timestamp" > now() - interval ''1 minute'' %s', condition) into recent;
  select coalesce(sum(r.runs), 0) into runs from error_tracking.runs_started(ratio_since, until, filters) r;
  execute 'select jsonb_build_object(''firing'', count(*) filter (where e.state = ''firing''), '
      '''pending'', count(*) filter (where e.state = ''pending''), '
      '''critical'', count(*) filter (where e.state = ''firing'' and e.level = ''critical''), '
      '''acknowledged'', count(*) filter (where e.state = ''firing'' and e.acknowledged_at is not null)) '
      'from public.alert_incidents e where e.state <> ''resolved'''
      || case when filters ->> 'project' is null then '' else error_tracking.event_filter(jsonb_build_object('project', filters -> 'project')) end
    into incidents;
  return jsonb_build_object('since', first, 'until', until, 'errors', current + rest, 'per_minute_now', recent,
    'compared', jsonb_build_object('until', whole, 'current', current,
      'previous', case when compares then previous end),
    'ratio', jsonb_build_object('since', ratio_since, 'errors', ratio_errors, 'runs', runs),
    'incidents', incidents, 'complete_through', error_tracking.complete_through());
end $$;
comment on function public.error_overview(timestamptz, timestamptz, jsonb) is
  'The tiles: errors in the range and in the last minute, whole steps of the range against as many before them, errors and runs of the range''s last day, open incidents.';

-- Access ----------------------------------------------------------------------------------------------

revoke all on function error_tracking.one_of(text[]), error_tracking.event_filter(jsonb), error_tracking.event_source(jsonb, timestamptz, timestamptz, int),
  error_tracking.complete_through(), error_tracking.runs_started(timestamptz, timestamptz, jsonb),
  error_tracking.keep_canary_delay() from public;
grant execute on function error_tracking.one_of(text[]), error_tracking.event_filter(jsonb), error_tracking.event_source(jsonb, timestamptz, timestamptz, int),
  error_tracking.complete_through(), error_tracking.runs_started(timestamptz, timestamptz, jsonb)
  to authenticated, service_role;
revoke all on function public.error_series(timestamptz, timestamptz, int, text, jsonb),
  public.error_overview(timestamptz, timestamptz, jsonb) from public, anon, error_reporter, error_daemon;
grant execute on function public.error_series(timestamptz, timestamptz, int, text, jsonb),
  public.error_overview(timestamptz, timestamptz, jsonb) to authenticated, service_role;

notify pgrst, 'reload schema';

commit;
