-- A status row of our own, whose change must come back through Realtime.
insert into public.error_tracker_status (instance_id, name, version, started_at, heartbeat_at)
values ($1, 'check', $2, clock_timestamp(), clock_timestamp())
on conflict (instance_id) do update set heartbeat_at = clock_timestamp()
