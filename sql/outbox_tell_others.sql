-- Tells the other working channels of the rules in $2 that one of theirs is broken, each once.
insert into public.alert_notifications (channel_id, project_id, transition, payload)
select distinct on (c.channel_id) c.channel_id, lost.project_id, 'channel_broken', lost.payload
  from jsonb_to_recordset($2) as lost (rule_id uuid, project_id uuid, payload jsonb)
  join public.alert_rule_channels rc using (rule_id)
  join public.alert_channels c using (channel_id)
 where c.channel_id <> $1 and c.enabled and c.state = 'ok'
 order by c.channel_id
