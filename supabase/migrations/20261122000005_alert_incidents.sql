-- Error tracking: incidents, their time line, notifications.

begin;

-- Incidents ---------------------------------------------------------------------------------------

create table if not exists public.alert_incidents (
  incident_id uuid primary key,
  rule_id uuid references public.alert_rules (rule_id) on delete set null,
  rule_name text not null,
  project_id uuid references public.projects (id) on delete cascade,
  group_key text not null default '{}',
  state text not null,
  level text not null,
  peak_level text not null,
  started_at timestamptz not null,
  fired_at timestamptz,
  resolved_at timestamptz,
  value double precision not null,
  threshold double precision not null,
  peak double precision not null,
  evidence jsonb not null default '{}',
  notified_at timestamptz,
  reminders int not null default 0,
  acknowledged_at timestamptz,
  acknowledged_by uuid,
  acknowledge_note text,
  updated_at timestamptz not null default now(),
  constraint alert_incidents_state check (state in ('pending', 'firing', 'resolved')),
  constraint alert_incidents_level check (level in ('warning', 'critical') and peak_level in ('warning', 'critical'))
);
-- One open incident per rule and group: the last line of defence against alerting twice.
create unique index if not exists alert_incidents_one_open on public.alert_incidents (rule_id, group_key)
  where state <> 'resolved';
create index if not exists idx_alert_incidents_project_id_started_at on public.alert_incidents (project_id, started_at desc);
comment on table public.alert_incidents is 'Breaches of rules, from the first value at the threshold to the end.';
comment on column public.alert_incidents.incident_id is
  'Primary key: UUIDv5 of rule, group and start, so that the same breach has the same id whoever decides it.';
comment on column public.alert_incidents.rule_id is 'The rule; null once it was deleted.';
comment on column public.alert_incidents.rule_name is 'The rule''s name when the incident began.';
comment on column public.alert_incidents.project_id is 'The rule''s project, or the group''s where the rule watches all.';
comment on column public.alert_incidents.group_key is 'The group''s values as canonical JSON.';
comment on column public.alert_incidents.state is 'pending, firing, resolved.';
comment on column public.alert_incidents.level is 'warning or critical, now.';
comment on column public.alert_incidents.peak_level is 'The highest level so far.';
comment on column public.alert_incidents.started_at is 'When the value reached the threshold.';
comment on column public.alert_incidents.fired_at is 'When people were first told.';
comment on column public.alert_incidents.resolved_at is 'When it ended.';
comment on column public.alert_incidents.value is 'The rule''s value at the last change.';
comment on column public.alert_incidents.threshold is 'The threshold that decided the last change.';
comment on column public.alert_incidents.peak is 'The highest value so far.';
comment on column public.alert_incidents.evidence is 'Errors and runs in the window, top groups, samples, first and last seen.';
comment on column public.alert_incidents.notified_at is 'When people were last told.';
comment on column public.alert_incidents.reminders is 'How many reminders there were.';
comment on column public.alert_incidents.acknowledged_at is 'Since when somebody takes care of it.';
comment on column public.alert_incidents.acknowledged_by is 'Who does.';
comment on column public.alert_incidents.acknowledge_note is 'What they said.';
comment on column public.alert_incidents.updated_at is 'When the row last changed.';

create table if not exists public.alert_incident_events (
  event_id bigint generated always as identity primary key,
  incident_id uuid not null references public.alert_incidents (incident_id) on delete cascade,
  project_id uuid references public.projects (id) on delete cascade,
  at timestamptz not null,
  kind text not null,
  level text,
  value double precision,
  threshold double precision,
  actor uuid,
  note text,
  constraint alert_incident_events_kind check (kind in ('pending', 'firing', 'escalated', 'deescalated', 'reminder',
    'resolved', 'acknowledged', 'unacknowledged', 'comment', 'silenced')),
  -- A decision that is written again after a crash leaves one entry.
  constraint alert_incident_events_once unique (incident_id, kind, at)
);
create index if not exists idx_alert_incident_events_incident_id on public.alert_incident_events (incident_id, event_id);
comment on table public.alert_incident_events is 'The time line of each incident.';
comment on column public.alert_incident_events.event_id is 'Primary key.';
comment on column public.alert_incident_events.incident_id is 'The incident.';
comment on column public.alert_incident_events.project_id is 'The incident''s project.';
comment on column public.alert_incident_events.at is 'When.';
comment on column public.alert_incident_events.kind is 'What happened.';
comment on column public.alert_incident_events.level is 'Level after it.';
comment on column public.alert_incident_events.value is 'The rule''s value.';
comment on column public.alert_incident_events.threshold is 'The threshold that decided.';
comment on column public.alert_incident_events.actor is 'Who did it, where a person did.';
comment on column public.alert_incident_events.note is 'What they said.';

