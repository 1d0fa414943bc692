-- The errors since some time, in the order of their numbers, a page at a time.
select m.seq, m.error_id, m."timestamp", m.received_at, m.source, m.error_type,
       m.severity::text as severity, m.project_id, m.workflow_id, m.fingerprint, m.message
  from public.error_metrics m
 where m.seq >= $1 and m.seq <= $2 and m."timestamp" >= $3
   and ($4::uuid is null or m.project_id = $4)
 order by m.seq
 limit $5
