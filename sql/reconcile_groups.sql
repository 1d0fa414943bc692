-- Do the groups with errors from $1 to before $2 count what the table holds? A group counts all its
-- errors ever, so these are counted too; where $3 is true, only groups that began within that time are
-- compared, which costs no more than that time's errors. Groups that began before $4, whose first errors
-- may be deleted, are left out. As in the comparison of minutes, only errors
-- that the checkpoint says are counted are expected. Where a fifth of all errors and more are of these
-- groups, the table is read once from end to end, because an index would lead back and forth through it.
with wanted as materialized (
  select m.project_id, m.fingerprint
    from public.error_metrics m
   where m."timestamp" >= $1 and m."timestamp" < $2
   group by 1, 2
  union
  select g.project_id, g.fingerprint
    from public.error_groups g
   where g.last_seen >= $1 and g.first_seen < $2 and g.count > 0
), chosen as materialized (
  select w.project_id, w.fingerprint, coalesce(g.count, 0) as found
    from wanted w
    left join public.error_groups g
      on g.fingerprint = w.fingerprint and g.project_id is not distinct from w.project_id
   where (not $3 or g.first_seen >= $1) and (g.first_seen >= $4) is not false
), size as materialized (
  select coalesce(sum(c.found), 0) >= 0.2 * greatest(t.reltuples, 0) as most
    from (select reltuples from pg_class where oid = 'public.error_metrics'::regclass) t
    left join chosen c on true
   group by t.reltuples
), all_counted as materialized (
  select m.project_id, m.fingerprint, count(*) as expected
    from public.error_metrics m
   where (select most from size) and (not $3 or m."timestamp" >= $1)
     and m.seq <@ (select k.accounted from error_tracking.checkpoint k)
   group by 1, 2
), compared as materialized (
  select c.project_id, c.fingerprint, c.found, case
           when (select most from size) then coalesce(a.expected, 0)
           else (select count(*) from public.error_metrics m
                  where m.fingerprint = c.fingerprint and m.project_id is not distinct from c.project_id
                    and (not $3 or m."timestamp" >= $1)
                    and m.seq <@ (select k.accounted from error_tracking.checkpoint k)) end as expected
    from chosen c
    left join all_counted a on a.fingerprint = c.fingerprint and a.project_id is not distinct from c.project_id
), total as (
  select coalesce(sum(expected), 0)::bigint as expected,
         coalesce(sum(abs(expected - found)), 0)::bigint as difference
    from compared
)
select t.expected, t.difference, d.place, d.expected, d.found
  from total t
  left join lateral (
    select concat_ws(' ', c.project_id, c.fingerprint) as place, c.expected, c.found
      from compared c
     where c.expected <> c.found
     order by 1
     limit 100
  ) d on true
