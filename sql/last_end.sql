-- When did the last incident of a rule end? The tracker's own conditions are decided elsewhere.
select i.resolved_at
  from public.alert_incidents i
 where i.state = 'resolved' and i.resolved_at is not null
   and not (i.rule_id is null and i.group_key like '{"condition":%')
 order by i.resolved_at desc
 limit 1
