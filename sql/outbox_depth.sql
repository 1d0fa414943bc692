-- How many messages wait or are being sent.
select count(*) from public.alert_notifications n where n.state in ('waiting', 'sending')
