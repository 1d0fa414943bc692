-- Records what came of one attempt for each of the messages in $2, where the caller still holds the claim.
update public.alert_notifications n
   set state = r.state, attempt_log = n.attempt_log || r.entry, last_error = r.last_error,
       receipt = coalesce(r.receipt, n.receipt),
       next_attempt_at = case r.state when 'waiting' then clock_timestamp() + r.wait_micros * interval '1 microsecond' else n.next_attempt_at end,
       sent_at = case r.state when 'sent' then clock_timestamp() else n.sent_at end,
       claimed_by = null, claimed_until = null
  from jsonb_to_recordset($2) as r (
    notification_id uuid, attempt int, state text, wait_micros bigint, entry jsonb, last_error text, receipt text)
 where n.notification_id = r.notification_id and n.claimed_by = $1 and n.attempts = r.attempt and n.state = 'sending'
