-- Error tracking: coarser counts, so that a chart over a month reads thousands of rows and not a million.
-- They follow the exact counts per hour by triggers, in the same transaction, whoever changes those; so
-- they need no check of their own, and deleting old hours deletes here as well.

begin;

-- One part per kind, so that what one question reads lies together on the disk.
create table if not exists error_tracking.rate_sums (
  kind text not null,
  bucket timestamptz not null,
  project_id uuid references public.projects (id) on delete cascade,
  key text,
  severity public.error_severity not null,
  count bigint not null,
  constraint rate_sums_key unique nulls not distinct (kind, bucket, project_id, key, severity)
) partition by list (kind);
do $$
declare
  kind text;
begin
  foreach kind in array array['hour_none', 'hour_source', 'hour_type', 'quarter_none', 'quarter_source', 'quarter_type', 'quarter_workflow'] loop
    execute format('create table if not exists error_tracking.rate_sums_%1$s partition of error_tracking.rate_sums for values in (%1$L)', kind);
    execute format('revoke all on error_tracking.rate_sums_%s from public, anon, authenticated, service_role, error_daemon', kind);
    execute format('comment on table error_tracking.rate_sums_%s is %L', kind, 'A part of rate_sums; nobody reads it by itself.');
  end loop;
end $$;
comment on table error_tracking.rate_sums is
  'What error_rate_hours holds, summed over all of its columns but project, severity and one other.';
comment on column error_tracking.rate_sums.kind is
  'Length of the buckets, an hour or a quarter of a day, and the column that is kept: source, type, workflow, or none.';
comment on column error_tracking.rate_sums.bucket is 'Start of the bucket, UTC.';
comment on column error_tracking.rate_sums.project_id is 'As in error_rate_hours.';
comment on column error_tracking.rate_sums.key is 'The column''s value; null for none, and where the value is null.';
comment on column error_tracking.rate_sums.severity is 'As in error_rate_hours.';
comment on column error_tracking.rate_sums.count is 'Number of errors.';

create table if not exists error_tracking.group_days (
  bucket timestamptz not null,
  project_id uuid references public.projects (id) on delete cascade,
  workflow_id uuid,
  fingerprint uuid not null,
  source varchar(16) not null,
  error_type varchar(128) not null,
  severity public.error_severity not null,
  count bigint not null,
  constraint group_days_key unique nulls not distinct (bucket, project_id, fingerprint, workflow_id, severity)
);
create index if not exists idx_group_days_fingerprint_bucket on error_tracking.group_days (fingerprint, bucket);
comment on table error_tracking.group_days is 'What error_group_hours holds, per day.';
comment on column error_tracking.group_days.bucket is 'Start of the day, UTC.';
comment on column error_tracking.group_days.project_id is 'As in error_group_hours.';
comment on column error_tracking.group_days.workflow_id is 'As in error_group_hours.';
comment on column error_tracking.group_days.fingerprint is 'As in error_group_hours.';
comment on column error_tracking.group_days.source is 'As in error_group_hours.';
comment on column error_tracking.group_days.error_type is 'As in error_group_hours.';
comment on column error_tracking.group_days.severity is 'As in error_group_hours.';
comment on column error_tracking.group_days.count is 'Number of errors.';

select error_tracking.protect('error_tracking.rate_sums', 'viewer');
select error_tracking.protect('error_tracking.group_days', 'viewer');
-- Only the triggers below write them.
revoke insert, update, delete on error_tracking.rate_sums, error_tracking.group_days from service_role;

-- Following the hours ------------------------------------------------------------------------------

create or replace function error_tracking.day_of(at timestamptz) returns timestamptz
language sql immutable strict set search_path = '' as
$$ select pg_catalog.date_bin('1 day', at, '2000-01-01+00') $$;
comment on function error_tracking.day_of(timestamptz) is 'Start of the day, UTC.';

