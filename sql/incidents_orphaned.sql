-- Which incidents are open although their rule was deleted? They are closed without a message, if we lead.
update public.alert_incidents i
   set state = 'resolved', resolved_at = clock_timestamp(), updated_at = clock_timestamp()
 where i.state <> 'resolved' and i.rule_id is null
   and exists (select from error_tracking.leases l
                where l.name = 'leader' and l.holder = $1 and l.fence = $2 and l.expires_at > clock_timestamp())
