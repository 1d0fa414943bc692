-- Which incidents are open, and what is known of them?
select incident_id, rule_id, group_key, state, level, peak_level, started_at, fired_at, notified_at,
       reminders, acknowledged_at is not null as acknowledged, peak, evidence
  from public.alert_incidents
 where state <> 'resolved' and rule_id is not null
 order by started_at, incident_id