create table if not exists public.alert_notifications (
  notification_id uuid primary key default gen_random_uuid(),
  number bigint generated always as identity,
  incident_id uuid references public.alert_incidents (incident_id) on delete cascade,
  channel_id uuid references public.alert_channels (channel_id) on delete cascade,
  project_id uuid references public.projects (id) on delete cascade,
  transition text not null,
  reminder int not null default 0,
  payload jsonb not null,
  state text not null default 'waiting',
  attempts int not null default 0,
  attempt_log jsonb not null default '[]',
  next_attempt_at timestamptz not null default now(),
  claimed_by uuid,
  claimed_until timestamptz,
  sent_at timestamptz,
  last_error text,
  receipt text,
  created_at timestamptz not null default clock_timestamp(),
  constraint alert_notifications_transition check (transition in ('firing', 'escalated', 'reminder', 'resolved', 'channel_broken', 'test')),
  constraint alert_notifications_state check (state in ('waiting', 'sending', 'sent', 'dead', 'dropped')),
  -- At most one message per incident, transition and channel.
  constraint alert_notifications_once unique (incident_id, channel_id, transition, reminder)
);
-- When the next message is due, which it is of each channel, and who is sending now is found at once,
-- however much waits.
create index if not exists idx_alert_notifications_due on public.alert_notifications (next_attempt_at)
  where state in ('waiting', 'sending');
create index if not exists idx_alert_notifications_unfinished on public.alert_notifications (channel_id, number)
  where state in ('waiting', 'sending');
create index if not exists idx_alert_notifications_sending on public.alert_notifications (channel_id) where state = 'sending';
create index if not exists idx_alert_notifications_given_up on public.alert_notifications (created_at) where state = 'dead';
create index if not exists idx_alert_notifications_channel_id on public.alert_notifications (channel_id, created_at desc);
comment on table public.alert_notifications is 'The outbox: one row per message, written with the decision and kept with every attempt.';
comment on column public.alert_notifications.notification_id is 'Primary key.';
comment on column public.alert_notifications.number is
  'The order of decisions: what one incident tells one channel goes out in this order, which a clock could not promise.';
comment on column public.alert_notifications.incident_id is
  'The incident; null for a test, and for news of a broken channel, which stands in the payload only.';
comment on column public.alert_notifications.channel_id is 'Where it goes.';
comment on column public.alert_notifications.project_id is 'The incident''s project.';
comment on column public.alert_notifications.transition is 'What it tells.';
comment on column public.alert_notifications.reminder is 'Which reminder it is; 0 for everything else.';
comment on column public.alert_notifications.payload is 'The facts at the time of the decision.';
comment on column public.alert_notifications.state is 'waiting, sending, sent, dead (given up after 24 h or a permanent error) or dropped (no longer wanted).';
comment on column public.alert_notifications.attempts is 'How often it was tried.';
comment on column public.alert_notifications.attempt_log is 'Every attempt: when, how long, what came back.';
comment on column public.alert_notifications.next_attempt_at is 'Not before then.';
comment on column public.alert_notifications.claimed_by is 'The instance that is sending it.';
comment on column public.alert_notifications.claimed_until is 'When another may take it.';
comment on column public.alert_notifications.sent_at is 'When the receiver accepted it.';
comment on column public.alert_notifications.last_error is 'What went wrong last.';
comment on column public.alert_notifications.receipt is 'What the receiver gave to find the message again.';
comment on column public.alert_notifications.created_at is 'When it was decided.';

-- Access ----------------------------------------------------------------------------------------------

select error_tracking.protect('public.alert_incidents', 'viewer');
grant select, insert, update, delete on public.alert_incidents to error_daemon;
select error_tracking.protect('public.alert_incident_events', 'viewer');
grant select, insert on public.alert_incident_events to error_daemon;
select error_tracking.protect('public.alert_notifications', 'viewer');
grant select, insert, update on public.alert_notifications to error_daemon;

commit;
