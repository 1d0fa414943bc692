-- Writes one round of transitions (each incident at most once) with its time line and its messages,
-- in one statement; $1 holds the transitions. The transaction checks the fence before it commits.
with given as materialized (
  select t.*
    from jsonb_to_recordset($1) as t (
      kind text, incident_id uuid, rule_id uuid, rule_name text, project_id uuid, group_key text,
      state text, level text, started_at timestamptz, at timestamptz, value float8, threshold float8,
      peak float8, reminder int, evidence jsonb, facts jsonb)
), dropped as (
  delete from public.alert_incidents i using given g
   where g.kind = 'dropped' and i.incident_id = g.incident_id and i.state = 'pending'
), written as (
  insert into public.alert_incidents as i (incident_id, rule_id, rule_name, project_id, group_key, state,
    level, peak_level, started_at, fired_at, resolved_at, value, threshold, peak, evidence, notified_at, reminders, flapping)
  select g.incident_id, r.rule_id, g.rule_name, g.project_id, g.group_key, g.state, g.level, g.level, g.started_at,
         case when g.kind = 'firing' then g.at end, case when g.kind = 'resolved' then g.at end,
         g.value, g.threshold, g.peak, g.evidence,
         case when g.kind in ('firing', 'escalated', 'reminder', 'flapping') then g.at end, g.reminder, g.kind = 'flapping'
    from given g left join public.alert_rules r on r.rule_id = g.rule_id
   where g.kind <> 'dropped'
  on conflict (incident_id) do update set
    state = excluded.state, level = excluded.level,
    peak_level = case when 'critical' in (i.peak_level, excluded.level) then 'critical' else 'warning' end,
    fired_at = coalesce(i.fired_at, excluded.fired_at), resolved_at = excluded.resolved_at,
    value = excluded.value, threshold = excluded.threshold, peak = greatest(i.peak, excluded.peak),
    evidence = excluded.evidence, notified_at = coalesce(excluded.notified_at, i.notified_at),
    reminders = greatest(i.reminders, excluded.reminders), flapping = i.flapping or excluded.flapping, updated_at = clock_timestamp()
   where i.state <> 'resolved'
  returning i.incident_id, i.project_id
), time_line as (
  insert into public.alert_incident_events (incident_id, project_id, at, kind, level, value, threshold)
  select w.incident_id, w.project_id, g.at, g.kind, g.level, g.value, g.threshold
    from written w join given g using (incident_id)
  on conflict (incident_id, kind, at) do nothing
), silenced as materialized (
  select g.incident_id
    from given g
   where exists (
     select from public.alert_silences s
      where s.starts_at <= clock_timestamp() and s.ends_at > clock_timestamp()
        and (s.project_id is null or s.project_id = g.project_id)
        and (s.rule_id is null or s.rule_id = g.rule_id)
        and g.group_key::jsonb @> s.matchers)
), noted as (
  insert into public.alert_incident_events (incident_id, project_id, at, kind, level, value, threshold)
  select w.incident_id, w.project_id, g.at, 'silenced', g.level, g.value, g.threshold
    from written w join given g using (incident_id) join silenced s using (incident_id)
   where g.kind in ('firing', 'escalated')
  on conflict (incident_id, kind, at) do nothing
), messages as (
  insert into public.alert_notifications (incident_id, channel_id, project_id, transition, reminder, payload)
  select w.incident_id, rc.channel_id, w.project_id, g.kind, g.reminder, g.facts
    from written w join given g using (incident_id)
    join public.alert_rule_channels rc on rc.rule_id = g.rule_id
    join public.alert_channels c on c.channel_id = rc.channel_id and c.enabled
   where g.kind in ('firing', 'escalated', 'reminder', 'flapping')
     and (rc.min_level = 'warning' or g.level = 'critical')
     and g.incident_id not in (select s.incident_id from silenced s)
  union all
  -- The end is told to exactly those who were told of the beginning.
  select w.incident_id, told.channel_id, w.project_id, g.kind, 0, g.facts
    from written w join given g using (incident_id)
    join (select distinct n.incident_id, n.channel_id from public.alert_notifications n
           where n.transition in ('firing', 'escalated', 'reminder', 'flapping') and n.state in ('waiting', 'sending', 'sent')) told
      using (incident_id)
   where g.kind = 'resolved'
  on conflict (incident_id, channel_id, transition, reminder) do nothing
  returning 1
)
select count(*) from messages
