-- What this instance knows of itself; the update also travels through Realtime as the canary.
insert into public.error_tracker_status as s
       (instance_id, name, version, leader, socket, started_at, heartbeat_at, low_water, last_number,
        open_holes, oldest_hole_seconds, complete_through, rows_counted, rows_repaired, canary_ms,
        outbox_depth, problems)
values ($1, $2, $3, $4, $5, $6, clock_timestamp(), $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
on conflict (instance_id) do update
   set name = excluded.name, version = excluded.version, leader = excluded.leader,
       socket = excluded.socket, started_at = excluded.started_at,
       heartbeat_at = excluded.heartbeat_at, low_water = excluded.low_water,
       last_number = excluded.last_number, open_holes = excluded.open_holes,
       oldest_hole_seconds = excluded.oldest_hole_seconds,
       complete_through = excluded.complete_through, rows_counted = excluded.rows_counted,
       rows_repaired = excluded.rows_repaired, canary_ms = excluded.canary_ms,
       outbox_depth = excluded.outbox_depth, problems = excluded.problems
returning heartbeat_at
