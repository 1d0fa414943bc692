-- Which errors does a rule count, in the order in which they were received, and what does it look at in each?
-- $1 and $2 limit the time at which they happened, $2 also that at which they were received. What
-- belongs to the rule's filter follows, and then which columns it needs.
select m."timestamp", m.received_at,
       case when $9 then m.source end,
       case when $10 then m.error_type end,
       case when $11 then m.severity::text end,
       case when $12 then m.project_id end,
       case when $13 then m.workflow_id end,
       case when $14 then m.fingerprint end,
       case when $15 then m.message end
  from public.error_metrics m
 where m."timestamp" >= $1 and m."timestamp" <= $2 and m.received_at <= $2
   and ($3::uuid is null or m.project_id = $3)
   and ($4::text[] is null or m.source = any ($4))
   and (($5::text[] is null and $6::text[] is null)
        or m.error_type = any ($5) or split_part(m.error_type, '.', 1) = any ($6))
   and ($7::text[] is null or m.severity = any ($7::text[]::public.error_severity[]))
   and ($8::uuid[] is null or m.workflow_id = any ($8))
 order by m.received_at, m.seq
