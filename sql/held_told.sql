-- Tells what was held back, as in $1, with the incident as it stands now; each once. Forgets what is
-- no longer wanted, as in $2, and notes of the rest, as in $3, why it still waits.
with told as materialized (
  select h.incident_id, h.channel_id, h.kind, h.payload, i.project_id, i.level, i.value, i.threshold, i.peak, i.evidence,
         -- An incident may escalate more than once; one that was given up told nobody.
         (select coalesce(max(e.reminder) + 1, 0) from public.alert_notifications e
           where e.incident_id = h.incident_id and e.channel_id = h.channel_id and e.transition = h.kind
             and e.state not in ('dead', 'dropped')) as which
    from jsonb_to_recordset($1) as g (incident_id uuid, channel_id uuid)
    join public.alert_held_back h using (incident_id, channel_id)
    join public.alert_incidents i using (incident_id)
   where i.state = 'firing' and jsonb_typeof(h.payload) = 'object'
), messages as (
  insert into public.alert_notifications as n (incident_id, channel_id, project_id, transition, reminder, payload)
  select t.incident_id, t.channel_id, t.project_id, t.kind, t.which,
         t.payload || jsonb_build_object('transition', t.kind, 'at', clock_timestamp(),
           'incident', (t.payload -> 'incident') || jsonb_build_object(
             'level', t.level, 'value', t.value, 'threshold', t.threshold, 'peak', t.peak, 'evidence', t.evidence, 'reminder', t.which))
    from told t
  -- One that was given up told nobody, so this is its turn again, for another day.
  on conflict (incident_id, channel_id, transition, reminder) do update set
    state = 'waiting', payload = excluded.payload, attempts = 0, next_attempt_at = clock_timestamp(),
    claimed_by = null, claimed_until = null, last_error = null, created_at = clock_timestamp()
   where n.state in ('dead', 'dropped')
  returning incident_id
), time_line as (
  insert into public.alert_incident_events (incident_id, project_id, at, kind, level, value, threshold, note)
  select distinct on (t.incident_id) t.incident_id, t.project_id, clock_timestamp(), 'told_late', t.level, t.value, t.threshold,
         'people are told now of what was held back'
    from told t
   where t.incident_id in (select m.incident_id from messages m)
  on conflict (incident_id, kind, at) do nothing
), gone as (
  delete from public.alert_held_back h
   using (
     select g.incident_id, g.channel_id from jsonb_to_recordset($1) as g (incident_id uuid, channel_id uuid)
     union all
     select g.incident_id, g.channel_id from jsonb_to_recordset($2) as g (incident_id uuid, channel_id uuid)
   ) g
   where h.incident_id = g.incident_id and h.channel_id = g.channel_id
), waiting as (
  update public.alert_held_back h
     set until = g.until, why = g.why, because = g.because, note = g.note
    from jsonb_to_recordset($3) as g (incident_id uuid, channel_id uuid, until timestamptz, why text, because uuid, note text)
   where h.incident_id = g.incident_id and h.channel_id = g.channel_id
     and (h.until, h.why, h.because, h.note) is distinct from (g.until, g.why, g.because, g.note)
)
select count(*) from messages
