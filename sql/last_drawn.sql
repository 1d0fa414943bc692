-- Which number was drawn last, as of this server's life? A crash may take numbers back that were drawn
-- by transactions of which nothing had reached the disk.
select case when is_called then last_value else last_value - 1 end as last_drawn,
       pg_postmaster_start_time() as server_started
  from error_tracking.error_metrics_seq
