-- Which messages are to be sent now, taken for this instance, in the order of their decisions and only
-- while the lease of the caller holds, which is locked until the commit: for each channel the first one, with what else its rule has to
-- say of the same kind where people read it; for a channel in $4 all that wait.
with leader as (
  select from error_tracking.leases l
   where l.name = 'leader' and l.holder = $1 and l.fence = $2 and l.expires_at > clock_timestamp()
     for share
), unfinished as (
  -- What we have taken ourselves for a channel that is not busy nobody is sending any more. What
  -- another instance has taken it may still be sending, if it lost the lease only just now.
  select n.notification_id, n.number, n.channel_id, n.incident_id, n.transition,
         n.state = 'sending' and n.claimed_by <> $1 and n.claimed_until > clock_timestamp() as with_another,
         n.state = 'waiting' and n.next_attempt_at <= clock_timestamp()
           or n.state = 'sending' and (n.claimed_by = $1 or n.claimed_until <= clock_timestamp()) as due
    from public.alert_notifications n
   where n.state in ('waiting', 'sending') and n.channel_id <> all ($3) and exists (select from leader)
), ordered as (
  -- What an incident has to tell a channel stays in order, whatever has to be retried.
  select u.*, bool_or(u.with_another) over (partition by u.channel_id) as channel_in_use,
         case when u.incident_id is not null then
           min(u.number) filter (where not u.due) over (partition by u.channel_id, u.incident_id) end as held_back_from
    from unfinished u
), ready as (
  select o.notification_id, o.channel_id, o.incident_id, o.transition,
         row_number() over (partition by o.channel_id order by o.number) as place,
         row_number() over (partition by o.channel_id, o.incident_id order by o.number) as place_in_incident,
         min(o.number) over (partition by o.channel_id) as channel_since
    from ordered o
   where o.due and not o.channel_in_use and (o.held_back_from is null or o.number < o.held_back_from)
), firsts as (
  select r.channel_id, r.transition, i.rule_id, c.kind in ('slack', 'email') as by_people
    from ready r
    join public.alert_channels c using (channel_id)
    left join public.alert_incidents i using (incident_id)
   where r.place = 1
), candidates as (
  select r.notification_id
    from (select r.*, dense_rank() over (order by r.channel_since) as channel_place from ready r) r
    left join firsts f using (channel_id)
    left join public.alert_incidents i using (incident_id)
   where r.channel_place <= $5
     and r.place <= case
       when r.channel_id = any ($4) then $6
       -- What an incident said before is not to be passed by.
       when f.by_people and f.transition = r.transition and f.rule_id = i.rule_id and r.place_in_incident = 1 then $6
       else 1 end
), taken as (
  select n.notification_id, rule.title_template, rule.body_template, rule.rule_id
    from public.alert_notifications n
    left join public.alert_incidents i using (incident_id)
    left join public.alert_rules rule on rule.rule_id = i.rule_id
   where n.notification_id in (select c.notification_id from candidates c) and n.state in ('waiting', 'sending')
   for update of n skip locked
)
update public.alert_notifications n
   set state = 'sending', claimed_by = $1, attempts = n.attempts + 1,
       -- As long as a lease: whoever takes over from a leader that was killed need not wait for its
       -- claims, and whoever takes over from one that only was cut off gives it time to finish.
       claimed_until = clock_timestamp() + interval '6 s'
  from taken t, public.alert_channels c left join error_tracking.channel_secrets s using (channel_id)
 where n.notification_id = t.notification_id and c.channel_id = n.channel_id
returning n.notification_id, n.number, n.incident_id, n.project_id as notification_project_id, n.transition,
  n.payload, n.attempts, n.attempt_log, t.rule_id, t.title_template, t.body_template,
  extract(epoch from n.created_at)::float8 as created_seconds, extract(epoch from clock_timestamp() - n.created_at)::float8 as age_seconds,
  n.incident_id is null or exists (
    select from public.alert_notifications e
     where e.incident_id = n.incident_id and e.channel_id = n.channel_id and e.state = 'sent' and e.number < n.number
  ) as receiver_knows,
  c.channel_id, c.project_id, c.name, c.kind, c.config, c.enabled, c.updated_at,
  s.nonce, s.ciphertext, s.updated_at as secret_updated_at
