-- Which messages are to be sent now, taken for this instance, in the order of their decisions and only
-- while the lease of the caller holds, which is locked until the commit: for each channel the first one, with what else its rule has to
-- say of the same kind where people read it; for a channel in $4 all that wait.
with recursive leader as (
  select from error_tracking.leases l
   where l.name = 'leader' and l.holder = $1 and l.fence = $2 and l.expires_at > clock_timestamp()
     for share
), unfinished (channel_id) as (
  -- The channels with something to send, one index look-up each: in a storm far more waits than is taken.
  (select n.channel_id from public.alert_notifications n
    where n.state in ('waiting', 'sending') and exists (select from leader)
    order by n.channel_id, n.number limit 1)
  union all
  select (select n.channel_id from public.alert_notifications n
           where n.state in ('waiting', 'sending') and n.channel_id > u.channel_id
           order by n.channel_id, n.number limit 1)
    from unfinished u
   where u.channel_id is not null
), free as (
  -- What another instance has taken it may still be sending, if it lost the lease only just now.
  select u.channel_id
    from unfinished u
   where u.channel_id <> all ($3) and not exists (
     select from public.alert_notifications n
      where n.channel_id = u.channel_id and n.state = 'sending'
        and n.claimed_by <> $1 and n.claimed_until > clock_timestamp())
), ready as (
  select n.*,
         row_number() over (partition by n.channel_id order by n.number) as place,
         row_number() over (partition by n.channel_id, n.incident_id order by n.number) as place_in_incident,
         min(n.number) over (partition by n.channel_id) as channel_since
    from free f, lateral (
      select n.notification_id, n.number, n.channel_id, n.incident_id, n.transition
        from public.alert_notifications n
       where n.channel_id = f.channel_id and n.state in ('waiting', 'sending')
         -- What we have taken ourselves for a channel that is not busy nobody is sending any more.
         and (n.state = 'sending' or n.next_attempt_at <= clock_timestamp())
         -- What an incident has to tell a channel stays in order, whatever has to be retried. Its few
         -- messages are found by it alone: "is distinct" keeps the planner, which may not have seen how
         -- large a storm is, from going through all of the channel's for each.
         and not exists (
           select from public.alert_notifications e
            where e.incident_id = n.incident_id and e.channel_id is not distinct from n.channel_id and e.number < n.number
              and e.state = 'waiting' and e.next_attempt_at > clock_timestamp())
       order by n.number
       limit $6
    ) n
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
     where e.incident_id = n.incident_id and e.channel_id is not distinct from n.channel_id and e.state = 'sent' and e.number < n.number
  ) as receiver_knows,
  c.channel_id, c.project_id, c.name, c.kind, c.config, c.enabled, c.updated_at,
  s.nonce, s.ciphertext, s.updated_at as secret_updated_at
