-- Which incidents are open, and what is known of them? Those whose rule was deleted belong to no rule
-- that anybody knows, so that they are ended.
select incident_id, coalesce(rule_id, '00000000-0000-0000-0000-000000000000') as rule_id, group_key, state, level, peak_level, started_at, fired_at, notified_at,
       reminders, acknowledged_at is not null as acknowledged, peak, evidence
  from public.alert_incidents
 where state <> 'resolved'
 order by started_at, incident_id
