-- Is any of these numbers counted already? The lock makes rollups take turns.
select epoch, accounted && $1::text::int8multirange as overlaps
  from error_tracking.checkpoint
   for update
