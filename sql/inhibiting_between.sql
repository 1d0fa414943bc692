-- Which rules keep rule $1 (of project $2) quiet while they fire, and what became of their incidents that
-- fired at some time between $3 and $4?
with inhibiting as materialized (
  select i.inhibition_id, i.source_rule_id, i.target_rule_id, i.equal_fields as "equal", i.source_level
    from public.alert_inhibitions i
    join public.alert_rules r on r.rule_id = i.target_rule_id
   where i.target_rule_id = $1 and r.project_id is not distinct from $2
), change as (
  select i.incident_id, i.rule_id, i.project_id, i.group_key, i.started_at, e.kind, e.at, coalesce(e.level, i.level) as level
    from public.alert_incidents i
    join public.alert_incident_events e on e.incident_id = i.incident_id
   where i.rule_id in (select s.source_rule_id from inhibiting s)
     and i.fired_at < $4 and (i.resolved_at is null or i.resolved_at > $3)
     and e.kind in ('firing', 'escalated', 'deescalated', 'resolved')
   order by e.at, e.event_id
   limit 20000
)
select coalesce((select jsonb_agg(to_jsonb(i)) from inhibiting i), '[]') as inhibitions,
       coalesce((select jsonb_agg(to_jsonb(c) order by c.at) from change c), '[]') as changes
