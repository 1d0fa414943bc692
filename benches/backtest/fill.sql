-- $ROWS errors of a week from $FROM on, and a burst of a hundred of a new group each day at noon. The
-- trigger is off, because it would draw the time of arrival.
set session_replication_role = replica;
set synchronous_commit = off;

insert into public.error_metrics (error_id, "timestamp", source, error_type, severity, workflow_id, project_id, message,
  fingerprint, metadata, received_at, seq)
select gen_random_uuid(), e.at, case n % 3 when 0 then 'webhook' else 'worker' end,
       case n % 2 when 0 then 'execution.timeout' else 'input.schema' end, 'medium', md5('workflow ' || n % 50)::uuid,
       md5('project')::uuid, 'GET /orders/' || n % 500 || ' timed out', md5('group ' || n % 500)::uuid,
       jsonb_build_object('run_id', md5('run ' || n), 'host', 'worker-' || n % 32, 'attempt', n % 4, 'body', b.body),
       -- Rows arrive a little after they happened, and not quite in that order.
       e.at + n % 7 * interval '30 ms', n
  from generate_series(1, $ROWS) n,
       lateral (select $FROM + n * interval '7 days' / $ROWS as at) e,
       (select string_agg(md5(i::text), ' ') as body from generate_series(1, 27) i) b;

insert into public.error_metrics (error_id, "timestamp", source, error_type, severity, workflow_id, project_id, message,
  fingerprint, received_at, seq)
select gen_random_uuid(), e.at, 'worker', 'execution.oom', 'high', md5('workflow 1')::uuid, md5('project')::uuid, 'burst',
       md5('burst ' || day)::uuid, e.at, $ROWS + day * 100 + n
  from generate_series(0, 6) day, generate_series(1, 100) n,
       lateral (select $FROM + day * interval '1 day' + interval '12 hours' + n * interval '10 ms' as at) e;

insert into public.error_rate_minutes (bucket, project_id, workflow_id, source, error_type, severity, count)
select date_trunc('minute', "timestamp", 'UTC'), project_id, workflow_id, source, error_type, severity, count(*)
  from public.error_metrics group by 1, 2, 3, 4, 5, 6;
insert into public.error_groups (project_id, fingerprint, title, source, error_type, worst_severity, first_seen, last_seen,
  count, sample_error_id)
select project_id, fingerprint, min(message), min(source), min(error_type), max(severity), min("timestamp"),
       max("timestamp"), count(*), (array_agg(error_id))[1]
  from public.error_metrics group by 1, 2;
