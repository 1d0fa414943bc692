-- Takes the status row of a check away again.
delete from public.error_tracker_status where instance_id = $1
