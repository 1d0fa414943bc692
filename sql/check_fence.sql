-- Does this instance still lead? The lock keeps the lease as it is until our commit.
select true
  from error_tracking.leases
 where name = 'leader' and holder = $1 and fence = $2 and expires_at > clock_timestamp()
   for share
