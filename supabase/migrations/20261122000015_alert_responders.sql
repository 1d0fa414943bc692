-- Error tracking: what responders do: to incidents (take in hand, comment, silence), to silences, and to groups of errors.

begin;

create or replace function error_tracking.incident_for_responder(incident_id uuid) returns public.alert_incidents
language plpgsql security definer set search_path = '' as
$$
declare
  incident public.alert_incidents;
begin
  select * into incident from public.alert_incidents i where i.incident_id = incident_for_responder.incident_id for update;
  if not found or not (
    error_tracking.role_rank(public.error_role(incident.project_id)) >= error_tracking.role_rank('responder')) then
    raise exception 'incident_id: there is no such incident, or you are not a responder of its project' using errcode = '42501';
  end if;
  return incident;
end $$;
comment on function error_tracking.incident_for_responder(uuid) is
  'The incident, locked; refused unless the caller is a responder of its project.';

create or replace function error_tracking.acknowledge(
  incident_id uuid, actor uuid, actor_name text, note text default null, undo boolean default false
) returns void language plpgsql security definer set search_path = '' as
$$
declare
  incident public.alert_incidents;
begin
  select * into incident from public.alert_incidents i where i.incident_id = acknowledge.incident_id for update;
  if not found then
    raise exception 'incident_id: there is no such incident' using errcode = 'P0002';
  end if;
  if incident.state = 'resolved' then
    raise exception 'incident_id: the incident is resolved' using errcode = '23514';
  end if;
  update public.alert_incidents i
     set acknowledged_at = case when undo then null else now() end,
         acknowledged_by = case when undo then null else actor end,
         acknowledged_by_name = case when undo then null else left(actor_name, 200) end,
         acknowledge_note = case when undo then null else left(note, 1000) end,
         updated_at = now()
   where i.incident_id = incident.incident_id;
  insert into public.alert_incident_events (incident_id, project_id, at, kind, actor, actor_name, note)
  values (incident.incident_id, incident.project_id, now(),
    case when undo then 'unacknowledged' else 'acknowledged' end, actor, left(actor_name, 200), left(note, 1000))
  on conflict on constraint alert_incident_events_once do nothing;
end $$;
comment on function error_tracking.acknowledge(uuid, uuid, text, text, boolean) is
  'Takes an open incident in hand, or gives it back, in the name of a user or of somebody whom only the daemon knows.';

create or replace function public.acknowledge_incident(incident_id uuid, note text default null, undo boolean default false)
returns void language plpgsql security definer set search_path = '' as
$$
begin
  perform error_tracking.incident_for_responder(incident_id);
  perform error_tracking.acknowledge(incident_id, auth.uid(), null, note, undo);
end $$;
comment on function public.acknowledge_incident(uuid, text, boolean) is
  'Takes an open incident in hand, which stops its reminders until it escalates; or, with undo, gives it back. For responders of its project.';

create or replace function public.comment_incident(incident_id uuid, note text)
returns void language plpgsql security definer set search_path = '' as
$$
declare
  incident public.alert_incidents := error_tracking.incident_for_responder(incident_id);
begin
  if note is null or length(btrim(note)) not between 1 and 4000 then
    raise exception 'note: must have 1 to 4000 characters' using errcode = '23514', column = 'note';
  end if;
  insert into public.alert_incident_events (incident_id, project_id, at, kind, actor, note)
  values (incident.incident_id, incident.project_id, clock_timestamp(), 'comment', auth.uid(), btrim(note));
end $$;
comment on function public.comment_incident(uuid, text) is
  'Adds a comment to the time line of an incident, open or resolved. For responders of its project.';

create or replace function error_tracking.silence(
  incident_id uuid, ends_at timestamptz, actor uuid, actor_name text, reason text default ''
) returns uuid language plpgsql security definer set search_path = '' as
$$
declare
  incident public.alert_incidents;
  matchers jsonb;
  made uuid;
