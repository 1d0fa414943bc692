-- In how many seconds the next message of a channel that is not busy becomes due: one that waits for its
-- next attempt, or one whose claim ends. The time of the statement, which an index can be asked for.
select (extract(epoch from least((
    select n.next_attempt_at from public.alert_notifications n
     where n.state in ('waiting', 'sending') and n.next_attempt_at > statement_timestamp()
       and n.state = 'waiting' and n.channel_id <> all ($1)
     order by n.next_attempt_at limit 1
  ), (
    select min(n.claimed_until) from public.alert_notifications n
     where n.state = 'sending' and n.claimed_until > statement_timestamp() and n.channel_id <> all ($1)
  )) - statement_timestamp()))::float8
