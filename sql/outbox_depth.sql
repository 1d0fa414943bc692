-- How many messages wait or are being sent, and in how many seconds the next one of a channel that
-- is not busy becomes due.
select count(*) as depth,
       (extract(epoch from min(due) filter (where due > clock_timestamp() and channel_id <> all ($1))
                           - clock_timestamp()))::float8 as next_due_seconds
  from (
    select n.channel_id, case n.state when 'waiting' then n.next_attempt_at else n.claimed_until end as due
      from public.alert_notifications n
     where n.state in ('waiting', 'sending')
  ) unfinished
