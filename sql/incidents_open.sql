-- Which incidents are open, and what is known of them? Their rule may be gone or disabled by now;
-- what was told last says how people know it.
select i.incident_id, coalesce(i.rule_id, '00000000-0000-0000-0000-000000000000') as rule_id, i.group_key, i.state,
       i.level, i.peak_level, i.started_at, i.fired_at, i.notified_at, i.reminders, i.flapping,
       i.acknowledged_at is not null as acknowledged, i.peak, i.evidence, told.rule
  from public.alert_incidents i
  left join lateral (
    select n.payload -> 'incident' -> 'rule' as rule
      from public.alert_notifications n
     where n.incident_id = i.incident_id
     order by n.number desc
     limit 1) told on true
 where i.state <> 'resolved' and not (i.rule_id is null and i.group_key like '{"condition":%')
 order by i.started_at, i.incident_id
