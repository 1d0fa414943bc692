-- Between which numbers do the errors since some time lie?
-- The addition keeps the planner from walking the index on seq through all of history.
select min(m.seq + 0), max(m.seq + 0) from public.error_metrics m where m."timestamp" >= $1
