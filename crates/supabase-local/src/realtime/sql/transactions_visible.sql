-- Would a new snapshot see all of these transactions? (32-bit ids, completed with the current epoch)
with now as (
  select pg_catalog.pg_current_snapshot() as snapshot
), edge as (
  select snapshot, pg_catalog.pg_snapshot_xmax(snapshot)::text::bigint as xmax from now
), full_ids as (
  select e.snapshot,
         e.xmax,
         (e.xmax >> 32 << 32) + x as candidate
    from edge e cross join unnest($1::bigint[]) as x
)
select coalesce(bool_and(pg_catalog.pg_visible_in_snapshot(
         -- An id above the snapshot's edge by more than half the circle belongs to the epoch before.
         (case when candidate - xmax > 2147483648 then candidate - 4294967296 else candidate end)::text::xid8,
         snapshot)), true)
  from full_ids
