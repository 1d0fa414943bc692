-- Gives the lease back, so that another instance need not wait for its end.
update error_tracking.leases
   set holder = null, expires_at = clock_timestamp()
 where name = 'leader' and holder = $1 and fence = $2
