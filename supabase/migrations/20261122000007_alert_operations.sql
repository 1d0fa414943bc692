-- Error tracking: silences in full, quiet hours, inhibition, and what is held back.

begin;

-- Silences ----------------------------------------------------------------------------------------

create or replace function error_tracking.matchers_are_valid(matchers jsonb) returns boolean
language plpgsql immutable set search_path = '' as
$$
declare
  field text;
  given jsonb;
  value text;
  fits boolean;
begin
  if jsonb_typeof(matchers) <> 'object' then
    return false;
  end if;
  for field, given in select * from jsonb_each(matchers) loop
    if field not in ('project', 'workflow', 'source', 'error_type', 'severity', 'fingerprint') then
      return false;
    end if;
    if jsonb_typeof(given) <> 'array' then
      given := jsonb_build_array(given);
    end if;
    if jsonb_array_length(given) not between 1 and 50
       or exists (select from jsonb_array_elements(given) e where jsonb_typeof(e) not in ('string', 'null')) then
      return false;
    end if;
    for value in select e from jsonb_array_elements_text(given) e where e is not null loop
      fits := case field
        when 'source' then value in ('worker', 'webhook', 'system')
        when 'severity' then value in ('low', 'medium', 'high')
        when 'error_type' then value ~ '^=?(system|execution|input)(\.[a-z0-9_-]+)*$'
        else error_tracking.is_uuid(value) end;
      if not fits then
        return false;
      end if;
    end loop;
  end loop;
  return true;
end $$;
comment on function error_tracking.matchers_are_valid(jsonb) is
  'Whether a silence''s matchers name known fields with values that these can have: a text, null, or a list of 1 to 50 of them.';

alter table public.alert_silences add column if not exists created_by_name text;
comment on column public.alert_silences.created_by_name is 'Who made it, where that was no user of this project: a Slack user, a recipient of mail.';
comment on column public.alert_silences.matchers is
  'Silence only what has these values, as in {"source": "worker", "error_type": ["execution", "input.schema"]}; the keys are those of alert_rules.group_by, a list means any of its values, and a class of error types covers all its details, or with an equals sign before it (=execution) none of them.';
alter table public.alert_silences
  drop constraint if exists matchers_must_be_known_fields_with_their_values,
  drop constraint if exists starts_at_and_ends_at_must_be_finite,
  drop constraint if exists reason_must_have_at_most_1000_characters;
alter table public.alert_silences
  add constraint matchers_must_be_known_fields_with_their_values check (
    jsonb_typeof(matchers) <> 'object' or error_tracking.matchers_are_valid(matchers)),
  add constraint starts_at_and_ends_at_must_be_finite check (isfinite(starts_at) and isfinite(ends_at)),
  add constraint reason_must_have_at_most_1000_characters check (length(reason) <= 1000);

-- Quiet hours and maintenance windows ----------------------------------------------------------------

create table if not exists public.alert_quiet_hours (
  quiet_hours_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  rule_id uuid references public.alert_rules (rule_id) on delete cascade,
  name text not null default 'Quiet hours',
  kind text not null default 'quiet',
  days int[] not null default '{1,2,3,4,5,6,7}',
  starts time not null,
  ends time not null,
  time_zone text not null,
  allow_critical boolean not null default false,
  enabled boolean not null default true,
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint name_must_have_1_to_120_characters check (length(btrim(name)) between 1 and 120),
  constraint kind_must_be_quiet_or_maintenance check (kind in ('quiet', 'maintenance')),
  constraint days_must_list_1_for_monday_to_7_for_sunday check (
    cardinality(days) between 1 and 7 and days <@ array[1, 2, 3, 4, 5, 6, 7]),
  constraint starts_must_be_before_24_00 check (starts < '24:00'),
  constraint ends_must_be_before_24_00 check (ends < '24:00')
);
create index if not exists idx_alert_quiet_hours_rule_id on public.alert_quiet_hours (rule_id);
create index if not exists idx_alert_quiet_hours_project_id on public.alert_quiet_hours (project_id);
comment on table public.alert_quiet_hours is
  'Times of the day at which nobody is told; what is held back then is told when they end, if it still fires.';
