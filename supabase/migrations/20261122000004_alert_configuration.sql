-- Error tracking: rules, channels, silences.

begin;

-- Rules -------------------------------------------------------------------------------------------

create table if not exists public.alert_rules (
  rule_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  name text not null,
  description text not null default '',
  enabled boolean not null default true,
  metric text not null default 'count',
  min_runs int not null default 20,
  sources text[] not null default '{}',
  error_types text[] not null default '{}',
  severities text[] not null default '{}',
  workflow_ids uuid[] not null default '{}',
  message_contains text,
  group_by text[] not null default '{}',
  window_seconds int not null default 300,
  warning double precision,
  critical double precision,
  resolve double precision,
  pending_seconds int not null default 0,
  keep_firing_seconds int not null default 0,
  reminder_seconds int not null default 14400,
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- PostgREST answers with a constraint's name, so each name says which field is wrong and why.
  constraint name_must_have_1_to_120_characters check (length(btrim(name)) between 1 and 120),
  constraint metric_must_be_count_rate_or_ratio check (metric in ('count', 'rate', 'ratio')),
  constraint min_runs_must_be_1_to_1000000 check (min_runs between 1 and 1000000),
  constraint sources_must_be_worker_webhook_or_system check (sources <@ array['worker', 'webhook', 'system']),
  constraint error_types_must_be_class_or_class_dot_detail check (
    cardinality(error_types) <= 50 and error_tracking.all_match(error_types, '^(system|execution|input)(\.[a-z0-9_-]+)*$')),
  constraint severities_must_be_low_medium_or_high check (severities <@ array['low', 'medium', 'high']),
  constraint workflow_ids_must_be_at_most_100_and_not_null check (
    cardinality(workflow_ids) <= 100 and array_position(workflow_ids, null) is null),
  constraint message_contains_must_have_1_to_200_characters check (length(message_contains) between 1 and 200),
  constraint group_by_must_be_known_fields check (
    group_by <@ array['project', 'workflow', 'source', 'error_type', 'severity', 'fingerprint']),
  constraint group_by_of_a_ratio_must_be_project_or_workflow check (
    metric <> 'ratio' or group_by <@ array['project', 'workflow']),
  constraint window_seconds_must_be_whole_minutes_up_to_30_days check (
    window_seconds between 60 and 2592000 and window_seconds % 60 = 0),
  constraint warning_or_critical_must_be_given check (warning is not null or critical is not null),
  constraint warning_must_be_above_0 check (warning > 0 and warning < 'infinity'),
  constraint critical_must_be_above_0 check (critical > 0 and critical < 'infinity'),
  constraint critical_must_not_be_below_warning check (critical >= warning),
  constraint resolve_must_be_above_0_and_not_above_the_thresholds check (
    resolve > 0 and resolve <= coalesce(warning, critical)),
  constraint pending_seconds_must_be_0_to_86400 check (pending_seconds between 0 and 86400),
  constraint keep_firing_seconds_must_be_0_to_86400 check (keep_firing_seconds between 0 and 86400),
  constraint reminder_seconds_must_be_0_or_60_to_2592000 check (
    reminder_seconds = 0 or reminder_seconds between 60 and 2592000)
);
create index if not exists idx_alert_rules_project_id on public.alert_rules (project_id);
comment on table public.alert_rules is 'What to watch, over which window, against which thresholds. docs/alerts.md explains each field.';
comment on column public.alert_rules.rule_id is 'Primary key.';
comment on column public.alert_rules.project_id is 'The project to watch; null watches everything.';
comment on column public.alert_rules.name is 'What people call it; stands in every message.';
comment on column public.alert_rules.description is 'What to do when it fires; stands in every message.';
comment on column public.alert_rules.enabled is 'A rule that is not enabled is not evaluated, and its incidents resolve.';
comment on column public.alert_rules.metric is
  'count: errors in the window; rate: errors per minute; ratio: errors divided by workflow runs started in the window.';
comment on column public.alert_rules.min_runs is 'A ratio over fewer runs than this says nothing.';
comment on column public.alert_rules.sources is 'Count only these sources; empty means all.';
comment on column public.alert_rules.error_types is 'Count only these types: a class counts all its details. Empty means all.';
comment on column public.alert_rules.severities is 'Count only these severities; empty means all.';
comment on column public.alert_rules.workflow_ids is 'Count only these workflow versions; empty means all.';
comment on column public.alert_rules.message_contains is 'Count only errors whose message contains this text, without regard to case.';
comment on column public.alert_rules.group_by is
  'One incident per distinct combination of these: project, workflow, source, error_type, severity, fingerprint.';
