-- Removes what instances wrote that have been silent for some time.
delete from public.error_tracker_status
 where heartbeat_at < clock_timestamp() - make_interval(secs => $1) and instance_id <> $2
