-- Gives back claimed messages that were not sent, as if they had not been claimed.
update public.alert_notifications n
   set state = 'waiting', attempts = n.attempts - 1, claimed_by = null, claimed_until = null
  from unnest($2::uuid[], $3::int[]) as r (notification_id, attempt)
 where n.notification_id = r.notification_id and n.claimed_by = $1 and n.attempts = r.attempt and n.state = 'sending'
