-- Error tracking: what the dashboard asks for, second half: lists, names, and the tracker's state. Filters
-- and charts stand in 20261122000010.

begin;

-- Lists ----------------------------------------------------------------------------------------------

create or replace function public.error_top_groups(
  since timestamptz default now() - interval '1 hour', until timestamptz default now(), filters jsonb default '{}',
  page_size int default 10
) returns jsonb language plpgsql stable set search_path = '' set jit = off as
$$
declare
  long constant boolean := until - since > interval '6 hours' and coalesce(filters ->> 'text', '') = '';
  unit constant int := case when long then 3600 else 60 end;
  first constant timestamptz := date_bin(make_interval(secs => unit), since, '2000-01-01+00');
  -- A sparkline has at most 24 points.
  step constant int := unit * greatest(1, ceil(extract(epoch from until - first) / unit / 24));
  relation constant text := error_tracking.event_source(coalesce(filters, '{}')
    || case when long then '{"fingerprint": null}' else '{}' end::jsonb, since, until, case when long then 3600 else 1 end);
  result jsonb;
begin
  execute format($f$
    with counted as materialized (
      select e.project_id, e.fingerprint, sum(e.count)::bigint as count
        from %8$s where e.bucket >= %1$L and e.bucket < %4$L %5$s
       group by 1, 2
    ), top as materialized (
      select * from counted order by count desc, fingerprint, project_id limit %6$s
    ), sparks as materialized (
      select e.project_id, e.fingerprint, floor(extract(epoch from e.bucket - %1$L::timestamptz) / %2$s)::int as i, sum(e.count)::bigint as count
        from %3$s where e.bucket >= %1$L and e.bucket < %4$L and e.fingerprint = any (array(select fingerprint from top)) %5$s
       group by 1, 2, 3
    ), rows as (
      select t.count, jsonb_build_object('group_id', g.group_id, 'project_id', t.project_id, 'fingerprint', t.fingerprint, 'title', g.title,
        'source', g.source, 'error_type', g.error_type, 'worst_severity', g.worst_severity, 'status', g.status,
        'first_seen', g.first_seen, 'last_seen', g.last_seen, 'count', t.count,
        'spark', (select jsonb_agg(coalesce(c.count, 0) order by n)
          from generate_series(0, %7$s) as n left join sparks c
            on c.i = n and c.fingerprint = t.fingerprint and c.project_id is not distinct from t.project_id)) as row
        from top t
        left join public.error_groups g on g.fingerprint = t.fingerprint and g.project_id is not distinct from t.project_id
    )
    select jsonb_build_object('since', %1$L::timestamptz, 'until', %4$L::timestamptz, 'step_seconds', %2$s,
      'total', (select coalesce(sum(count), 0) from counted),
      'groups', (select coalesce(jsonb_agg(row order by count desc), '[]') from rows)) $f$,
    first, step, relation, until, error_tracking.event_filter(filters), greatest(1, least(coalesce(page_size, 10), 100)),
    ceil(extract(epoch from until - first) / step)::int - 1,
    case when long then error_tracking.groups_between(first, until) else relation end) into result;
  return result;
end $$;
comment on function public.error_top_groups(timestamptz, timestamptz, jsonb, int) is
  'The groups with most errors in a range, each with a sparkline; over more than 6 hours counted per whole hour.';

create or replace function public.error_workflow_rates(
  since timestamptz default now() - interval '1 hour', until timestamptz default now(), filters jsonb default '{}',
  page_size int default 20
) returns jsonb language plpgsql stable set search_path = '' set jit = off as
$$
declare
  step constant int := case when until - since > interval '24 hours' then 3600 else 60 end;
  first constant timestamptz := date_bin(make_interval(secs => step), since, '2000-01-01+00');
  counts_runs constant boolean := until - since <= interval '24 hours';
  relation text := error_tracking.event_source(filters, since, until, step);
  result jsonb;
