-- What decides who is told of the incidents in $2, of the rules in $1 and, where $3, of everything that
-- is held back: channels, silences, quiet hours, inhibitions, and who was told before.
with wanted as materialized (
  select i.incident_id, i.rule_id from public.alert_incidents i where i.incident_id = any ($2)
  union
  select i.incident_id, i.rule_id
    from public.alert_held_back h join public.alert_incidents i using (incident_id)
   where $3 and i.state = 'firing'
), concerned as materialized (
  select unnest($1::uuid[]) as rule_id union select w.rule_id from wanted w
), inhibiting as materialized (
  select i.inhibition_id, i.source_rule_id, i.target_rule_id, i.equal_fields as "equal", i.source_level
    from public.alert_inhibitions i
   where i.target_rule_id in (select c.rule_id from concerned c)
), standing as (
  select i.incident_id, i.rule_id, i.project_id, i.group_key, i.level, i.state = 'firing' as firing,
         coalesce((
           select jsonb_agg(distinct n.channel_id) from public.alert_notifications n
            where n.incident_id = i.incident_id and n.transition in ('firing', 'escalated', 'reminder', 'flapping')
              and n.state in ('waiting', 'sending', 'sent')), '[]') as told,
         coalesce((
           select jsonb_agg(jsonb_build_object('channel_id', h.channel_id, 'kind', h.kind, 'until', h.until))
             from public.alert_held_back h where h.incident_id = i.incident_id), '[]') as owed
    from (
      select w.incident_id from wanted w
      union
      select i.incident_id from public.alert_incidents i
       where i.state = 'firing' and i.rule_id in (select s.source_rule_id from inhibiting s)
    ) needed join public.alert_incidents i using (incident_id)
)
select clock_timestamp() as now, (select v.version from error_tracking.config_version v) as version,
  coalesce((
    select jsonb_agg(jsonb_build_object('rule_id', rc.rule_id, 'channel_id', rc.channel_id, 'min_level', rc.min_level)
             order by rc.rule_id, c.created_at, rc.channel_id)
      from public.alert_rule_channels rc join public.alert_channels c using (channel_id)
     where c.enabled and rc.rule_id in (select c.rule_id from concerned c)), '[]') as bindings,
  coalesce((
    select jsonb_agg(to_jsonb(s)) from public.alert_silences s
     where s.starts_at <= clock_timestamp() and s.ends_at > clock_timestamp()), '[]') as silences,
  coalesce((
    select jsonb_agg(to_jsonb(q)) from public.alert_quiet_hours q
     where q.enabled and (q.rule_id is null or q.rule_id in (select c.rule_id from concerned c))), '[]') as quiet_hours,
  coalesce((select jsonb_agg(to_jsonb(i)) from inhibiting i), '[]') as inhibitions,
  coalesce((
    select jsonb_agg(jsonb_build_object('rule_id', r.rule_id, 'sources', r.sources, 'error_types', r.error_types,
             'severities', r.severities, 'workflow_ids', r.workflow_ids))
      from public.alert_rules r where r.rule_id in (select c.rule_id from concerned c)), '[]') as filters,
  coalesce((select jsonb_agg(to_jsonb(s)) from standing s), '[]') as standings
