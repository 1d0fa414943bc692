-- Whom does a rule tell?
select c.channel_id, c.name, c.kind, c.enabled,
       rc.min_level, c.state, c.broken_reason
  from public.alert_rule_channels rc
  join public.alert_channels c on c.channel_id = rc.channel_id
 where rc.rule_id = $1
 order by c.name, c.channel_id
