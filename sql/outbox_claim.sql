-- Which messages are to be sent now, taken for this instance: at most one for each channel, in the
-- order of their decisions, and only while the lease of the caller holds.
with leader as (
  select from error_tracking.leases l
   where l.name = 'leader' and l.holder = $1 and l.fence = $2 and l.expires_at > clock_timestamp()
), due_channels as (
  select distinct n.channel_id
    from public.alert_notifications n
   where n.state in ('waiting', 'sending') and n.channel_id <> all ($3)
     and case n.state when 'waiting' then n.next_attempt_at else n.claimed_until end <= clock_timestamp()
     and exists (select from leader)
), candidates as (
  select oldest.notification_id, oldest.number
    from due_channels d
   cross join lateral (
     select n.notification_id, n.number
       from public.alert_notifications n
      where n.channel_id = d.channel_id and n.state in ('waiting', 'sending')
        and case n.state when 'waiting' then n.next_attempt_at else n.claimed_until end <= clock_timestamp()
        -- What an incident has to tell stays in order, whatever has to be retried.
        and not exists (
          select from public.alert_notifications o
           where o.incident_id = n.incident_id and o.channel_id = n.channel_id
             and o.state in ('waiting', 'sending') and o.number < n.number)
      order by n.number
      limit 1
   ) oldest
   -- Another instance that lost the lease may still be sending to the channel.
   where not exists (
     select from public.alert_notifications s
      where s.channel_id = d.channel_id and s.state = 'sending' and s.claimed_until > clock_timestamp())
   order by oldest.number
   limit $4
), taken as (
  select n.notification_id
    from public.alert_notifications n
   where n.notification_id in (select notification_id from candidates) and n.state in ('waiting', 'sending')
   for update skip locked
)
update public.alert_notifications n
   set state = 'sending', claimed_by = $1, attempts = n.attempts + 1,
       -- A claim outlives the longest send of its kind, so that no message is sent by two at once.
       claimed_until = clock_timestamp() + case c.kind when 'email' then interval '60 s' else interval '30 s' end
  from taken t, public.alert_channels c left join error_tracking.channel_secrets s using (channel_id)
 where n.notification_id = t.notification_id and c.channel_id = n.channel_id
returning n.notification_id, n.incident_id, n.project_id as notification_project_id, n.transition, n.payload,
  n.attempts, n.attempt_log, extract(epoch from clock_timestamp() - n.created_at)::float8 as age_seconds,
  n.incident_id is null or exists (
    select from public.alert_notifications e
     where e.incident_id = n.incident_id and e.channel_id = n.channel_id and e.state = 'sent' and e.number < n.number
  ) as receiver_knows,
  c.channel_id, c.project_id, c.name, c.kind, c.config, c.enabled, c.updated_at,
  s.nonce, s.ciphertext, s.updated_at as secret_updated_at
