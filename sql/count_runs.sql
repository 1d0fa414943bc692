-- How many workflow runs of projects $4 and workflows $5 (null: of all) were started from $1 to before $2, per
-- $3 seconds, project and, where $6 says so, workflow? At most $7 rows.
select project_id, workflow_id, at, runs from error_tracking.run_counts($1, $2, $3, $4, $5, $6) limit $7