comment on column public.alert_quiet_hours.quiet_hours_id is 'Primary key.';
comment on column public.alert_quiet_hours.project_id is 'For this project only, the rule''s where there is one; null is for all.';
comment on column public.alert_quiet_hours.rule_id is 'For this rule only; null is for all rules.';
comment on column public.alert_quiet_hours.name is 'What people call it; stands in the time line.';
comment on column public.alert_quiet_hours.kind is 'quiet (people sleep) or maintenance (errors are expected); both hold messages back alike.';
comment on column public.alert_quiet_hours.days is 'Days on which it begins: 1 for Monday to 7 for Sunday.';
comment on column public.alert_quiet_hours.starts is 'When it begins, by the clock of time_zone.';
comment on column public.alert_quiet_hours.ends is 'When it ends: on the same day if later than starts, else on the next; equal times make 24 hours.';
comment on column public.alert_quiet_hours.time_zone is 'An IANA time zone as in Europe/Berlin; changes of its clock are followed.';
comment on column public.alert_quiet_hours.allow_critical is 'Tell critical incidents nevertheless.';
comment on column public.alert_quiet_hours.enabled is 'What is not enabled holds nothing back.';
comment on column public.alert_quiet_hours.created_by is 'Who made it.';
comment on column public.alert_quiet_hours.created_at is 'When it was made.';
comment on column public.alert_quiet_hours.updated_at is 'When it was last changed.';

create or replace function error_tracking.is_time_zone(name text) returns boolean
language sql stable set search_path = '' as
$$
  select name !~ '^(posix|right)/|^(posixrules|localtime|Factory)$'
     and exists (select from pg_catalog.pg_timezone_names z where z.name = is_time_zone.name)
$$;
comment on function error_tracking.is_time_zone(text) is 'Whether a text is the name of an IANA time zone.';

create or replace function error_tracking.before_quiet_hours() returns trigger
language plpgsql set search_path = '' as
$$
declare
  rule_project uuid;
begin
  if not error_tracking.is_time_zone(new.time_zone) then
    raise exception 'time_zone: % is not an IANA time zone such as Europe/Berlin', new.time_zone
      using errcode = '23514', constraint = 'time_zone_must_be_an_iana_time_zone', column = 'time_zone';
  end if;
  if new.rule_id is not null then
    -- Runs with the caller's rights: a rule that they cannot see does not exist for them.
    select r.project_id into rule_project from public.alert_rules r where r.rule_id = new.rule_id;
    if not found then
      raise exception 'rule_id: there is no such rule, or you may not see it' using errcode = '42501', column = 'rule_id';
    end if;
    if new.project_id is null then
      new.project_id := rule_project;
    elsif rule_project is not null and rule_project <> new.project_id then
      raise exception 'rule_id: the rule belongs to another project' using errcode = '23514', column = 'rule_id';
    end if;
  end if;
  new.updated_at := now();
  return new;
end $$;
comment on function error_tracking.before_quiet_hours() is 'Checks the time zone, and that rule and project belong together.';
drop trigger if exists before_quiet_hours on public.alert_quiet_hours;
create trigger before_quiet_hours before insert or update on public.alert_quiet_hours
  for each row execute function error_tracking.before_quiet_hours();

-- Inhibition -------------------------------------------------------------------------------------------

