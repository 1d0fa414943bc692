-- Error tracking: what the daemon's API asks with a caller's own token, where plain tables do not do.

begin;

-- Reporting -------------------------------------------------------------------------------------------

create or replace function public.error_report(events jsonb) returns jsonb
language plpgsql volatile set search_path = '' as
$$
declare
  added int := 0;
  one int;
  refused jsonb := '[]';
  event jsonb;
  place bigint;
  code text;
  reason text;
  field text;
begin
  if jsonb_typeof(events) is distinct from 'array' or jsonb_array_length(events) > 1000 then
    raise exception 'events: must be an array of at most 1000 events' using errcode = '22023';
  end if;
  begin
    insert into public.error_metrics
        (error_id, "timestamp", source, error_type, severity, workflow_id, project_id, message, metadata)
      select coalesce(e.error_id, gen_random_uuid()), e."timestamp", e.source, e.error_type, e.severity, e.workflow_id,
             e.project_id, e.message, e.metadata
        from jsonb_populate_recordset(null::public.error_metrics, events) as e
      on conflict (error_id) do nothing;
    get diagnostics added = row_count;
    return jsonb_build_object('new', added, 'refused', refused);
  exception when integrity_constraint_violation or data_exception or insufficient_privilege then
    -- One of them is to blame; below each is tried on its own, so that it costs only itself.
    added := 0;
  end;
  for event, place in
    select value, ordinality - 1 from jsonb_array_elements(events) with ordinality as element (value, ordinality)
  loop
    begin
      insert into public.error_metrics
          (error_id, "timestamp", source, error_type, severity, workflow_id, project_id, message, metadata)
        select coalesce(e.error_id, gen_random_uuid()), e."timestamp", e.source, e.error_type, e.severity, e.workflow_id,
               e.project_id, e.message, e.metadata
          from jsonb_populate_record(null::public.error_metrics, event) as e
        on conflict (error_id) do nothing;
      get diagnostics one = row_count;
      added := added + one;
    exception when integrity_constraint_violation or data_exception or insufficient_privilege then
      get stacked diagnostics code = returned_sqlstate, reason = message_text, field = column_name;
      refused := refused
        || jsonb_build_object('index', place, 'code', code, 'field', coalesce(field, ''), 'message', reason);
    end;
  end loop;
  return jsonb_build_object('new', added, 'refused', refused);
end $$;
comment on function public.error_report(jsonb) is
  'Inserts an array of error events with the caller''s own rights and tells how many were new and which were refused: {"new": 2, "refused": [{"index", "code", "field", "message"}]}. One that is refused costs only itself; one whose error_id exists already changes nothing.';
revoke all on function public.error_report(jsonb) from public, anon, authenticated, error_reporter, error_daemon;
grant execute on function public.error_report(jsonb) to authenticated, error_reporter, service_role;

-- Series ----------------------------------------------------------------------------------------------

create or replace function public.error_counts(
  unit text, since timestamptz, until timestamptz, sources text[] default null, types text[] default null,
  severities text[] default null, workflows uuid[] default null, projects uuid[] default null,
  fingerprints uuid[] default null, contains text default null
) returns jsonb
language plpgsql stable set search_path = '' as
$$
declare
  relation text := case unit when 'minute' then 'public.error_rate_minutes' else 'public.error_rate_hours' end;
  -- The period may have been widened to whole units.
  longest constant interval := case when contains is null then interval '2 days' else interval '9 days' end;
  series jsonb;
begin
  if unit not in ('minute', 'hour', 'day') or unit is null then
    raise exception 'unit: must be minute, hour or day' using errcode = '22023';
  end if;
  if contains is not null or fingerprints is not null and unit = 'minute' then
    -- No rollup knows texts, nor the minutes of a group: the errors themselves are counted.
    if until - since > longest then
      raise exception 'since: too long ago' using errcode = '22023',
        hint = 'The minutes of a group are counted over at most 2 days, errors with a text over at most 7.';
    end if;
    relation := '(select m.*, m."timestamp" as bucket, 1 as count from public.error_metrics m)';
  elsif fingerprints is not null then
    relation := 'public.error_group_hours';
  end if;
  -- Planned anew for each call: which index is right depends on the period and on what is asked for.
  execute format($q$
    select jsonb_agg(jsonb_build_array(bucket, low, medium, high) order by bucket) from (
      select date_trunc(%2$L, r.bucket, 'UTC') as bucket,
             coalesce(sum(r.count) filter (where r.severity = 'low'), 0) as low,
             coalesce(sum(r.count) filter (where r.severity = 'medium'), 0) as medium,
             coalesce(sum(r.count) filter (where r.severity = 'high'), 0) as high
        from %1$s r
       where r.bucket >= $1 and r.bucket < $2
         and ($3 is null or r.source = any ($3))
         and ($4 is null or r.error_type = any ($4) or split_part(r.error_type, '.', 1) = any ($4))
         and ($5 is null or r.severity::text = any ($5))
         and ($6 is null or r.workflow_id = any ($6))
         and ($7 is null or r.project_id = any ($7))
         %3$s %4$s
       group by 1) as buckets $q$, relation, unit,
      -- Not every relation has these columns.
      case when fingerprints is not null then 'and r.fingerprint = any ($8)' end,
      case when contains is not null then 'and strpos(lower(r.message), lower($9)) > 0' end)
    into series using since, until, sources, types, severities, workflows, projects, fingerprints, contains;
  return coalesce(series, '[]');
end $$;
comment on function public.error_counts(text, timestamptz, timestamptz, text[], text[], text[], uuid[], uuid[], uuid[], text) is
  'Errors per minute, hour or day (UTC) that the caller may see, from the rollups; where a text is looked for, and per minute where fingerprints are, from the errors themselves: [[start, low, medium, high], …], without those that have none. A type without a dot is a class and stands for all of its details.';
revoke all on function public.error_counts(text, timestamptz, timestamptz, text[], text[], text[], uuid[], uuid[], uuid[], text)
  from public, anon, authenticated, error_reporter, error_daemon;
grant execute on function public.error_counts(text, timestamptz, timestamptz, text[], text[], text[], uuid[], uuid[], uuid[], text)
  to authenticated, service_role;

commit;
