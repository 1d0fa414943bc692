-- What does a page say of an incident before somebody acts on it?
select i.rule_name, i.group_key, i.state, i.level, i.started_at, i.acknowledged_at is not null as acknowledged
  from public.alert_incidents i
 where i.incident_id = $1
