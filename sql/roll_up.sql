-- How many errors have these numbers? Counts them in minutes, hours and groups, and adds the numbers
-- to the checkpoint, all from one snapshot. Keys are sorted, so that no two writers can wait for
-- each other's rows.
with batch as materialized (
  select m.seq, m.error_id, m."timestamp", m.source, m.error_type, m.severity, m.project_id,
         m.workflow_id, m.fingerprint, m.message
    from unnest($1::text::int8multirange) as wanted (numbers)
    join public.error_metrics m
      on m.seq >= lower(wanted.numbers) and m.seq < upper(wanted.numbers)
), minutes as (
  insert into public.error_rate_minutes as r
         (bucket, project_id, workflow_id, source, error_type, severity, count)
  select date_trunc('minute', "timestamp", 'UTC'), project_id, workflow_id, source, error_type,
         severity, count(*)
    from batch
   group by 1, 2, 3, 4, 5, 6
   order by 1, 2, 3, 4, 5, 6
  on conflict on constraint error_rate_minutes_key do update set count = r.count + excluded.count
), hours as (
  insert into public.error_rate_hours as r
         (bucket, project_id, workflow_id, source, error_type, severity, count)
  select date_trunc('hour', "timestamp", 'UTC'), project_id, workflow_id, source, error_type,
         severity, count(*)
    from batch
   group by 1, 2, 3, 4, 5, 6
   order by 1, 2, 3, 4, 5, 6
  on conflict on constraint error_rate_hours_key do update set count = r.count + excluded.count
), group_hours as (
  insert into public.error_group_hours as r
         (bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count)
  select date_trunc('hour', "timestamp", 'UTC'), project_id, workflow_id, fingerprint, min(source),
         min(error_type), severity, count(*)
    from batch
   group by 1, 2, 3, 4, severity
   order by 1, 2, 4, 3, severity
  on conflict on constraint error_group_hours_key do update set count = r.count + excluded.count
), latest as (
  select distinct on (project_id, fingerprint)
         project_id, fingerprint, message, source, error_type, error_id
    from batch
   order by project_id, fingerprint, seq desc
), totals as (
  select project_id, fingerprint, max(severity) as worst, min("timestamp") as first_seen,
         max("timestamp") as last_seen, count(*) as count
    from batch
   group by project_id, fingerprint
), groups as (
  insert into public.error_groups as g
         (project_id, fingerprint, title, source, error_type, worst_severity, first_seen, last_seen,
          count, sample_error_id)
  select t.project_id, t.fingerprint, l.message, l.source, l.error_type, t.worst, t.first_seen,
         t.last_seen, t.count, l.error_id
    from totals t
    join latest l on l.fingerprint = t.fingerprint and l.project_id is not distinct from t.project_id
   order by t.project_id, t.fingerprint
  on conflict on constraint error_groups_project_fingerprint do update
     set title = excluded.title,
         sample_error_id = excluded.sample_error_id,
         worst_severity = greatest(g.worst_severity, excluded.worst_severity),
         first_seen = least(g.first_seen, excluded.first_seen),
         last_seen = greatest(g.last_seen, excluded.last_seen),
         count = g.count + excluded.count
), saved as (
  update error_tracking.checkpoint
     set accounted = accounted + $1::text::int8multirange, updated_at = now()
)
select count(*) from batch
