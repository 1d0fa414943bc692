-- Marks a channel as broken; returns a row only where it was not broken before.
update public.alert_channels
   set state = 'broken', broken_reason = $2, broken_at = clock_timestamp()
 where channel_id = $1 and state = 'ok'
returning channel_id
