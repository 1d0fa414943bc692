-- Remembers the Slack message that tells each of these incidents, in place of an earlier one.
insert into error_tracking.slack_threads as t (channel_id, incident_id, conversation, ts, shared, shown)
select $1, i.incident_id, $3, $4, $5, $6
  from unnest($2::uuid[]) as i (incident_id)
  join public.alert_incidents using (incident_id)
on conflict (channel_id, incident_id) do update
   set conversation = excluded.conversation, ts = excluded.ts, shared = excluded.shared,
       shown = excluded.shown, updated_at = clock_timestamp()