begin
  if relation in ('public.error_rate_minutes e', 'public.error_rate_hours e') then
    relation := error_tracking.rates_between(filters, 'workflow', array[first,
      case when step = 3600 then error_tracking.round_up(until, '1 hour') else until end], 21600);
  end if;
  execute format($f$
    with errors as (
      select e.project_id, e.workflow_id, sum(e.count)::bigint as errors,
             coalesce(sum(e.count) filter (where e.severity = 'high'), 0)::bigint as high
        from %1$s where e.bucket >= %2$L and e.bucket < %3$L %4$s
       group by 1, 2
    ), runs as (
      select * from error_tracking.runs_started(%2$L, %3$L, %5$L) where %6$L
    ), rows as (
      select e.*, case when e.workflow_id is null then null when %6$L then coalesce(r.runs, 0) end as runs, s.name, s.slug, s.version
        from errors e left join runs r using (workflow_id)
        left join error_tracking.visible_workflows() s on s.workflow_id = e.workflow_id
       order by e.errors desc, e.workflow_id limit %7$s
    )
    select jsonb_build_object('since', %2$L::timestamptz, 'until', %3$L::timestamptz, 'counts_runs', %6$L::boolean,
      'workflows', coalesce(jsonb_agg(to_jsonb(rows) order by errors desc, workflow_id), '[]')) from rows $f$,
    relation, first, until, error_tracking.event_filter(filters), coalesce(filters, '{}'), counts_runs, greatest(1, least(coalesce(page_size, 20), 200))) into result;
  return result;
end $$;
comment on function public.error_workflow_rates(timestamptz, timestamptz, jsonb, int) is
  'Errors and runs per workflow; runs are null over more than 24 hours, and for errors of no workflow.';

create or replace function public.error_history(
  since timestamptz default now() - interval '24 hours', until timestamptz default now(), filters jsonb default '{}',
  before_at timestamptz default null, before_seq bigint default null, as_of bigint default null, page_size int default 100
) returns setof public.error_metrics language plpgsql stable set search_path = '' set jit = off as
$$
declare
  size constant int := greatest(1, least(coalesce(page_size, 100), 1000));
  bounds text := error_tracking.event_filter(filters);
  ids uuid[];
  without_project boolean := coalesce(error_tracking.may_globally('viewer'), false);
begin
  if coalesce(filters ->> 'text', '') <> '' and until - since > interval '7 days' then
    raise exception 'filters.text: the range must be at most 7 days' using errcode = '22023';
  end if;
  bounds := format(' and e."timestamp" >= %L and e."timestamp" < %L', since, until) || bounds;
  if before_at is not null then
    bounds := bounds || format(' and e."timestamp" <= %1$L and (e."timestamp", e.seq) < (%1$L, %2$L)', before_at, coalesce(before_seq, 0));
  end if;
  if as_of is not null then bounds := bounds || format(' and e.seq <= %L', as_of); end if;
  if coalesce(filters ->> 'fingerprint', '') <> ''
    or (without_project and not filters ? 'project' and coalesce(filters -> 'workflows', '[]') in ('[]', 'null')) then
    -- One group's errors come in order from an index of their own, and so do everybody's to who sees them
    -- all; project by project, all errors of those that have none such would be read in vain.
    return query execute format('select e.* from public.error_metrics e where true %s order by e."timestamp" desc, e.seq desc limit %s', bounds, size);
    return;
  end if;
  ids := array(select public.error_project_ids('viewer'));
  if jsonb_typeof(filters -> 'workflows') = 'array' and filters -> 'workflows' <> '[]' then
    -- A workflow's errors are in its project; elsewhere the search would read everything in vain.
    ids := array(select distinct w.project_id from error_tracking.visible_workflows() w where filters -> 'workflows' ? w.workflow_id::text);
    without_project := false;
  end if;
  -- Each project's latest errors come from an index, however rare they are among everybody's.
  return query execute format($f$
    select m.* from (
      select l.* from unnest(%1$L::uuid[]) as p (id) cross join lateral (
        select e.* from public.error_metrics e where e.project_id = p.id %2$s order by e."timestamp" desc, e.seq desc limit %3$s) l
      union all (
        select e.* from public.error_metrics e where e.project_id is null and %4$L %2$s order by e."timestamp" desc, e.seq desc limit %3$s)
    ) m order by m."timestamp" desc, m.seq desc limit %3$s $f$, ids, bounds, size, without_project);
end $$;
comment on function public.error_history(timestamptz, timestamptz, jsonb, timestamptz, bigint, bigint, int) is
  'Single errors, latest first. The next page is what lies before the last row''s (timestamp, seq); as_of, a number, keeps later arrivals out of all pages.';

create or replace function public.error_feed(after_seq bigint default null, filters jsonb default '{}', page_size int default 100)
returns jsonb language plpgsql stable set search_path = '' set jit = off as
$$
declare
  size constant int := greatest(1, least(coalesce(page_size, 100), 500));
  rows jsonb;
