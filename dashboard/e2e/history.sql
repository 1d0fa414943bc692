-- What the browser tests find besides the demo data: the daemon's password, a day of errors and runs, an
-- incident of yesterday with its messages, a broken channel.

begin;

alter role error_daemon password 'e2e';

-- Somebody who has signed up, and whom nobody has given a role.
insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, created_at, updated_at,
  raw_app_meta_data, raw_user_meta_data)
select instance_id, '0e000000-0000-4000-8000-000000000007', aud, role, 'nora@example.com', encrypted_password, now(), now(), now(), raw_app_meta_data, '{}'
  from auth.users where email = 'vera@example.com';

insert into public.workflow_runs (project_id, workflow_id, status, started_at)
select w.project_id, w.id, 'succeeded', now() - interval '24 hours' * (i / 4000.0)
  from generate_series(1, 4000) as i
  join (select id, project_id, row_number() over (order by id) as n from public.workflow_definitions) w on w.n = 1 + i % 5;

insert into public.error_metrics ("timestamp", source, error_type, severity, project_id, workflow_id, message, metadata)
select now() - interval '24 hours' * (i / 2400.0) - interval '2 minutes', 'worker', t.error_type, t.severity::public.error_severity,
       w.project_id, w.id, replace(t.message, '{n}', (1000 + i)::text),
       jsonb_build_object('node', 'http-' || (i % 4), 'attempt', 1 + i % 5, 'authorization', 'Bearer abcdefghijklmnop', 'step', jsonb_build_object('name', 'call', 'status', 500 + i % 5))
  from generate_series(1, 2400) as i
  join (select id, project_id, row_number() over (order by id) as n from public.workflow_definitions) w on w.n = 1 + i % 5
  join (values (0, 'execution.timeout', 'medium', 'GET https://api.acme.example/orders timed out after {n} ms'),
               (1, 'execution.http', 'high', 'order service answered 503 to request {n}'),
               (2, 'input.schema', 'low', 'field email of row {n} is not an address'),
               (3, 'system.database', 'high', 'connection to the database was reset')) as t (k, error_type, severity, message)
    on t.k = (i * 7 + i / 11) % 4
 where i % 13 <> 0 and (i % 97 < 60 or i % 2 = 0);

-- One bad half-minute, at which a rule would have fired.
insert into public.error_metrics ("timestamp", source, error_type, severity, project_id, workflow_id, message)
select now() - interval '6 hours' + i * interval '2 seconds', 'worker', 'execution.http', 'high', w.project_id, w.id,
       'order service answered 503 to request ' || i
  from generate_series(1, 12) as i
  join (select id, project_id, row_number() over (order by id) as n from public.workflow_definitions) w on w.n = 1;

-- They came when they happened: a back-test takes errors at the time at which they were received.
alter table public.error_metrics disable trigger append_only;
update public.error_metrics set received_at = "timestamp" + interval '50 milliseconds';
alter table public.error_metrics enable trigger append_only;

insert into public.alert_channels (channel_id, project_id, name, kind, config, state, broken_reason, broken_at) values
  ('c4a00000-0000-4000-8000-00000000000b', 'ac3e0000-0000-4000-8000-000000000001', 'Old webhook', 'webhook',
   '{"url": "https://gone.example.com/alerts"}', 'broken', 'HTTP 410: the address is gone', now() - interval '3 hours');

insert into public.alert_incidents (incident_id, rule_id, rule_name, project_id, group_key, state, level, peak_level, started_at, fired_at,
  resolved_at, value, threshold, peak, evidence)
select md5('incident' || i)::uuid, '12e00000-0000-4000-8000-000000000002', 'Workflow keeps failing', 'ac3e0000-0000-4000-8000-000000000001',
       '{"workflow":"f10e0000-0000-4000-8000-000000000001"}', 'resolved', 'warning', case when i % 3 = 0 then 'critical' else 'warning' end,
       now() - interval '20 hours' + i * interval '7 minutes', now() - interval '20 hours' + i * interval '7 minutes',
       now() - interval '20 hours' + i * interval '7 minutes' + interval '4 minutes', 1.2, 2, 3.4,
       '{"errors": 17, "top_groups": [], "samples": [], "first_seen": null, "last_seen": null}'
  from generate_series(1, 6) as i;

insert into public.alert_incident_events (incident_id, project_id, at, kind, level, value, threshold)
select incident_id, project_id, started_at, 'firing', 'warning', 2.2, 2 from public.alert_incidents where state = 'resolved'
union all
select incident_id, project_id, resolved_at, 'resolved', 'warning', 1.2, 2 from public.alert_incidents where state = 'resolved';

insert into public.alert_notifications (incident_id, channel_id, project_id, transition, payload, state, attempts, attempt_log, sent_at, created_at)
select incident_id, 'c4a00000-0000-4000-8000-000000000003', project_id, 'firing', '{}', 'sent', 2,
       jsonb_build_array(
         jsonb_build_object('at', started_at, 'ms', 1200, 'outcome', 'retry', 'status', 503, 'reason', 'HTTP 503: try again later'),
         jsonb_build_object('at', started_at + interval '2 seconds', 'ms', 87, 'outcome', 'sent', 'status', 204)),
       started_at + interval '2 seconds', started_at
  from public.alert_incidents where state = 'resolved';

commit;
