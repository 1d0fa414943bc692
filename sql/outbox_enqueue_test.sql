-- Puts a test message for one channel into the outbox.
insert into public.alert_notifications (channel_id, project_id, transition, payload)
select c.channel_id, c.project_id, 'test', $2
  from public.alert_channels c
 where c.channel_id = $1
returning notification_id
