-- Which error groups were known before some time, the ones seen last first?
select g.project_id, g.fingerprint, g.last_seen, g.status, g.status_changed_at
  from public.error_groups g
 where g.first_seen < $1
 order by g.last_seen desc
 limit $2