create or replace function error_tracking.sums_of(bucket timestamptz, source text, error_type text, workflow_id uuid)
returns table (kind text, starts timestamptz, key text) language sql immutable set search_path = '' as
$$
  select s.kind, s.starts, s.key
    from (select pg_catalog.date_bin('6 hours', bucket, '2000-01-01+00') as quarter) q
   cross join lateral (values ('hour_none', bucket, null), ('hour_source', bucket, source), ('hour_type', bucket, error_type),
     ('quarter_none', quarter, null), ('quarter_source', quarter, source), ('quarter_type', quarter, error_type), ('quarter_workflow', quarter, workflow_id::text)) s (kind, starts, key)
$$;
comment on function error_tracking.sums_of(timestamptz, text, text, uuid) is 'Into which sums an hour''s errors count.';

create or replace function error_tracking.sum_rates() returns trigger
language plpgsql security definer set search_path = '' set jit = off as
$$
begin
  if tg_op = 'TRUNCATE' then
    delete from error_tracking.rate_sums;
  elsif tg_op = 'DELETE' then
    -- Nothing is inserted: where a project goes, its sums may be gone already.
    with gone as (
      select d.kind, d.starts, o.project_id, d.key, o.severity, sum(o.count)::bigint as count
        from old_rows o cross join lateral error_tracking.sums_of(o.bucket, o.source, o.error_type, o.workflow_id) d
       group by 1, 2, 3, 4, 5
    )
    update error_tracking.rate_sums s set count = s.count - g.count from gone g
     where s.kind = g.kind and s.bucket = g.starts and s.severity = g.severity
       and s.project_id is not distinct from g.project_id and s.key is not distinct from g.key;
    delete from error_tracking.rate_sums s using (
        select distinct d.kind, d.starts
          from old_rows o cross join lateral error_tracking.sums_of(o.bucket, o.source, o.error_type, o.workflow_id) d) g
     where s.count = 0 and s.kind = g.kind and s.bucket = g.starts;
  elsif tg_op = 'INSERT' then
    insert into error_tracking.rate_sums as s (kind, bucket, project_id, key, severity, count)
    select d.kind, d.starts, c.project_id, d.key, c.severity, sum(c.count)
      from new_rows c cross join lateral error_tracking.sums_of(c.bucket, c.source, c.error_type, c.workflow_id) d
     group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
    on conflict (kind, bucket, project_id, key, severity) do update set count = s.count + excluded.count;
  else
    insert into error_tracking.rate_sums as s (kind, bucket, project_id, key, severity, count)
    select d.kind, d.starts, c.project_id, d.key, c.severity, sum(c.count)
      from (select bucket, project_id, workflow_id, source, error_type, severity, count from new_rows
            union all
            select bucket, project_id, workflow_id, source, error_type, severity, -count from old_rows) c
     cross join lateral error_tracking.sums_of(c.bucket, c.source, c.error_type, c.workflow_id) d
     group by 1, 2, 3, 4, 5 having sum(c.count) <> 0 order by 1, 2, 3, 4, 5
    on conflict (kind, bucket, project_id, key, severity) do update set count = s.count + excluded.count;
  end if;
  return null;
end $$;
comment on function error_tracking.sum_rates() is 'Adds what a statement changed in error_rate_hours to rate_sums.';

create or replace function error_tracking.sum_groups() returns trigger
language plpgsql security definer set search_path = '' set jit = off as
$$
begin
  if tg_op = 'TRUNCATE' then
    delete from error_tracking.group_days;
  elsif tg_op = 'DELETE' then
    with gone as (
      select error_tracking.day_of(bucket) as bucket, project_id, fingerprint, workflow_id, severity, sum(count)::bigint as count
        from old_rows group by 1, 2, 3, 4, 5
    )
    update error_tracking.group_days s set count = s.count - g.count from gone g
     where s.bucket = g.bucket and s.fingerprint = g.fingerprint and s.severity = g.severity
       and s.project_id is not distinct from g.project_id and s.workflow_id is not distinct from g.workflow_id;
    delete from error_tracking.group_days s
     where s.count = 0 and s.bucket in (select error_tracking.day_of(o.bucket) from old_rows o);
  elsif tg_op = 'INSERT' then
    insert into error_tracking.group_days as s (bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count)
    select error_tracking.day_of(bucket), project_id, workflow_id, fingerprint, min(source), min(error_type), severity, sum(count)
      from new_rows group by 1, 2, 3, 4, severity order by 1, 2, 4, 3, severity
    on conflict on constraint group_days_key do update set count = s.count + excluded.count;
  else
    insert into error_tracking.group_days as s (bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count)
    select error_tracking.day_of(bucket), project_id, workflow_id, fingerprint, min(source), min(error_type), severity, sum(count)
      from (select * from new_rows
            union all
            select bucket, project_id, workflow_id, fingerprint, source, error_type, severity, -count from old_rows) c
     group by 1, 2, 3, 4, severity having sum(count) <> 0 order by 1, 2, 4, 3, severity
    on conflict on constraint group_days_key do update set count = s.count + excluded.count;
  end if;
  return null;