comment on column public.alert_rules.window_seconds is 'Length of the window: 1 minute to 30 days, whole minutes.';
comment on column public.alert_rules.warning is 'The rule warns when the value reaches this.';
comment on column public.alert_rules.critical is 'The rule is critical when the value reaches this.';
comment on column public.alert_rules.resolve is 'The incident resolves when the value falls below this; by default the lower threshold.';
comment on column public.alert_rules.pending_seconds is 'The value must hold this long before the rule fires.';
comment on column public.alert_rules.keep_firing_seconds is 'The value must stay below the resolve threshold this long before the incident resolves.';
comment on column public.alert_rules.reminder_seconds is 'Repeat the message this often until somebody acknowledges; 0 never repeats it.';
comment on column public.alert_rules.created_by is 'Who made it.';
comment on column public.alert_rules.created_at is 'When it was made.';
comment on column public.alert_rules.updated_at is 'When it was last changed.';

-- Channels ----------------------------------------------------------------------------------------

create table if not exists public.alert_channels (
  channel_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  name text not null,
  kind text not null,
  config jsonb not null default '{}',
  enabled boolean not null default true,
  has_secret boolean not null default false,
  state text not null default 'ok',
  broken_reason text,
  broken_at timestamptz,
  last_delivery_at timestamptz,
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint name_must_have_1_to_120_characters check (length(btrim(name)) between 1 and 120),
  constraint kind_must_be_slack_email_or_webhook check (kind in ('slack', 'email', 'webhook')),
  constraint config_must_be_an_object check (jsonb_typeof(config) = 'object'),
  constraint config_to_must_list_1_to_50_addresses_for_email check (
    kind <> 'email' or coalesce(jsonb_typeof(config -> 'to') = 'array' and jsonb_array_length(config -> 'to') between 1 and 50, false)),
  constraint config_url_must_be_given_for_webhook check (
    kind <> 'webhook' or coalesce(config ->> 'url' ~* '^https?://', false)),
  constraint config_must_not_hold_secrets check (
    not config ?| array['password', 'secret', 'signing_secret', 'token', 'webhook_url']),
  constraint state_must_be_ok_or_broken check (state in ('ok', 'broken')),
  constraint alert_channels_project_name unique nulls not distinct (project_id, name)
);
comment on table public.alert_channels is 'Where alerts go. Secrets are kept apart and cannot be read back.';
comment on column public.alert_channels.channel_id is 'Primary key.';
comment on column public.alert_channels.project_id is 'Whose channel it is; null for the platform''s own.';
comment on column public.alert_channels.name is 'What people call it; unique in its project.';
comment on column public.alert_channels.kind is 'slack (incoming webhook, whose address is the secret), email, or webhook (signed with the secret).';
comment on column public.alert_channels.config is
  'email: {"to": ["a@b.c"]}; webhook: {"url": "https://…"}; slack: nothing. No secrets.';
comment on column public.alert_channels.enabled is 'A channel that is not enabled gets nothing.';
comment on column public.alert_channels.has_secret is 'Whether a secret is stored.';
comment on column public.alert_channels.state is 'broken after a permanent error; ok again after the next success or a change.';
comment on column public.alert_channels.broken_reason is 'What the receiver answered.';
comment on column public.alert_channels.broken_at is 'Since when it is broken.';
comment on column public.alert_channels.last_delivery_at is 'When a message last went out.';
comment on column public.alert_channels.created_by is 'Who made it.';
comment on column public.alert_channels.created_at is 'When it was made.';
comment on column public.alert_channels.updated_at is 'When it was last changed.';

create table if not exists error_tracking.channel_secrets (
  channel_id uuid primary key references public.alert_channels (channel_id) on delete cascade,
  nonce bytea not null,
  ciphertext bytea not null,
  updated_at timestamptz not null default now(),
  constraint nonce_must_have_12_bytes check (octet_length(nonce) = 12)
);
comment on table error_tracking.channel_secrets is
  'Secrets of channels: AES-256-GCM, the key is in the daemon''s environment, the channel''s id is the associated data.';
