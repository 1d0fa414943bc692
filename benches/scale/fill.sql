-- Fills an empty project with $ROWS errors over $DAYS days, as a busy one would have them: a few groups
-- make most of the errors, days have their hours, and some hours are bad. The trigger is off, because
-- it would draw the time of arrival; rollups, groups and checkpoint are made from the rows
-- themselves, in the order of time, as they would have come.
-- Foreign keys hold by construction, and are not looked up for millions of rows.

set session_replication_role = replica;
select setseed(0.42);

insert into public.projects (id, owner, name)
select md5('project ' || n)::uuid, md5('owner ' || n)::uuid, 'Project ' || n from generate_series(1, 20) n;

insert into public.workflow_definitions (id, project_id, slug, version, definition)
select md5('workflow ' || n)::uuid, md5('project ' || 1 + floor(20 * power(random(), 2)))::uuid, 'workflow-' || n, 1, '{}'
  from generate_series(1, 200) n;

create temporary table kind as
select n, w.project_id, w.id as workflow_id, source, error_type, severity, message,
       error_tracking.fingerprint_of(source, error_type, message) as fingerprint
  from (
    select n,
           md5('workflow ' || 1 + floor(200 * power(random(), 2)))::uuid as id,
           (array['worker', 'worker', 'worker', 'webhook', 'system'])[1 + floor(5 * random())] as source,
           (array['execution.http_timeout', 'execution.http_status', 'execution.step', 'input.validation', 'input.signature',
                  'system.database', 'system.dns', 'system.queue', 'system.unknown'])[1 + floor(9 * random())] as error_type,
           (array['low', 'medium', 'medium', 'high'])[1 + floor(4 * random())]::public.error_severity as severity,
           'step ' || translate(n::text, '0123456789', 'abcdefghij') || ' answered nothing in time' as message
      from generate_series(1, 5000) n
  ) k join public.workflow_definitions w using (id);
alter table kind add primary key (n);
analyze kind;

drop index public.idx_error_metrics_timestamp, public.idx_error_metrics_project_id_timestamp,
  public.idx_error_metrics_fingerprint_timestamp, public.idx_error_metrics_workflow_id_timestamp;

insert into public.error_metrics (error_id, "timestamp", source, error_type, severity, workflow_id, metadata, project_id,
  message, fingerprint, received_at, seq)
select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8'
         || substr(md5(i::text), 4, 15))::uuid,
       at - make_interval(secs => random() * 2), k.source, k.error_type, k.severity, k.workflow_id,
       jsonb_build_object('attempt', i % 4, 'host', 'worker-' || i % 32, 'run_id', md5('run' || i)),
       k.project_id, k.message, k.fingerprint, at, i
  from (
    select i,
           -- Errors come in waves of a day; one in ten belongs to a bad hour.
           now() - interval '$DAYS days' * (1 - (i::double precision / $ROWS
             - sin(2 * pi() * i::double precision * $DAYS / $ROWS) * 0.9 / (2 * pi() * $DAYS))) as at,
           1 + floor(5000 * power(case when i % 10 = 0 then (i * 37 % 1000) / 1000.0 else random() end, 4))::int as n
      from generate_series(1::bigint, $ROWS) i
  ) e join kind k using (n);

create index idx_error_metrics_timestamp on public.error_metrics ("timestamp" desc);
create index idx_error_metrics_project_id_timestamp on public.error_metrics (project_id, "timestamp" desc);
create index idx_error_metrics_fingerprint_timestamp on public.error_metrics (fingerprint, "timestamp" desc);
create index idx_error_metrics_workflow_id_timestamp
  on public.error_metrics (workflow_id, "timestamp" desc) where workflow_id is not null;

insert into public.error_rate_minutes (bucket, project_id, workflow_id, source, error_type, severity, count)
select date_trunc('minute', "timestamp", 'UTC'), project_id, workflow_id, source, error_type, severity, count(*)
  from public.error_metrics group by 1, 2, 3, 4, 5, 6 order by 1;
insert into public.error_rate_hours (bucket, project_id, workflow_id, source, error_type, severity, count)
select date_trunc('hour', bucket, 'UTC'), project_id, workflow_id, source, error_type, severity, sum(count)
  from public.error_rate_minutes group by 1, 2, 3, 4, 5, 6 order by 1;