end $$;
comment on function error_tracking.sum_groups() is 'Adds what a statement changed in error_group_hours to group_days.';

revoke all on function error_tracking.sum_rates(), error_tracking.sum_groups(), error_tracking.day_of(timestamptz),
  error_tracking.sums_of(timestamptz, text, text, uuid) from public;

-- What stands in the hours already, counted while nobody may count; the triggers follow from there.
do $$
declare
  follows constant text[] := array['error_rate_hours', 'sum_rates', 'error_group_hours', 'sum_groups'];
  i int;
begin
  if exists (select from pg_trigger where tgname = 'sum_inserted' and tgrelid = 'public.error_rate_hours'::regclass) then return; end if;
  perform from error_tracking.checkpoint for update;
  insert into error_tracking.rate_sums (kind, bucket, project_id, key, severity, count)
  select d.kind, d.starts, c.project_id, d.key, c.severity, sum(c.count)
    from public.error_rate_hours c cross join lateral error_tracking.sums_of(c.bucket, c.source, c.error_type, c.workflow_id) d
   group by 1, 2, 3, 4, 5 order by 1, 2;
  insert into error_tracking.group_days (bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count)
  select error_tracking.day_of(bucket), project_id, workflow_id, fingerprint, min(source), min(error_type), severity, sum(count)
    from public.error_group_hours group by 1, 2, 3, 4, severity order by 1;
  foreach i in array array[1, 3] loop
    execute format('create trigger sum_inserted after insert on public.%I referencing new table as new_rows for each statement execute function error_tracking.%I()', follows[i], follows[i + 1]);
    execute format('create trigger sum_updated after update on public.%I referencing old table as old_rows new table as new_rows for each statement execute function error_tracking.%I()', follows[i], follows[i + 1]);
    execute format('create trigger sum_deleted after delete on public.%I referencing old table as old_rows for each statement execute function error_tracking.%I()', follows[i], follows[i + 1]);
    execute format('create trigger sum_truncated after truncate on public.%I for each statement execute function error_tracking.%I()', follows[i], follows[i + 1]);
  end loop;
end $$;

grant select on error_tracking.rate_sums, error_tracking.group_days to authenticated, service_role;

create or replace function error_tracking.round_up(at timestamptz, width interval) returns timestamptz
language sql immutable strict set search_path = '' as
$$
  select b + case when b < at then width else interval '0' end from pg_catalog.date_bin(width, at, '2000-01-01+00') b
$$;
comment on function error_tracking.round_up(timestamptz, interval) is 'The first whole step that is not before an instant.';

-- The smallest relation that can answer ------------------------------------------------------------

create or replace function error_tracking.rates_between(filters jsonb, dimension text, cuts timestamptz[], step_seconds int)
returns text language plpgsql stable set search_path = '' as
$$
declare
  -- Sums know project, severity, and one other column.
  simple constant boolean := not exists (select from jsonb_each(coalesce(filters, '{}')) f
    where f.key not in ('project', 'severities') and f.value not in ('null', '[]', '""'));
  columns constant text := 'bucket, project_id, workflow_id, source, error_type, severity, count';
  summed constant text := 'bucket, project_id, %s as workflow_id, %s as source, %s as error_type, severity, count';
  todo timestamptz[] := array(select distinct c from unnest(cuts) c order by c);
  -- Pairs of instants between which nothing was found yet.
  lows timestamptz[] := todo[:cardinality(todo) - 1];
  highs timestamptz[] := todo[2:];
  rest_lows timestamptz[];
  rest_highs timestamptz[];
  parts text[] := '{}';
  width interval; low timestamptz; high timestamptz; unit int; chosen text; relation text; i int;
