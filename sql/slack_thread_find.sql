-- Which Slack messages of a channel tell these incidents, and what do they show?
select t.incident_id, t.conversation, t.ts, t.shared, t.shown
  from error_tracking.slack_threads t
 where t.channel_id = $1 and t.incident_id = any ($2)
