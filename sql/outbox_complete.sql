-- Records what came of one attempt, where the caller still holds the claim.
update public.alert_notifications
   set state = $4, attempt_log = attempt_log || $5, last_error = $6, receipt = coalesce($7, receipt),
       next_attempt_at = case $4 when 'waiting' then clock_timestamp() + $8 * interval '1 microsecond' else next_attempt_at end,
       sent_at = case $4 when 'sent' then clock_timestamp() else sent_at end,
       claimed_by = null, claimed_until = null
 where notification_id = $1 and claimed_by = $2 and attempts = $3 and state = 'sending'
