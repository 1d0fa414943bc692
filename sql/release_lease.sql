-- Gives the lease back, so that another instance need not wait for its end.
update error_tracking.leases
   set holder = null, expires_at = '-infinity'
 where name = 'leader' and holder = $1 and fence = $2
