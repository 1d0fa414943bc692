-- Do the rollups from $1 to before $2 count what the table holds: those per minute where $3 is minute,
-- those per hour where it is hour? Only errors that the checkpoint says are counted are expected, and one
-- statement has one snapshot, so any difference is real. Workflows are left out of the comparison: a
-- deleted one stays in the rollups and leaves the errors.
with compared as materialized (
  select bucket, project_id, source, error_type, severity,
         sum(expected)::bigint as expected, sum(found)::bigint as found
    from (
      select date_trunc($3, m."timestamp", 'UTC') as bucket, m.project_id, m.source, m.error_type,
             m.severity, count(*) as expected, 0 as found
        from public.error_metrics m
       where m."timestamp" >= $1 and m."timestamp" < $2
         and m.seq <@ (select c.accounted from error_tracking.checkpoint c)
       group by 1, 2, 3, 4, 5
      union all
      select r.bucket, r.project_id, r.source, r.error_type, r.severity, 0, r.count
        from public.error_rate_minutes r
       where $3 = 'minute' and r.bucket >= $1 and r.bucket < $2
      union all
      select r.bucket, r.project_id, r.source, r.error_type, r.severity, 0, r.count
        from public.error_rate_hours r
       where $3 = 'hour' and r.bucket >= $1 and r.bucket < $2
    ) both_sides
   group by 1, 2, 3, 4, 5
), total as (
  select coalesce(sum(expected), 0)::bigint as expected,
         coalesce(sum(abs(expected - found)), 0)::bigint as difference
    from compared
)
select t.expected, t.difference, d.place, d.expected, d.found
  from total t
  left join lateral (
    select concat_ws(' ', to_char(c.bucket at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'),
                     c.project_id, c.source, c.error_type, c.severity) as place, c.expected, c.found
      from compared c
     where c.expected <> c.found
     order by c.bucket, 1
     limit 100
  ) d on true