begin
  select * into incident from public.alert_incidents i where i.incident_id = silence.incident_id;
  if not found then
    raise exception 'incident_id: there is no such incident' using errcode = 'P0002';
  end if;
  if incident.rule_id is null then
    raise exception 'incident_id: the incident''s rule is gone' using errcode = '23514';
  end if;
  if ends_at is null or ends_at <= now() or ends_at > now() + interval '366 days' then
    raise exception 'until: must be in the future and within a year' using errcode = '23514', column = 'until';
  end if;
  -- The group's values are the matchers, so that the rule's other groups are still told; among them those of
  -- the details of a class, where the group is that of errors that name nothing but the class.
  matchers := incident.group_key::jsonb;
  if matchers ->> 'error_type' not like '%.%' then
    matchers := jsonb_set(matchers, '{error_type}', to_jsonb('=' || (matchers ->> 'error_type')));
  end if;
  insert into public.alert_silences (project_id, rule_id, matchers, ends_at, reason, created_by, created_by_name)
  values (incident.project_id, incident.rule_id, matchers, ends_at,
    left(coalesce(reason, ''), 1000), actor, left(actor_name, 200))
  returning silence_id into made;
  insert into public.alert_incident_events (incident_id, project_id, at, kind, actor, actor_name, note)
  values (incident.incident_id, incident.project_id, clock_timestamp(), 'silenced', actor, left(actor_name, 200),
    btrim(concat('silenced until ', to_char(ends_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
      case when btrim(coalesce(reason, '')) <> '' then ': ' || left(btrim(reason), 1000) end)));
  return made;
end $$;
comment on function error_tracking.silence(uuid, timestamptz, uuid, text, text) is
  'Silences the rule of an incident for the incident''s group, in the name of a user or of somebody whom only the daemon knows.';

create or replace function public.silence_incident(
  incident_id uuid, seconds int default null, until timestamptz default null, tomorrow_at time default null,
  time_zone text default 'UTC', reason text default ''
) returns uuid language plpgsql security definer set search_path = '' as
$$
declare
  incident public.alert_incidents := error_tracking.incident_for_responder(incident_id);
  ends_at timestamptz;
begin
  if num_nonnulls(seconds, until, tomorrow_at) <> 1 then
    raise exception 'seconds: give exactly one of seconds, until and tomorrow_at' using errcode = '23514', column = 'seconds';
  end if;
  if seconds not between 60 and 31536000 then
    raise exception 'seconds: must be 60 to 31536000' using errcode = '23514', column = 'seconds';
  end if;
  if tomorrow_at is not null and (time_zone is null or not error_tracking.is_time_zone(time_zone)) then
    raise exception 'time_zone: % is not an IANA time zone such as Europe/Berlin', time_zone using errcode = '23514', column = 'time_zone';
  end if;
  ends_at := case
    when seconds is not null then now() + make_interval(secs => seconds)
    when until is not null then until
    -- Tomorrow by the calendar of the time zone; its clock may have changed meanwhile.
    else ((now() at time zone time_zone)::date + 1 + tomorrow_at) at time zone time_zone end;
  return error_tracking.silence(incident_id, ends_at, auth.uid(), null, reason);
end $$;
comment on function public.silence_incident(uuid, int, timestamptz, time, text, text) is
  'Silences an incident''s rule for the incident''s group, for a number of seconds, until an instant, or until tomorrow at a time of a time zone''s clock; returns the silence. For responders of its project.';

create or replace function public.expire_silence(silence_id uuid)
returns void language plpgsql security definer set search_path = '' as
$$
declare
  silence public.alert_silences;
begin
  select * into silence from public.alert_silences s where s.silence_id = expire_silence.silence_id for update;
  if not found or not (
    error_tracking.role_rank(public.error_role(silence.project_id)) >= error_tracking.role_rank('responder')) then
    raise exception 'silence_id: there is no such silence, or you are not a responder of its project' using errcode = '42501';
  end if;
  if silence.starts_at >= now() then
    delete from public.alert_silences s where s.silence_id = silence.silence_id;
  else
    update public.alert_silences s set ends_at = least(s.ends_at, now()) where s.silence_id = silence.silence_id;
  end if;
end $$;
comment on function public.expire_silence(uuid) is
  'Ends a silence now, and takes one back that has not begun; of what still fires people are told then. For responders of its project.';

create or replace function error_tracking.set_group_status(project_id uuid, fingerprint uuid, status text)
returns void language plpgsql security definer set search_path = '' as
$$
begin
  if not (error_tracking.role_rank(public.error_role(project_id)) >= error_tracking.role_rank('responder')) is true then
    raise exception 'project_id: there is no such group, or you are not a responder of its project' using errcode = '42501';
  end if;
  update public.error_groups g set status = set_group_status.status
   where g.project_id is not distinct from set_group_status.project_id and g.fingerprint = set_group_status.fingerprint;
  if not found then
    raise exception 'fingerprint: there is no such group, or you are not a responder of its project' using errcode = '42501';
  end if;
end $$;
comment on function error_tracking.set_group_status(uuid, uuid, text) is 'Changes the status of a group, for responders of its project.';

create or replace function public.resolve_group(project_id uuid, fingerprint uuid) returns void
language sql security definer set search_path = '' as
$$ select error_tracking.set_group_status(project_id, fingerprint, 'resolved') $$;
comment on function public.resolve_group(uuid, uuid) is
  'Marks a group as mended; when an error of it happens after that, it opens again. For responders of its project.';

create or replace function public.ignore_group(project_id uuid, fingerprint uuid) returns void
language sql security definer set search_path = '' as
$$ select error_tracking.set_group_status(project_id, fingerprint, 'ignored') $$;
comment on function public.ignore_group(uuid, uuid) is 'Marks a group as of no interest. For responders of its project.';

create or replace function public.reopen_group(project_id uuid, fingerprint uuid) returns void
language sql security definer set search_path = '' as
$$ select error_tracking.set_group_status(project_id, fingerprint, 'open') $$;
comment on function public.reopen_group(uuid, uuid) is 'Takes back that a group is resolved or ignored. For responders of its project.';

-- Access -----------------------------------------------------------------------------------------------------

revoke all on function error_tracking.incident_for_responder(uuid),
  error_tracking.acknowledge(uuid, uuid, text, text, boolean),
  error_tracking.silence(uuid, timestamptz, uuid, text, text),
  error_tracking.set_group_status(uuid, uuid, text) from public;
grant execute on function error_tracking.acknowledge(uuid, uuid, text, text, boolean),
  error_tracking.silence(uuid, timestamptz, uuid, text, text) to error_daemon;

revoke all on function public.acknowledge_incident(uuid, text, boolean),
  public.silence_incident(uuid, int, timestamptz, time, text, text), public.expire_silence(uuid),
  public.comment_incident(uuid, text), public.resolve_group(uuid, uuid), public.ignore_group(uuid, uuid),
  public.reopen_group(uuid, uuid) from public, anon;
grant execute on function public.acknowledge_incident(uuid, text, boolean),
  public.silence_incident(uuid, int, timestamptz, time, text, text), public.expire_silence(uuid),
  public.comment_incident(uuid, text), public.resolve_group(uuid, uuid), public.ignore_group(uuid, uuid),
  public.reopen_group(uuid, uuid) to authenticated, service_role;

commit;
