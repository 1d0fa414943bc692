-- Takes an incident in hand in the name of somebody whom only the daemon knows.
select error_tracking.acknowledge($1, null, $2)
