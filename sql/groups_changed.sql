-- Of which error groups has somebody changed the status lately?
select g.project_id, g.fingerprint, g.last_seen, g.status, g.status_changed_at
  from public.error_groups g
 where g.status_changed_at >= $1