create table if not exists public.alert_inhibitions (
  inhibition_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  source_rule_id uuid not null references public.alert_rules (rule_id) on delete cascade,
  target_rule_id uuid not null references public.alert_rules (rule_id) on delete cascade,
  equal_fields text[] not null default '{}',
  source_level text not null default 'warning',
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  constraint target_rule_id_must_differ_from_source_rule_id check (target_rule_id <> source_rule_id),
  constraint equal_fields_must_be_known_fields check (
    equal_fields <@ array['project', 'workflow', 'source', 'error_type', 'severity', 'fingerprint']),
  constraint source_level_must_be_warning_or_critical check (source_level in ('warning', 'critical')),
  constraint alert_inhibitions_source_target unique (source_rule_id, target_rule_id)
);
create index if not exists idx_alert_inhibitions_target_rule_id on public.alert_inhibitions (target_rule_id);
create index if not exists idx_alert_inhibitions_project_id on public.alert_inhibitions (project_id);
comment on table public.alert_inhibitions is
  'While the source rule fires, nobody is told of the target rule''s incidents, which go on beneath; what is held back is told when the source is over, if it still fires.';
comment on column public.alert_inhibitions.inhibition_id is 'Primary key.';
comment on column public.alert_inhibitions.project_id is 'The target rule''s project, set by the server.';
comment on column public.alert_inhibitions.source_rule_id is 'The rule that keeps the other quiet: of the same project, or one that watches all.';
comment on column public.alert_inhibitions.target_rule_id is 'The rule that is kept quiet.';
comment on column public.alert_inhibitions.equal_fields is 'Only where the groups of both incidents have the same values of these fields.';
comment on column public.alert_inhibitions.source_level is 'The level that the source must have reached.';
comment on column public.alert_inhibitions.created_by is 'Who made it.';
comment on column public.alert_inhibitions.created_at is 'When it was made.';

create or replace function error_tracking.before_inhibition() returns trigger
language plpgsql set search_path = '' as
$$
declare
  source_project uuid;
begin
  -- Runs with the caller's rights: a rule that they cannot see does not exist for them.
  select r.project_id into source_project from public.alert_rules r where r.rule_id = new.source_rule_id;
  if not found then
    raise exception 'source_rule_id: there is no such rule, or you may not see it' using errcode = '42501', column = 'source_rule_id';
  end if;
  select r.project_id into new.project_id from public.alert_rules r where r.rule_id = new.target_rule_id;
  if not found then
    raise exception 'target_rule_id: there is no such rule, or you may not see it' using errcode = '42501', column = 'target_rule_id';
  end if;
  if source_project is not null and source_project is distinct from new.project_id then
    raise exception 'source_rule_id: the rule belongs to another project'
      using errcode = '23514', constraint = 'source_rule_id_must_be_of_the_same_project', column = 'source_rule_id';
  end if;
  if error_tracking.inhibits(new.target_rule_id, new.source_rule_id, new.inhibition_id) then
    raise exception 'target_rule_id: the two rules would keep each other quiet'
      using errcode = '23514', constraint = 'target_rule_id_must_not_inhibit_the_source', column = 'target_rule_id';
  end if;
  return new;
end $$;
comment on function error_tracking.before_inhibition() is 'Keeps inhibition within a project, and from going round in a circle.';

create or replace function error_tracking.inhibits(source uuid, target uuid, leaving_out uuid) returns boolean
language plpgsql security definer set search_path = '' as
$$
begin
  -- Two who close a circle at the same time wait for each other.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('error_tracking.alert_inhibitions', 0));
  return exists (
    with recursive quiet as (
      select i.target_rule_id from public.alert_inhibitions i where i.source_rule_id = source and i.inhibition_id <> leaving_out
      union
      select i.target_rule_id from public.alert_inhibitions i join quiet q on i.source_rule_id = q.target_rule_id
       where i.inhibition_id <> leaving_out
    ) select from quiet q where q.target_rule_id = target);
end $$;
comment on function error_tracking.inhibits(uuid, uuid, uuid) is
  'Whether one rule keeps another quiet, directly or by way of others; one inhibition is left out. Makes others wait who ask the same.';
drop trigger if exists before_inhibition on public.alert_inhibitions;
create trigger before_inhibition before insert or update on public.alert_inhibitions
  for each row execute function error_tracking.before_inhibition();