insert into public.error_group_hours (bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count)
select date_trunc('hour', "timestamp", 'UTC'), project_id, workflow_id, fingerprint, min(source), min(error_type), severity, count(*)
  from public.error_metrics group by 1, 2, 3, 4, severity order by 1;
insert into error_tracking.rate_sums (kind, bucket, project_id, key, severity, count)
select d.kind, d.starts, c.project_id, d.key, c.severity, sum(c.count)
  from public.error_rate_hours c cross join lateral error_tracking.sums_of(c.bucket, c.source, c.error_type, c.workflow_id) d
 group by 1, 2, 3, 4, 5 order by 1, 2;
insert into error_tracking.group_days (bucket, project_id, workflow_id, fingerprint, source, error_type, severity, count)
select error_tracking.day_of(bucket), project_id, workflow_id, fingerprint, min(source), min(error_type), severity, sum(count)
  from public.error_group_hours group by 1, 2, 3, 4, severity order by 1;
insert into public.error_groups (project_id, fingerprint, title, source, error_type, worst_severity, first_seen, last_seen,
  count, sample_error_id)
select e.project_id, e.fingerprint, min(e.message), min(e.source), min(e.error_type), max(e.severity), min(e."timestamp"),
       max(e."timestamp"), count(*), (array_agg(e.error_id))[1]
  from public.error_metrics e group by 1, 2;

insert into public.workflow_runs (id, project_id, workflow_id, status, started_at)
select gen_random_uuid(), w.project_id, w.id, case when random() < 0.05 then 'failed' else 'succeeded' end,
       now() - interval '$DAYS days' * (1 - r / greatest(1, $ROWS / 10)::double precision)
  from generate_series(1, greatest(1, $ROWS / 10)) r
  join public.workflow_definitions w on w.id = md5('workflow ' || 1 + r % 200)::uuid
 order by r;

-- Each project has rules, incidents that came and went, and a few that are open.
insert into public.alert_rules (rule_id, project_id, name, metric, window_seconds, warning, critical, group_by)
select md5('rule ' || n)::uuid, md5('project ' || 1 + n % 20)::uuid, 'Rule ' || n, 'count', 300, 50, 500, '{fingerprint}'
  from generate_series(1, 200) n;
insert into public.alert_incidents (incident_id, rule_id, rule_name, project_id, group_key, state, level, peak_level, started_at,
  fired_at, resolved_at, value, threshold, peak)
select md5('incident ' || n)::uuid, r.rule_id, r.name, r.project_id,
       jsonb_build_object('fingerprint', md5('fingerprint ' || n))::text, case when n % 400 = 0 then 'firing' else 'resolved' end,
       'warning', 'critical', at, at, case when n % 400 <> 0 then at + interval '10 minutes' end, 60, 50, 600
  from (select n, now() - interval '$DAYS days' * random() as at from generate_series(1, greatest(20, $ROWS / 500)) n) i
  join public.alert_rules r on r.rule_id = md5('rule ' || 1 + n % 200)::uuid;
insert into public.alert_incident_events (incident_id, project_id, at, kind, level, value, threshold)
select i.incident_id, i.project_id, e.at, e.kind, 'warning', 60, 50
  from public.alert_incidents i
 cross join lateral (values (i.started_at, 'firing'), (i.resolved_at, 'resolved')) e (at, kind) where e.at is not null;

update error_tracking.checkpoint set accounted = int8multirange(int8range(1, $ROWS + 1));
select setval('error_tracking.error_metrics_seq', $ROWS);
-- The two who ask; `make bench-page` signs in as the first.
insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, created_at, updated_at,
  raw_app_meta_data, raw_user_meta_data)
select '00000000-0000-0000-0000-000000000000', md5(name)::uuid, 'authenticated', 'authenticated', name || '@example.com',
       extensions.crypt('meshhook-demo', extensions.gen_salt('bf', 6)), now(), now(), now(), '{}', '{}'
  from (values ('admin'), ('viewer')) u (name);
insert into public.error_access (user_id, project_id, role) values (md5('admin')::uuid, null, 'admin');
insert into public.error_access (user_id, project_id, role) values (md5('viewer')::uuid, md5('project 1')::uuid, 'viewer');
insert into public.error_tracker_status (instance_id, name, version, leader, socket, started_at, heartbeat_at, complete_through)
values (gen_random_uuid(), 'bench', '0', true, 'subscribed', now(), now(), now());
set session_replication_role = origin;
