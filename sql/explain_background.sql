-- What else happened in a window, and who decides now?
select (select count(*) from (
          select from public.error_metrics m
           where m."timestamp" > $1 and m."timestamp" <= $2 and ($3::uuid is null or m.project_id = $3)
           limit 100000) as counted) as errors,
       (select jsonb_build_object('name', s.name, 'heartbeat_at', s.heartbeat_at, 'complete_through', s.complete_through)
          from public.error_tracker_status s
         where s.leader
         order by s.heartbeat_at desc
         limit 1) as leader
