-- How many buckets differ between the rollup per hour and the table?
select count(*) from (
  (select date_trunc('hour', "timestamp", 'UTC'), project_id, workflow_id, source, error_type, severity, count(*)
     from public.error_metrics group by 1, 2, 3, 4, 5, 6
   except
   select bucket, project_id, workflow_id, source, error_type, severity, count from public.error_rate_hours)
  union all
  (select bucket, project_id, workflow_id, source, error_type, severity, count
     from public.error_rate_hours where count > 0
   except
   select date_trunc('hour', "timestamp", 'UTC'), project_id, workflow_id, source, error_type, severity, count(*)
     from public.error_metrics group by 1, 2, 3, 4, 5, 6)
) differing
