-- How many workflow runs were started per second, project and workflow?
select project_id, workflow_id, second, runs from error_tracking.run_counts($1, $2)