comment on column error_tracking.channel_secrets.channel_id is 'The channel.';
comment on column error_tracking.channel_secrets.nonce is 'Drawn anew for each write.';
comment on column error_tracking.channel_secrets.ciphertext is 'Encrypted JSON with its tag.';
comment on column error_tracking.channel_secrets.updated_at is 'When it was last set.';

create or replace function error_tracking.channel_secret_changed() returns trigger
language plpgsql security definer set search_path = '' as
$$
begin
  update public.alert_channels set has_secret = (tg_op <> 'DELETE'), state = 'ok', broken_reason = null, broken_at = null
   where channel_id = coalesce(new.channel_id, old.channel_id);
  return null;
end $$;
comment on function error_tracking.channel_secret_changed() is 'Keeps alert_channels.has_secret true to the fact; a new secret mends a broken channel.';
drop trigger if exists secret_changed on error_tracking.channel_secrets;
create trigger secret_changed after insert or update or delete on error_tracking.channel_secrets
  for each row execute function error_tracking.channel_secret_changed();

create table if not exists public.alert_rule_channels (
  rule_id uuid not null references public.alert_rules (rule_id) on delete cascade,
  channel_id uuid not null references public.alert_channels (channel_id) on delete cascade,
  min_level text not null default 'warning',
  project_id uuid references public.projects (id) on delete cascade,
  primary key (rule_id, channel_id),
  constraint min_level_must_be_warning_or_critical check (min_level in ('warning', 'critical'))
);
create index if not exists idx_alert_rule_channels_channel_id on public.alert_rule_channels (channel_id);
comment on table public.alert_rule_channels is 'Which rule tells which channels.';
comment on column public.alert_rule_channels.rule_id is 'The rule.';
comment on column public.alert_rule_channels.channel_id is 'The channel: of the rule''s project, or the platform''s own where the rule''s author may see it.';
comment on column public.alert_rule_channels.min_level is 'critical keeps mere warnings from the channel.';
comment on column public.alert_rule_channels.project_id is 'The rule''s project, set by the server.';

create or replace function error_tracking.before_rule_channel() returns trigger
language plpgsql set search_path = '' as
$$
declare
  channel_project uuid;
begin
  -- Runs with the caller's rights: a rule or channel that they cannot see does not exist for them.
  select r.project_id into new.project_id from public.alert_rules r where r.rule_id = new.rule_id;
  if not found then
    raise exception 'rule_id: there is no such rule, or you may not see it' using errcode = '42501', column = 'rule_id';
  end if;
  select c.project_id into channel_project from public.alert_channels c where c.channel_id = new.channel_id;
  if not found then
    raise exception 'channel_id: there is no such channel, or you may not see it' using errcode = '42501', column = 'channel_id';
  end if;
  if channel_project is not null and channel_project is distinct from new.project_id then
    raise exception 'channel_id: the channel belongs to another project' using errcode = '23514', column = 'channel_id';
  end if;
  return new;
end $$;
comment on function error_tracking.before_rule_channel() is 'Keeps rules from telling channels of other projects.';
drop trigger if exists same_project on public.alert_rule_channels;
create trigger same_project before insert or update on public.alert_rule_channels
  for each row execute function error_tracking.before_rule_channel();

create table if not exists public.alert_silences (
  silence_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  rule_id uuid references public.alert_rules (rule_id) on delete cascade,
  matchers jsonb not null default '{}',
  starts_at timestamptz not null default now(),
  ends_at timestamptz not null,
  reason text not null default '',
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  constraint ends_at_must_be_after_starts_at check (ends_at > starts_at),
  constraint matchers_must_be_an_object check (jsonb_typeof(matchers) = 'object')
);
create index if not exists idx_alert_silences_ends_at on public.alert_silences (ends_at);
comment on table public.alert_silences is 'While a silence lasts, incidents that it matches are kept but nobody is told.';
comment on column public.alert_silences.silence_id is 'Primary key.';
comment on column public.alert_silences.project_id is 'Silence this project; null silences all.';
comment on column public.alert_silences.rule_id is 'Silence this rule only.';
comment on column public.alert_silences.matchers is
  'Silence only groups with these values, as in {"source": "worker"}; the keys are those of alert_rules.group_by.';
comment on column public.alert_silences.starts_at is 'From when.';
comment on column public.alert_silences.ends_at is 'Until when.';
comment on column public.alert_silences.reason is 'Why.';
comment on column public.alert_silences.created_by is 'Who made it.';
comment on column public.alert_silences.created_at is 'When it was made.';

