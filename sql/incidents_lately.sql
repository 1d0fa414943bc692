-- When did incidents of rules with a flap period begin and end within it?
select i.rule_id, i.group_key, happened.at
  from public.alert_incidents i
  join public.alert_rules r using (rule_id)
 cross join lateral (values (i.fired_at), (i.resolved_at)) as happened (at)
 where r.flap_count > 0
   and (i.resolved_at is null or i.resolved_at > clock_timestamp() - r.flap_seconds * interval '1 second')
   and i.fired_at is not null
   and happened.at > clock_timestamp() - r.flap_seconds * interval '1 second'
 order by happened.at
