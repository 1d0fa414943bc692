-- Deletes at most $2 rows of kind $1 that are older than their retention. Were there no more?
select deleted, finished from error_tracking.prune($1, $2)