begin
  if after_seq is null then
    select coalesce(jsonb_agg(to_jsonb(h) - 'metadata' order by h.seq desc), '[]') into rows
      from public.error_history(now() - interval '24 hours', 'infinity', filters, page_size => size + 1) h;
  else
    execute format('select coalesce(jsonb_agg(to_jsonb(h) - ''metadata'' order by h.seq desc), ''[]'') from ('
      'select e.* from public.error_metrics e where e.seq > %L %s order by e.seq desc limit %s) h',
      after_seq, error_tracking.event_filter(filters), size + 1) into rows;
  end if;
  return jsonb_build_object('more', jsonb_array_length(rows) > size, 'rows', case when jsonb_array_length(rows) > size then rows - size else rows end,
    'last_seq', coalesce((rows -> 0 ->> 'seq')::bigint, after_seq, 0),
    'low_water', (select max(s.low_water) from public.error_tracker_status s where s.leader), 'at', clock_timestamp());
end $$;
comment on function public.error_feed(bigint, jsonb, int) is
  'The latest errors without metadata, or those with a number above after_seq; more says that others were left out. A reader that goes on from the smaller of last_seq and low_water, and drops what it has, misses nothing that was committed late.';

create or replace function public.error_group_detail(
  fingerprint uuid default null, since timestamptz default now() - interval '24 hours', until timestamptz default now()
) returns jsonb language plpgsql stable set search_path = '' set jit = off as
$$
declare
  by_group constant jsonb := jsonb_build_object('fingerprint', fingerprint);
  long constant boolean := until - since > interval '6 hours';
  first constant timestamptz := date_bin(case when long then interval '1 hour' else '1 minute' end, since, '2000-01-01+00');
  result jsonb;
begin
  execute format($f$
    with counted as materialized (
      select e.project_id, e.workflow_id, e.severity, sum(e.count)::bigint as count
        from %1$s where e.bucket >= %2$L and e.bucket < %3$L %4$s group by 1, 2, 3
    )
    select jsonb_build_object('fingerprint', %5$L::uuid, 'since', %2$L::timestamptz, 'until', %3$L::timestamptz,
      'groups', (select coalesce(jsonb_agg(to_jsonb(g) order by g.last_seen desc), '[]') from public.error_groups g where g.fingerprint = %5$L),
      'count', (select coalesce(sum(count), 0) from counted),
      'severities', (select coalesce(jsonb_object_agg(severity, count), '{}') from (select severity, sum(count) as count from counted group by 1) s),
      'workflows', (select coalesce(jsonb_agg(to_jsonb(w) order by w.count desc), '[]') from (
        select c.project_id, c.workflow_id, v.name, v.slug, v.version, sum(c.count) as count
          from counted c left join error_tracking.visible_workflows() v using (workflow_id) group by 1, 2, 3, 4, 5) w)) $f$,
    error_tracking.event_source(by_group, since, until, case when long then 3600 else 60 end), first, until,
    error_tracking.event_filter(by_group), fingerprint) into result;
  return result;
end $$;
comment on function public.error_group_detail(uuid, timestamptz, timestamptz) is
  'A group as it is in each project the caller sees, with its severities and workflows over a range; whole hours over more than 6 hours.';

-- Names and the tracker's state ------------------------------------------------------------------------

create or replace function error_tracking.visible_workflows()
returns table (workflow_id uuid, project_id uuid, name text, slug text, version int)
language sql security definer stable set search_path = '' as
$$
  select w.id, w.project_id, coalesce(nullif(w.name, ''), w.slug), w.slug, w.version from public.workflow_definitions w
   where w.project_id in (select public.error_project_ids('viewer'))
$$;
comment on function error_tracking.visible_workflows() is
  'Workflows of projects whose errors the caller may see; MeshHook itself shows them to the owner only.';

create or replace function public.error_scopes() returns jsonb
language sql security definer stable set search_path = '' as
$$
  select jsonb_build_object('user_id', auth.uid(), 'global_role', public.error_global_role(),
    'projects', (select coalesce(jsonb_agg(jsonb_build_object('project_id', p.id, 'name', p.name, 'role', public.error_role(p.id)) order by p.name, p.id), '[]')
      from public.projects p where p.id in (select public.error_project_ids('viewer'))),
    'workflows', (select coalesce(jsonb_agg(to_jsonb(w) order by w.name, w.version desc), '[]') from error_tracking.visible_workflows() w))
