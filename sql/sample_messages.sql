-- What do these errors say?
select error_id, message from public.error_metrics where error_id = any ($1)
