-- Which rules are to be evaluated?
select rule_id, project_id, name, description, metric, min_runs, sources, error_types, severities,
       workflow_ids, message_contains, group_by, window_seconds, warning, critical, resolve,
       pending_seconds, keep_firing_seconds, reminder_seconds
  from public.alert_rules
 where enabled
 order by rule_id
