-- Which incidents are open although their rule was deleted? They are closed without a message.
update public.alert_incidents
   set state = 'resolved', resolved_at = clock_timestamp(), updated_at = clock_timestamp()
 where state <> 'resolved' and rule_id is null
