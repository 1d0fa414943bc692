-- Starts counting anew: the sequence was found behind the checkpoint, so old numbers come again.
-- Rollups and groups of what the table still holds go to zero, to be counted again exactly.
with oldest as materialized (
  select date_trunc('hour', min("timestamp"), 'UTC') as bucket from public.error_metrics
), minutes as (
  update public.error_rate_minutes r set count = 0 from oldest o where r.bucket >= o.bucket
), hours as (
  update public.error_rate_hours r set count = 0 from oldest o where r.bucket >= o.bucket
), group_hours as (
  update public.error_group_hours r set count = 0 from oldest o where r.bucket >= o.bucket
), groups as (
  update public.error_groups g set count = 0 where exists (
    select from public.error_metrics m
     where m.fingerprint = g.fingerprint and m.project_id is not distinct from g.project_id)
)
update error_tracking.checkpoint
   set epoch = epoch + 1, accounted = '{}', updated_at = now()
 where epoch = $1
returning epoch