-- What the daemon must notice within two seconds -----------------------------------------------------

create table if not exists error_tracking.config_version (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 1
);
insert into error_tracking.config_version default values on conflict do nothing;
comment on table error_tracking.config_version is 'Grows with every change of rules, channels, silences and acknowledgements; the daemon looks at it every second.';
comment on column error_tracking.config_version.only_row is 'Always true: there is one row.';
comment on column error_tracking.config_version.version is 'The number of changes so far.';

create or replace function error_tracking.configuration_changed() returns trigger
language plpgsql security definer set search_path = '' as
$$ begin update error_tracking.config_version set version = version + 1; return null; end $$;
comment on function error_tracking.configuration_changed() is 'Counts changes of the configuration.';

do $$
declare
  t text;
begin
  foreach t in array array['alert_rules', 'alert_rule_channels', 'alert_silences'] loop
    execute format('drop trigger if exists configuration_changed on public.%I', t);
    execute format('create trigger configuration_changed after insert or update or delete on public.%I '
      'for each statement execute function error_tracking.configuration_changed()', t);
  end loop;
end $$;

create or replace function error_tracking.display_names(ids uuid[]) returns table (id uuid, name text)
language sql security definer stable set search_path = '' as
$$
  select p.id, p.name from public.projects p where p.id = any (ids)
  union all
  select w.id, w.slug || ' v' || w.version from public.workflow_definitions w where w.id = any (ids)
$$;
comment on function error_tracking.display_names(uuid[]) is
  'What people call these projects and workflows; messages show names and not ids.';

drop trigger if exists touch_updated_at on public.alert_rules;
create trigger touch_updated_at before update on public.alert_rules
  for each row execute function error_tracking.touch_updated_at();

create or replace function error_tracking.channel_changed() returns trigger
language plpgsql set search_path = '' as
$$
begin
  new.updated_at := now();
  new.state := 'ok';
  new.broken_reason := null;
  new.broken_at := null;
  return new;
end $$;
comment on function error_tracking.channel_changed() is
  'A change by a person mends a broken channel; the daemon''s own notes on deliveries are no change.';
drop trigger if exists touch_updated_at on public.alert_channels;
create trigger touch_updated_at before update of name, config, enabled on public.alert_channels
  for each row execute function error_tracking.channel_changed();

-- Access ----------------------------------------------------------------------------------------------

revoke all on all functions in schema error_tracking from public;
revoke all on all tables in schema error_tracking from public, anon, authenticated, service_role;
grant execute on function error_tracking.display_names(uuid[]) to error_daemon;

select error_tracking.protect('public.alert_rules', 'viewer', 'admin', 'admin', 'admin');
-- A rule stays in its project, because its channels belong to that project too.
grant insert (rule_id, project_id, name, description, enabled, metric, min_runs, sources, error_types, severities, workflow_ids,
    message_contains, group_by, window_seconds, warning, critical, resolve, pending_seconds, keep_firing_seconds, reminder_seconds),
  update (name, description, enabled, metric, min_runs, sources, error_types, severities, workflow_ids,
    message_contains, group_by, window_seconds, warning, critical, resolve, pending_seconds, keep_firing_seconds, reminder_seconds),
  delete on public.alert_rules to authenticated;
grant select on public.alert_rules to error_daemon;

select error_tracking.protect('public.alert_channels', 'viewer', 'admin', 'admin', 'admin');
grant insert (channel_id, project_id, name, kind, config, enabled), update (name, config, enabled), delete
  on public.alert_channels to authenticated;
grant select, update (state, broken_reason, broken_at, last_delivery_at) on public.alert_channels to error_daemon;

select error_tracking.protect('public.alert_rule_channels', 'viewer', 'admin', 'admin', 'admin');
grant insert (rule_id, channel_id, min_level), update (min_level), delete on public.alert_rule_channels to authenticated;
grant select on public.alert_rule_channels to error_daemon;

select error_tracking.protect('public.alert_silences', 'viewer', 'responder', 'responder', 'responder');
grant insert (silence_id, project_id, rule_id, matchers, starts_at, ends_at, reason),
  update (matchers, starts_at, ends_at, reason), delete on public.alert_silences to authenticated;
grant select on public.alert_silences to error_daemon;

grant select, insert, update, delete on error_tracking.channel_secrets to error_daemon;
grant select on error_tracking.config_version to error_daemon;

commit;