-- What is held back --------------------------------------------------------------------------------------

create table if not exists public.alert_held_back (
  incident_id uuid not null references public.alert_incidents (incident_id) on delete cascade,
  channel_id uuid not null references public.alert_channels (channel_id) on delete cascade,
  project_id uuid references public.projects (id) on delete cascade,
  kind text not null,
  why text not null,
  because uuid,
  until timestamptz,
  note text not null default '',
  payload jsonb not null,
  since timestamptz not null default clock_timestamp(),
  primary key (incident_id, channel_id),
  constraint alert_held_back_kind check (kind in ('firing', 'escalated')),
  constraint alert_held_back_why check (why in ('silence', 'quiet', 'maintenance', 'inhibition', 'level'))
);
create index if not exists idx_alert_held_back_channel_id on public.alert_held_back (channel_id);
create index if not exists idx_alert_held_back_until on public.alert_held_back (until);
comment on table public.alert_held_back is
  'Messages that a channel is owed: each is told, once, when nothing holds it back any more and the incident still fires; and forgotten when the incident ends.';
comment on column public.alert_held_back.incident_id is 'The incident.';
comment on column public.alert_held_back.channel_id is 'Who is to be told.';
comment on column public.alert_held_back.project_id is 'The incident''s project.';
comment on column public.alert_held_back.kind is 'What: firing, or escalated where the channel knows of the incident.';
comment on column public.alert_held_back.why is 'silence, quiet, maintenance, inhibition, or level: it is below the level that the channel wants.';
comment on column public.alert_held_back.because is 'The row that holds it back: a silence, quiet hours or an inhibition.';
comment on column public.alert_held_back.until is 'When that ends; null where it ends with another incident.';
comment on column public.alert_held_back.note is 'The same as a sentence.';
comment on column public.alert_held_back.payload is 'The message, as it was when it was held back.';
comment on column public.alert_held_back.since is 'Since when it is held back.';

-- Names of those who are no users, and more kinds of entries -------------------------------------------------

alter table public.alert_incidents add column if not exists acknowledged_by_name text;
comment on column public.alert_incidents.acknowledged_by_name is 'Who does, where that is no user of this project: a Slack user, a recipient of mail.';
alter table public.alert_incident_events add column if not exists actor_name text;
comment on column public.alert_incident_events.actor_name is 'Who did it, where that was no user of this project: a Slack user, a recipient of mail.';

do $$
declare
  definition text := (
    select pg_catalog.pg_get_constraintdef(oid) from pg_catalog.pg_constraint
     where conname = 'alert_incident_events_kind' and conrelid = 'public.alert_incident_events'::regclass);
begin
  -- Other migrations add words to this list as well, so these join what is there.
  if definition not like '%told_late%' then
    alter table public.alert_incident_events drop constraint alert_incident_events_kind;
    execute format('alter table public.alert_incident_events add constraint alert_incident_events_kind %s',
      regexp_replace(definition, 'ARRAY\[', 'ARRAY[''quiet''::text, ''inhibited''::text, ''told_late''::text, '));
  end if;
end $$;
comment on column public.alert_incident_events.kind is
  'What happened; silenced, quiet and inhibited say that nobody was told and why, told_late that they were when that ended.';

-- Groups that come back ----------------------------------------------------------------------------------

alter table public.error_groups add column if not exists regressed_at timestamptz;
comment on column public.error_groups.regressed_at is 'When an error of the group last came after it had been resolved.';

create or replace function error_tracking.group_regressed() returns trigger
language plpgsql set search_path = '' as
$$
begin
  new.status := 'open';
  new.status_changed_at := now();
  new.status_changed_by := null;
  new.regressed_at := new.last_seen;
  return new;
end $$;
comment on function error_tracking.group_regressed() is 'Opens a resolved group when an error of it happens after it was resolved.';
drop trigger if exists regressed on public.error_groups;
create trigger regressed before update of count on public.error_groups
  for each row when (old.status = 'resolved' and new.status = 'resolved' and new.count > old.count
    and new.last_seen > old.status_changed_at)
  execute function error_tracking.group_regressed();

