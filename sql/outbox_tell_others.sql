-- Tells the rule's other working channels that one of them is broken.
insert into public.alert_notifications (channel_id, project_id, transition, payload)
select c.channel_id, $4, 'channel_broken', $3
  from public.alert_rule_channels rc
  join public.alert_channels c using (channel_id)
 where rc.rule_id = $1 and c.channel_id <> $2 and c.enabled and c.state = 'ok'
