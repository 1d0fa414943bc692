-- Ends the open incidents in $1, which cannot be read any more, as of their last news; whoever was told
-- of one is told of its end. What still fires opens anew. The transaction checks the fence before it commits.
with ended as (
  update public.alert_incidents i
     set state = 'resolved', resolved_at = coalesce(i.notified_at, i.fired_at, i.started_at), updated_at = clock_timestamp()
   where i.incident_id = any ($1) and i.state <> 'resolved'
  returning i.incident_id, i.project_id, i.resolved_at, i.level, i.value, i.threshold
), time_line as (
  insert into public.alert_incident_events (incident_id, project_id, at, kind, level, value, threshold, note)
  select e.incident_id, e.project_id, e.resolved_at, 'resolved', e.level, e.value, e.threshold,
         'the daemon could not read it any more; if it still fires, another incident says so'
    from ended e
  on conflict (incident_id, kind, at) do nothing
), forgotten as (
  delete from public.alert_held_back h using ended e where h.incident_id = e.incident_id
), messages as (
  insert into public.alert_notifications (incident_id, channel_id, project_id, transition, payload)
  select distinct on (e.incident_id, n.channel_id) e.incident_id, n.channel_id, e.project_id, 'resolved',
         n.payload || jsonb_build_object('transition', 'resolved', 'at', e.resolved_at)
    from ended e join public.alert_notifications n using (incident_id)
   where n.transition in ('firing', 'escalated', 'reminder', 'flapping') and n.state in ('waiting', 'sending', 'sent')
   order by e.incident_id, n.channel_id, n.number desc
  on conflict (incident_id, channel_id, transition, reminder) do nothing
)
select count(*) from ended