begin
  foreach unit in array array[21600, 3600, 60] loop
    continue when step_seconds % unit <> 0;
    if unit = 60 then
      relation := 'public.error_rate_minutes r where';
      chosen := columns;
    elsif simple and (unit = 3600 and dimension in ('none', 'severity', 'source', 'type') or unit = 21600 and dimension in ('none', 'severity', 'source', 'type', 'workflow')) then
      relation := format('error_tracking.rate_sums r where r.kind = %L and', case unit when 3600 then 'hour_' else 'quarter_' end
        || case dimension when 'severity' then 'none' else dimension end);
      chosen := format(summed, case dimension when 'workflow' then 'key::uuid' else 'null::uuid' end,
        case dimension when 'source' then 'key' else 'null::text' end, case dimension when 'type' then 'key' else 'null::text' end);
    elsif unit = 3600 then
      relation := 'public.error_rate_hours r where';
      chosen := columns;
    else
      continue;
    end if;
    width := make_interval(secs => unit);
    rest_lows := '{}';
    rest_highs := '{}';
    for i in 1 .. coalesce(cardinality(lows), 0) loop
      low := error_tracking.round_up(lows[i], width);
      high := date_bin(width, highs[i], '2000-01-01+00');
      -- Nothing is finer than a minute.
      if unit = 60 then low := lows[i]; high := highs[i]; end if;
      if low < high then
        parts := parts || format('select %s from %s r.bucket >= %L and r.bucket < %L', chosen, relation, low, high);
        if lows[i] < low then rest_lows := rest_lows || lows[i]; rest_highs := rest_highs || low; end if;
        if high < highs[i] then rest_lows := rest_lows || high; rest_highs := rest_highs || highs[i]; end if;
      else
        rest_lows := rest_lows || lows[i];
        rest_highs := rest_highs || highs[i];
      end if;
    end loop;
    lows := rest_lows;
    highs := rest_highs;
  end loop;
  return '(' || array_to_string(parts, ' union all ') || ') e';
end $$;
comment on function error_tracking.rates_between(jsonb, text, timestamptz[], int) is
  'Errors between the first and the last of some instants, in buckets of which none lies across one of them; step_seconds is a multiple of the buckets that the caller can tell apart.';

create or replace function error_tracking.groups_between(since timestamptz, until timestamptz) returns text
language plpgsql stable set search_path = '' as
$$
declare
  columns constant text := 'bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count';
  low constant timestamptz := error_tracking.round_up(since, '1 day');
  high constant timestamptz := error_tracking.day_of(until);
begin
  if low >= high then
    return 'public.error_group_hours e';
  end if;
  return format('(select %1$s from error_tracking.group_days where bucket >= %3$L and bucket < %4$L union all '
    'select %1$s from public.error_group_hours where bucket >= %2$L and bucket < %3$L union all '
    'select %1$s from public.error_group_hours where bucket >= %4$L and bucket < %5$L) e', columns, since, low, high, until);
end $$;
comment on function error_tracking.groups_between(timestamptz, timestamptz) is
  'Errors per group between two instants: whole days as days, the rest as hours.';

revoke all on function error_tracking.rates_between(jsonb, text, timestamptz[], int),
  error_tracking.groups_between(timestamptz, timestamptz) from public;
grant execute on function error_tracking.rates_between(jsonb, text, timestamptz[], int),
  error_tracking.groups_between(timestamptz, timestamptz) to authenticated, service_role;
revoke all on function error_tracking.round_up(timestamptz, interval) from public;
grant execute on function error_tracking.day_of(timestamptz), error_tracking.round_up(timestamptz, interval) to authenticated, service_role;

commit;