-- What is done by a link or a button ------------------------------------------------------------------------

create table if not exists error_tracking.used_links (
  digest bytea primary key,
  used_at timestamptz not null default now(),
  constraint digest_must_have_32_bytes check (octet_length(digest) = 32)
);
create index if not exists idx_used_links_used_at on error_tracking.used_links (used_at);
comment on table error_tracking.used_links is 'Links in mail and presses of buttons that have done their work: each does it once.';
comment on column error_tracking.used_links.digest is 'SHA-256 of what was signed.';
comment on column error_tracking.used_links.used_at is 'When it was used; forgotten once it would have expired anyway.';
revoke all on error_tracking.used_links from public, anon, authenticated, service_role;
grant select, insert, delete on error_tracking.used_links to error_daemon;

-- What the daemon must notice within two seconds ---------------------------------------------------------------

do $$
declare
  t text;
begin
  foreach t in array array['alert_quiet_hours', 'alert_inhibitions'] loop
    execute format('drop trigger if exists configuration_changed on public.%I', t);
    execute format('create trigger configuration_changed after insert or update or delete on public.%I '
      'for each statement execute function error_tracking.configuration_changed()', t);
  end loop;
end $$;

drop trigger if exists configuration_changed on public.alert_channels;
create trigger configuration_changed after update of enabled on public.alert_channels
  for each statement execute function error_tracking.configuration_changed();

-- These two are noted at the end of their transaction: nobody who waits for such a row may hold the counter.
drop trigger if exists acknowledgement_changed on public.alert_incidents;
create constraint trigger acknowledgement_changed after update of acknowledged_at on public.alert_incidents
  deferrable initially deferred
  for each row when (old.acknowledged_at is distinct from new.acknowledged_at)
  execute function error_tracking.configuration_changed();
drop trigger if exists group_status_noted on public.error_groups;
create constraint trigger group_status_noted after update on public.error_groups
  deferrable initially deferred
  for each row when (old.status is distinct from new.status)
  execute function error_tracking.configuration_changed();
comment on table error_tracking.config_version is
  'Grows with every change of rules, channels, silences, quiet hours, inhibitions, acknowledgements and groups'' status; the daemon looks at it twice a second.';

-- Access -----------------------------------------------------------------------------------------------------

revoke all on function error_tracking.matchers_are_valid(jsonb), error_tracking.is_time_zone(text),
  error_tracking.before_quiet_hours(), error_tracking.before_inhibition(), error_tracking.inhibits(uuid, uuid, uuid),
  error_tracking.group_regressed() from public;
-- A check or a trigger runs with the rights of whoever writes the row.
grant execute on function error_tracking.matchers_are_valid(jsonb), error_tracking.is_time_zone(text),
  error_tracking.inhibits(uuid, uuid, uuid) to authenticated, service_role;

select error_tracking.protect('public.alert_quiet_hours', 'viewer', 'admin', 'admin', 'admin');
grant insert (quiet_hours_id, project_id, rule_id, name, kind, days, starts, ends, time_zone, allow_critical, enabled),
  update (name, kind, days, starts, ends, time_zone, allow_critical, enabled), delete
  on public.alert_quiet_hours to authenticated;
grant select on public.alert_quiet_hours to error_daemon;

select error_tracking.protect('public.alert_inhibitions', 'viewer', 'admin', 'admin', 'admin');
grant insert (inhibition_id, project_id, source_rule_id, target_rule_id, equal_fields, source_level),
  update (equal_fields, source_level), delete on public.alert_inhibitions to authenticated;
grant select on public.alert_inhibitions to error_daemon;

select error_tracking.protect('public.alert_held_back', 'viewer');
grant select, insert, update, delete on public.alert_held_back to error_daemon;

commit;
