-- How many groups differ from the table, in count, bounds, worst severity or latest error?
with expected as (
  select project_id, fingerprint, count(*), min("timestamp") as first_seen, max("timestamp") as last_seen,
         max(severity) as worst
    from public.error_metrics group by 1, 2
), found as (
  select project_id, fingerprint, count, first_seen, last_seen, worst_severity
    from public.error_groups where count > 0
)
select (select count(*) from (
         (select * from expected except select * from found)
         union all (select * from found except select * from expected)) differing)
     + (select count(*) from public.error_groups g where g.count > 0 and not exists (
         select from public.error_metrics m where m.error_id = g.sample_error_id and m.fingerprint = g.fingerprint))
