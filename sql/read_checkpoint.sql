-- Which numbers are counted in minutes, hours and groups?
select epoch, accounted::text from error_tracking.checkpoint
