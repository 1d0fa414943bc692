-- Which numbers, from the first to before the second, are certainly counted in the rollups and the groups?
-- The first stretch without a hole; nothing where nothing was counted yet.
select coalesce(lower(r.stretch), 0) as first, upper(r.stretch) as after
  from error_tracking.checkpoint c, unnest(c.accounted) as r (stretch)
 order by r.stretch
 limit 1
