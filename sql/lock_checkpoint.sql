-- Is any of these numbers counted already, and are those still counted that we know to be? The lock
-- makes rollups take turns.
select epoch, accounted && $1::text::int8multirange as overlaps,
       accounted @> int8range(1, $2 + 1) as complete
  from error_tracking.checkpoint
   for no key update
