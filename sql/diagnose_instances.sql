-- Which instances are alive, and does one of them lead?
select name, leader, extract(epoch from clock_timestamp() - heartbeat_at)::float8 as silent_seconds
  from public.error_tracker_status
 order by heartbeat_at desc
 limit 20
