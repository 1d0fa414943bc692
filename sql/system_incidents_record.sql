-- Writes what became of the tracker's own conditions, with time line and messages; $1 holds the changes
-- (each condition at most once), $2 names or ids of the channels to tell: all enabled ones that belong
-- to no project where it is null. The transaction checks the fence before it commits.
with given as materialized (
  select g.*
    from jsonb_to_recordset($1) as g (
      kind text, incident_id uuid, title text, group_key text, level text, started_at timestamptz,
      at timestamptz, value float8, threshold float8, peak float8, facts jsonb)
), opened as (
  insert into public.alert_incidents (incident_id, rule_name, group_key, state, level, peak_level, started_at,
    fired_at, value, threshold, peak, notified_at)
  select g.incident_id, g.title, g.group_key, 'firing', g.level, g.level, g.started_at, g.at, g.value,
         g.threshold, g.peak, g.at
    from given g
   where g.kind = 'firing' and not exists (
     select from public.alert_incidents i
      where i.rule_id is null and i.group_key = g.group_key and i.state <> 'resolved')
  on conflict (incident_id) do nothing
  returning incident_id
), closed as (
  update public.alert_incidents i
     set state = 'resolved', resolved_at = g.at, value = g.value, peak = greatest(i.peak, g.peak),
         updated_at = clock_timestamp()
    from given g
   where g.kind = 'resolved' and i.incident_id = g.incident_id and i.state <> 'resolved'
  returning i.incident_id
), written as (
  select o.incident_id from opened o union all select c.incident_id from closed c
), time_line as (
  insert into public.alert_incident_events (incident_id, at, kind, level, value, threshold)
  select w.incident_id, g.at, g.kind, g.level, g.value, g.threshold
    from written w join given g using (incident_id)
  on conflict (incident_id, kind, at) do nothing
), messages as (
  insert into public.alert_notifications (incident_id, channel_id, transition, payload)
  select w.incident_id, c.channel_id, g.kind, g.facts
    from written w join given g using (incident_id)
    join public.alert_channels c on c.enabled and case
      when $2::text[] is null then c.project_id is null
      else c.name = any ($2) or c.channel_id::text = any ($2) end
   where g.kind = 'firing'
  union all
  -- The end is told to exactly those who were told of the beginning.
  select w.incident_id, told.channel_id, g.kind, g.facts
    from written w join given g using (incident_id)
    join (select distinct n.incident_id, n.channel_id from public.alert_notifications n
           where n.transition = 'firing' and n.state in ('waiting', 'sending', 'sent')) told using (incident_id)
   where g.kind = 'resolved'
  on conflict (incident_id, channel_id, transition, reminder) do nothing
  returning 1
)
select count(*) from messages
