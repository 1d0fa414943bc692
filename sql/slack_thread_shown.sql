-- The Slack message of an incident shows news up to this number.
update error_tracking.slack_threads t
   set shown = $3, updated_at = clock_timestamp()
 where t.channel_id = $1 and t.incident_id = $2 and t.shown < $3
