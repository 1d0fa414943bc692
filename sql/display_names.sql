-- What do people call these projects and workflows?
select id, name from error_tracking.display_names($1)
