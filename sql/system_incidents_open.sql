-- Which incidents of the tracker itself are open?
select i.incident_id, i.group_key::jsonb ->> 'condition' as condition, i.started_at, i.peak
  from public.alert_incidents i
 where i.state <> 'resolved' and i.rule_id is null and i.group_key like '{"condition":%'
