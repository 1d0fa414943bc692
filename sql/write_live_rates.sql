-- The present rates of these projects, for dashboards.
insert into public.error_rates_live as l (project_id, snapshot, updated_at)
select n.project_id, n.snapshot, clock_timestamp()
  from unnest($1::uuid[], $2::jsonb[]) as n (project_id, snapshot)
 order by n.project_id
on conflict on constraint error_rates_live_project do update
   set snapshot = excluded.snapshot, updated_at = excluded.updated_at
