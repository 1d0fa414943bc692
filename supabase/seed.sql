-- Demo data for development: two projects, a user for each role, workflows, rules and channels.
-- Every user's password is meshhook-demo. Applying it again changes nothing.

begin;

-- Auth looks only for users of this instance, and reads both times without asking whether they are null.
insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, created_at, updated_at,
  raw_app_meta_data, raw_user_meta_data)
select '00000000-0000-0000-0000-000000000000', id::uuid, 'authenticated', 'authenticated', email,
       extensions.crypt('meshhook-demo', extensions.gen_salt('bf', 6)), now(), now(), now(),
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('name', name)
  from (values
    ('a11ce000-0000-4000-8000-000000000001', 'alice@example.com', 'Alice, owner of Acme'),
    ('b0b00000-0000-4000-8000-000000000002', 'bob@example.com', 'Bob, owner of Globex'),
    ('0e4a0000-0000-4000-8000-000000000003', 'vera@example.com', 'Vera, viewer of Acme'),
    ('417a0000-0000-4000-8000-000000000004', 'rita@example.com', 'Rita, responder of Acme'),
    ('ada30000-0000-4000-8000-000000000005', 'adam@example.com', 'Adam, admin of Acme'),
    ('01a00000-0000-4000-8000-000000000006', 'olga@example.com', 'Olga, admin of everything')
  ) as users (id, email, name)
on conflict (id) do nothing;

-- The hosted schema has columns that its server reads as text and that must not be null.
do $$
declare
  c text;
begin
  foreach c in array array['confirmation_token', 'recovery_token', 'email_change', 'email_change_token_new'] loop
    if exists (select from information_schema.columns
                where table_schema = 'auth' and table_name = 'users' and column_name = c) then
      execute format('update auth.users set %1$I = '''' where %1$I is null', c);
    end if;
  end loop;
end $$;

insert into public.projects (id, owner, name) values
  ('ac3e0000-0000-4000-8000-000000000001', 'a11ce000-0000-4000-8000-000000000001', 'Acme'),
  ('910be000-0000-4000-8000-000000000002', 'b0b00000-0000-4000-8000-000000000002', 'Globex')
on conflict (id) do nothing;

insert into public.workflow_definitions (id, project_id, slug, version, definition, name, status) values
  ('f10e0000-0000-4000-8000-000000000001', 'ac3e0000-0000-4000-8000-000000000001', 'order-sync', 3, '{}', 'Order sync', 'published'),
  ('f10e0000-0000-4000-8000-000000000002', 'ac3e0000-0000-4000-8000-000000000001', 'payment-capture', 1, '{}', 'Payment capture', 'published'),
  ('f10e0000-0000-4000-8000-000000000003', 'ac3e0000-0000-4000-8000-000000000001', 'newsletter', 2, '{}', 'Newsletter', 'published'),
  ('f10e0000-0000-4000-8000-000000000004', '910be000-0000-4000-8000-000000000002', 'lead-import', 1, '{}', 'Lead import', 'published'),
  ('f10e0000-0000-4000-8000-000000000005', '910be000-0000-4000-8000-000000000002', 'invoice-export', 4, '{}', 'Invoice export', 'published')
on conflict (id) do nothing;

insert into public.error_access (project_id, user_id, role) values
  ('ac3e0000-0000-4000-8000-000000000001', '0e4a0000-0000-4000-8000-000000000003', 'viewer'),
  ('ac3e0000-0000-4000-8000-000000000001', '417a0000-0000-4000-8000-000000000004', 'responder'),
  ('ac3e0000-0000-4000-8000-000000000001', 'ada30000-0000-4000-8000-000000000005', 'admin'),
  (null, '01a00000-0000-4000-8000-000000000006', 'admin')
on conflict (project_id, user_id) do nothing;

insert into public.alert_channels (channel_id, project_id, name, kind, config) values
  ('c4a00000-0000-4000-8000-000000000001', null, 'Ops Slack', 'slack', '{}'),
  ('c4a00000-0000-4000-8000-000000000002', null, 'Ops e-mail', 'email', '{"to": ["ops@example.com"]}'),
  ('c4a00000-0000-4000-8000-000000000003', 'ac3e0000-0000-4000-8000-000000000001', 'Acme webhook', 'webhook',
   '{"url": "https://hooks.example.com/meshhook"}'),
  ('c4a00000-0000-4000-8000-000000000004', '910be000-0000-4000-8000-000000000002', 'Globex e-mail', 'email',
   '{"to": ["bob@example.com", "oncall@example.com"]}'),
  ('c4a00000-0000-4000-8000-000000000005', 'ac3e0000-0000-4000-8000-000000000001', 'Acme Slack bot', 'slack', '{"channel": "C0ACME0ALERTS"}'),
  ('c4a00000-0000-4000-8000-000000000006', '910be000-0000-4000-8000-000000000002', 'Globex PagerDuty', 'webhook', '{"format": "pagerduty"}')
on conflict (channel_id) do nothing;

insert into public.alert_rules (rule_id, project_id, name, description, metric, min_runs, error_types, severities,
  group_by, window_seconds, warning, critical, resolve, reminder_seconds) values
  ('12e00000-0000-4000-8000-000000000001', null, 'Error burst', 'Look at the top group first; a deployment is the usual cause.',
   'count', 20, '{}', '{}', '{project}', 60, 20, 60, 10, 14400),
  ('12e00000-0000-4000-8000-000000000002', 'ac3e0000-0000-4000-8000-000000000001', 'Workflow keeps failing',
   'Pause the workflow if the same step fails again and again.',
   'rate', 20, '{execution}', '{high}', '{workflow}', 300, 2, null, null, 3600),
  ('12e00000-0000-4000-8000-000000000003', '910be000-0000-4000-8000-000000000002', 'Failure ratio', 'More than one run in five fails.',
   'ratio', 20, '{execution}', '{}', '{}', 300, 0.2, 0.5, 0.1, 0)
on conflict (rule_id) do nothing;

insert into public.alert_rule_channels (rule_id, channel_id, min_level) values
  ('12e00000-0000-4000-8000-000000000001', 'c4a00000-0000-4000-8000-000000000001', 'warning'),
  ('12e00000-0000-4000-8000-000000000001', 'c4a00000-0000-4000-8000-000000000002', 'warning'),
  ('12e00000-0000-4000-8000-000000000002', 'c4a00000-0000-4000-8000-000000000003', 'warning'),
  ('12e00000-0000-4000-8000-000000000002', 'c4a00000-0000-4000-8000-000000000005', 'warning'),
  ('12e00000-0000-4000-8000-000000000003', 'c4a00000-0000-4000-8000-000000000004', 'warning'),
  ('12e00000-0000-4000-8000-000000000003', 'c4a00000-0000-4000-8000-000000000006', 'warning')
on conflict (rule_id, channel_id) do nothing;

commit;
