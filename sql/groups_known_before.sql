-- Which error groups that had errors from $1 to $2 (in project $3, or in all) were known before $1, and
-- what have people said of them? A group is known by an error that was received before, or, where that
-- has been deleted, by what the table of groups says. That table has every error numbered from $5 to
-- before $6; the few others are looked up.
with seen as materialized (
  select g.project_id, g.fingerprint
    from public.error_groups g
   where g.last_seen >= $1 and g.first_seen <= $2
     and ($3::uuid is null or g.project_id = $3)
  union
  select m.project_id, m.fingerprint
    from public.error_metrics m
   where m.seq >= $6
     and m."timestamp" >= $1 and m."timestamp" <= $2 and m.received_at <= $2
     and ($3::uuid is null or m.project_id = $3)
  union
  select m.project_id, m.fingerprint
    from public.error_metrics m
   where m.seq < $5
     and m."timestamp" >= $1 and m."timestamp" <= $2 and m.received_at <= $2
     and ($3::uuid is null or m.project_id = $3)
)
select s.project_id, s.fingerprint, coalesce(b.received_at, case when g.first_seen < $1 then g.first_seen end) as known_at,
       coalesce(g.status, 'open') as status, g.status_changed_at, g.regressed_at
  from seen s
  left join public.error_groups g on g.fingerprint = s.fingerprint and g.project_id is not distinct from s.project_id
  left join lateral (
    select m.received_at
      from public.error_metrics m
     where m.fingerprint = s.fingerprint and m.project_id is not distinct from s.project_id
       and m."timestamp" < $1 and m.received_at < $1
     order by m."timestamp" desc
     limit 1
  ) b on true
 where b.received_at is not null or g.first_seen < $1 or g.status <> 'open' or g.regressed_at is not null
 limit $4
