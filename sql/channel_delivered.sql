-- Marks a channel as working after a delivery; says whether it was broken until now.
update public.alert_channels c
   set last_delivery_at = clock_timestamp(), state = 'ok', broken_reason = null, broken_at = null
  from (select channel_id, state from public.alert_channels where channel_id = $1 for update) before
 where c.channel_id = before.channel_id
returning before.state = 'broken' as was_broken