$$;
comment on function public.error_scopes() is
  'The projects and workflows that the caller may see, with names and with the caller''s role in each project.';

create or replace function public.error_people(ids uuid[] default '{}') returns table (user_id uuid, name text)
language plpgsql security definer stable set search_path = '' as
$$
begin
  if to_regclass('auth.users') is null then return; end if;
  return query execute $f$
    select u.id, coalesce(nullif(u.raw_user_meta_data ->> 'name', ''), split_part(u.email::text, '@', 1), 'somebody')
      from auth.users u
     where u.id = any ($1) and (u.id = auth.uid()
       or exists (select from public.projects p where p.owner = u.id and p.id in (select public.error_project_ids('viewer')))
       or exists (select from public.error_access a where a.user_id = u.id
            and (a.project_id is null or a.project_id in (select public.error_project_ids('viewer'))))
      ) and (exists (select public.error_project_ids('viewer')) or error_tracking.may_globally('viewer')) $f$ using ids;
end $$;
comment on function public.error_people(uuid[]) is
  'Names of colleagues: of people who own or may see a project that the caller sees. Time lines say who did what.';

create or replace function public.tracker_status() returns jsonb
language plpgsql security definer stable set search_path = '' set jit = off as
$$
declare
  result jsonb;
begin
  if not (exists (select public.error_project_ids('viewer')) or coalesce(error_tracking.may_globally('viewer'), false)) then
    raise exception 'tracker_status: you have no role in any project' using errcode = '42501';
  end if;
  with instances as (
    select s.*, round(extract(epoch from clock_timestamp() - s.heartbeat_at)::numeric, 1) as age_seconds
      from public.error_tracker_status s
  ), hour as (
    select * from error_tracking.canary_delays c where c.at > now() - interval '1 hour'
  )
  select jsonb_build_object('now', clock_timestamp(),
    'age_seconds', (select min(age_seconds) from instances),
    'leader', (select to_jsonb(i) from instances i where i.leader order by i.heartbeat_at desc limit 1),
    'instances', (select coalesce(jsonb_agg(to_jsonb(i) order by i.leader desc, i.heartbeat_at desc), '[]') from instances i),
    'outbox', (select jsonb_build_object('waiting', count(*) filter (where n.state in ('waiting', 'sending')),
        'oldest_waiting_seconds', coalesce(round(extract(epoch from clock_timestamp() - min(n.created_at) filter (where n.state in ('waiting', 'sending')))), 0))
      from public.alert_notifications n where n.state in ('waiting', 'sending')),
    'given_up_last_day', (select count(*) from public.alert_notifications n where n.state = 'dead' and n.created_at > now() - interval '1 day'),
    'broken_channels', (select count(*) from public.alert_channels c where c.state = 'broken' and c.enabled),
    'canary', (select jsonb_build_object('samples', count(*), 'p50', percentile_cont(0.5) within group (order by h.milliseconds),
        'p95', percentile_cont(0.95) within group (order by h.milliseconds), 'max', max(h.milliseconds)) from hour h),
    'canary_minutes', (select coalesce(jsonb_agg(to_jsonb(m) order by m.minute), '[]') from (
        select date_trunc('minute', h.at) as minute, avg(h.milliseconds) as mean, max(h.milliseconds) as max from hour h group by 1) m))
    into result;
  return result;
end $$;
comment on function public.tracker_status() is
  'The tracker''s health: instances and leader with the age of each heartbeat, completeness, outbox, and how long updates took to come back through Realtime over the last hour, in ms.';

-- Access ----------------------------------------------------------------------------------------------

revoke all on function error_tracking.visible_workflows() from public;
grant execute on function error_tracking.visible_workflows() to authenticated, service_role;
do $$
declare
  f regprocedure;
begin
  for f in select p.oid::regprocedure from pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname in (
      'error_top_groups', 'error_workflow_rates', 'error_history', 'error_feed',
      'error_group_detail', 'error_scopes', 'error_people', 'tracker_status') loop
    execute format('revoke all on function %s from public, anon, error_reporter, error_daemon', f);
    execute format('grant execute on function %s to authenticated, service_role', f);
  end loop;
end $$;

notify pgrst, 'reload schema';

commit;
