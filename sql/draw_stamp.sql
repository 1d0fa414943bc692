-- A transaction id that is higher than that of everyone who has drawn a number so far. The lock makes
-- the transaction write, so its commit waits for the disk: once we know the id, a crash can take back
-- neither it nor any number drawn before it. Whoever rolls up is not held up by it.
select pg_current_xact_id()::text::bigint as xid, set_config('synchronous_commit', 'local', true)
  from error_tracking.checkpoint
   for key share
