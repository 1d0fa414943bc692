-- Gives back a claimed message that was not sent, as if it had not been claimed.
update public.alert_notifications
   set state = 'waiting', attempts = attempts - 1, claimed_by = null, claimed_until = null
 where notification_id = $1 and claimed_by = $2 and attempts = $3 and state = 'sending'
