-- Which rows have the numbers that are still missing, and what does the same snapshot prove?
-- One statement has one snapshot, so a row that is absent here was invisible to exactly the snapshot
-- whose oldest running transaction is returned. The sequence is read without a snapshot and may be
-- ahead of it, which only reveals more holes.
with probe as materialized (
  select case when s.is_called then s.last_value else s.last_value - 1 end as last_drawn,
         pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin,
         pg_postmaster_start_time() as server_started,
         statement_timestamp() as began_at,
         clock_timestamp() as database_now
    from error_tracking.error_metrics_seq s
)
select p.last_drawn, p.xmin, p.server_started, p.began_at, p.database_now,
       e.seq, e.error_id, e."timestamp", e.received_at, e.source, e.error_type, e.severity,
       e.project_id, e.workflow_id, e.fingerprint, e.message
  from probe p
  left join lateral (
    select found.*
      from unnest($1::bigint[], $2::bigint[]) as wanted (low, high)
     cross join lateral (
       -- The limit inside keeps a wide range from being sorted as a whole.
       select m.seq, m.error_id, m."timestamp", m.received_at, m.source, m.error_type,
              m.severity::text as severity, m.project_id, m.workflow_id, m.fingerprint, m.message
         from public.error_metrics m
        where m.seq >= wanted.low and m.seq < wanted.high
        order by m.seq
        limit $3
     ) found
     limit $3
  ) e on true
