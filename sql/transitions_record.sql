-- Writes one round of transitions (each incident at most once) with its time line, its messages and what
-- is held back, in one statement; $1 holds the transitions and who is told of each. The transaction checks the fence
-- before it commits.
with given as materialized (
  select t.*,
         -- Which reminder it is, or which escalation but for the first; the same if it is written again.
         case t.kind when 'escalated' then (
           select count(*)::int from public.alert_incident_events e
            where e.incident_id = t.incident_id and e.kind = 'escalated' and e.at < t.at) else t.reminder end as which
    from jsonb_to_recordset($1) as t (
      kind text, incident_id uuid, rule_id uuid, rule_name text, project_id uuid, group_key text,
      state text, level text, started_at timestamptz, at timestamptz, value float8, threshold float8,
      peak float8, reminder int, evidence jsonb, facts jsonb, told jsonb, owed jsonb, entry text, why text,
      because uuid, until timestamptz, note text)
), acknowledged as materialized (
  select i.incident_id
    from public.alert_incidents i join given g using (incident_id)
   where g.kind = 'escalated' and i.state = 'firing' and i.peak_level = 'warning' and i.acknowledged_at is not null
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
    reminders = greatest(i.reminders, excluded.reminders), flapping = i.flapping or excluded.flapping, updated_at = clock_timestamp(),
    -- Whoever took it in hand did not know how bad it would be.
    acknowledged_at = case when i.incident_id not in (select a.incident_id from acknowledged a) then i.acknowledged_at end,
    acknowledged_by = case when i.incident_id not in (select a.incident_id from acknowledged a) then i.acknowledged_by end,
    acknowledged_by_name = case when i.incident_id not in (select a.incident_id from acknowledged a) then i.acknowledged_by_name end,
    acknowledge_note = case when i.incident_id not in (select a.incident_id from acknowledged a) then i.acknowledge_note end
   where i.state <> 'resolved'
  returning i.incident_id, i.project_id
), time_line as (
  insert into public.alert_incident_events (incident_id, project_id, at, kind, level, value, threshold, note)
  select w.incident_id, w.project_id, g.at, e.kind, g.level, e.value, e.threshold, e.note
    from written w join given g using (incident_id), lateral (
      select 1, g.kind, g.value, g.threshold, case when g.entry is null then g.note end
      union all
      -- Why nobody was told.
      select 2, g.entry, g.value, g.threshold, g.note where g.entry is not null
      union all
      select 3, 'unacknowledged', null, null, 'the level rose to critical'
       where g.incident_id in (select a.incident_id from acknowledged a)
    ) as e (place, kind, value, threshold, note)
   order by g.at, w.incident_id, e.place
  on conflict (incident_id, kind, at) do nothing
), messages as (
  insert into public.alert_notifications (incident_id, channel_id, project_id, transition, reminder, payload)
  select w.incident_id, c.channel_id, w.project_id, g.kind, g.which,
         case when g.kind = 'escalated' and g.which > 0 and jsonb_typeof(g.facts) = 'object'
           then jsonb_set(g.facts, '{incident,reminder}', to_jsonb(g.which)) else g.facts end
    from written w join given g using (incident_id), jsonb_array_elements_text(g.told) t
    join public.alert_channels c on c.channel_id = t::uuid
  on conflict (incident_id, channel_id, transition, reminder) do nothing
  returning 1
), owed as (
  insert into public.alert_held_back as h (incident_id, channel_id, project_id, kind, why, because, until, note, payload)
  select w.incident_id, c.channel_id, w.project_id, o.kind, g.why, g.because, g.until, g.note, g.facts
    from written w join given g using (incident_id), jsonb_to_recordset(g.owed) as o (channel_id uuid, kind text)
    join public.alert_channels c on c.channel_id = o.channel_id
   where not exists (
     -- A decision that is written again may meet a silence that was not there the first time.
     select from public.alert_notifications n
      where n.incident_id = w.incident_id and n.channel_id = o.channel_id and n.transition = g.kind
        and n.reminder = g.which)
  on conflict (incident_id, channel_id) do update set
    kind = excluded.kind, why = excluded.why, because = excluded.because, until = excluded.until,
    note = excluded.note, payload = excluded.payload
), settled as (
  -- Whoever is told of the present is owed nothing of the past, and nobody is owed anything of what is over.
  delete from public.alert_held_back h
   using given g
   where h.incident_id = g.incident_id and (g.state = 'resolved' or g.told ? h.channel_id::text)
)
select count(*) from messages
