-- How long is each kind of row kept, and what was deleted so far?
select kind, extract(epoch from keep)::bigint, pruned_before, pruned_rows
  from error_tracking.retention
 order by array_position(array['events', 'minutes', 'hours', 'groups', 'notifications', 'incidents', 'silences'], kind)
