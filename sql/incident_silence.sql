-- Silences an incident's rule and group for $3 seconds in the name of somebody whom only the daemon knows.
select error_tracking.silence($1, now() + $3 * interval '1 second', null, $2)
