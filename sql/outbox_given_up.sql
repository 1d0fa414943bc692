-- How many messages of the last two days were given up? Each was tried for a day, or cannot work.
select count(*) from public.alert_notifications n
 where n.state = 'dead' and n.created_at > clock_timestamp() - interval '2 days'
