-- When were incidents of a rule acknowledged, or was that taken back?
select e.at, e.incident_id, e.kind = 'acknowledged'
  from public.alert_incident_events e
  join public.alert_incidents i on i.incident_id = e.incident_id
 where i.rule_id = $1 and e.kind in ('acknowledged', 'unacknowledged') and e.at >= $2 and e.at <= $3
 order by e.at, e.event_id
