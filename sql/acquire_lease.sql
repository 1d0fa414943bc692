-- May this instance lead, from now for some seconds? It may when it does already, or nobody does.
-- The former leader may have led until the end of its lease; one that stops in order gives it back.
with before as (
  select l.expires_at, l.holder from error_tracking.leases l where l.name = 'leader'
)
update error_tracking.leases
   set holder = $1,
       fence = case when holder = $1 and expires_at > clock_timestamp() then fence else fence + 1 end,
       expires_at = clock_timestamp() + make_interval(secs => $2)
 where name = 'leader' and (holder = $1 or holder is null or expires_at <= clock_timestamp())
returning fence, clock_timestamp() as now,
  (select greatest(least(b.expires_at, clock_timestamp()), 'epoch') from before b) as former_until,
  coalesce((select b.holder is not null and b.expires_at <= clock_timestamp() from before b), false) as lost
