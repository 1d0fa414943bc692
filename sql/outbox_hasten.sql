-- A channel works again: what waits for it need not wait longer.
update public.alert_notifications
   set next_attempt_at = clock_timestamp()
 where channel_id = $1 and state = 'waiting' and next_attempt_at > clock_timestamp()
