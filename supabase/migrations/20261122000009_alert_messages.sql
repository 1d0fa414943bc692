-- Error tracking: a rule's own texts, Slack by bot token, PagerDuty, news of acknowledgements.

begin;

-- A rule's own title and body ---------------------------------------------------------------------------

alter table public.alert_rules add column if not exists title_template text;
alter table public.alert_rules add column if not exists body_template text;
alter table public.alert_rules add column if not exists template_error text;
alter table public.alert_rules add column if not exists templates_checked boolean not null default true;
comment on column public.alert_rules.title_template is
  'Template of the messages'' title in place of the built-in one (Jinja syntax); docs/channels.md lists the variables.';
comment on column public.alert_rules.body_template is
  'Template of the messages'' body: the first line takes the place of the sentence, the rest that of the description.';
comment on column public.alert_rules.template_error is
  'What is wrong with a template, as the daemon found it; messages then have the built-in text and say so.';
comment on column public.alert_rules.templates_checked is
  'Whether the daemon has tried the templates since they were written, which it does within two seconds.';

create or replace function error_tracking.template_is_plausible(template text, longest int) returns boolean
language sql immutable parallel safe set search_path = '' as
$$
  -- Only what can be seen at a glance: the daemon tries the template itself, and falls back to its own texts.
  select template is null or (
    length(template) between 1 and longest
    and (select count(*) from regexp_matches(template, '\{\{', 'g')) = (select count(*) from regexp_matches(template, '\}\}', 'g'))
    and (select count(*) from regexp_matches(template, '\{%', 'g')) = (select count(*) from regexp_matches(template, '%\}', 'g'))
    and template !~* '\{%[-+]?\s*(include|import|from|extends|macro|call|block)\M')
$$;
comment on function error_tracking.template_is_plausible(text, int) is
  'Whether a template is short enough, closes what it opens, and uses no statement that the daemon does not know.';

alter table public.alert_rules
  drop constraint if exists title_template_must_close_what_it_opens_up_to_300_characters,
  drop constraint if exists body_template_must_close_what_it_opens_up_to_4000_characters;
alter table public.alert_rules
  add constraint title_template_must_close_what_it_opens_up_to_300_characters
    check (error_tracking.template_is_plausible(title_template, 300)),
  add constraint body_template_must_close_what_it_opens_up_to_4000_characters
    check (error_tracking.template_is_plausible(body_template, 4000));

create or replace function error_tracking.templates_changed() returns trigger
language plpgsql set search_path = '' as
$$
begin
  if tg_op = 'INSERT' or new.title_template is distinct from old.title_template
     or new.body_template is distinct from old.body_template or new.group_by is distinct from old.group_by then
    new.template_error := null;
    new.templates_checked := new.title_template is null and new.body_template is null;
  end if;
  return new;
end $$;
comment on function error_tracking.templates_changed() is 'Has new templates tried, and forgets what was wrong with the old ones.';
drop trigger if exists templates_changed on public.alert_rules;
create trigger templates_changed before insert or update of title_template, body_template, group_by on public.alert_rules
  for each row execute function error_tracking.templates_changed();

-- What the daemon notes about a template is no change of the rule.
drop trigger if exists touch_updated_at on public.alert_rules;
create trigger touch_updated_at before update on public.alert_rules
  for each row when (old.template_error is not distinct from new.template_error and old.templates_checked = new.templates_checked
    or old.title_template is distinct from new.title_template or old.body_template is distinct from new.body_template
    or old.group_by is distinct from new.group_by)
  execute function error_tracking.touch_updated_at();

create index if not exists idx_alert_rules_templates_unchecked on public.alert_rules (rule_id) where not templates_checked;

grant insert (title_template, body_template), update (title_template, body_template) on public.alert_rules to authenticated;

-- With the owner's rights: the daemon may change nothing else of a rule, and need not pass each check of the table.
create or replace function error_tracking.note_templates(
  rule uuid, title text, body text, problem text, only_where_none_is_known boolean
) returns boolean language sql security definer set search_path = '' as
$$
  with noted as (
    update public.alert_rules r
       set template_error = problem, templates_checked = true
     where r.rule_id = rule and r.title_template is not distinct from title and r.body_template is not distinct from body
       and (not r.templates_checked and not only_where_none_is_known or r.template_error is distinct from problem)
       and (r.templates_checked and r.template_error is null or not only_where_none_is_known)
    returning 1)
  select exists (select from noted)
$$;
comment on function error_tracking.note_templates(uuid, text, text, text, boolean) is
  'Notes what came of trying a rule''s templates, unless they were changed meanwhile; says whether that is news.';

-- Channels: Slack by bot token, PagerDuty -----------------------------------------------------------------

alter table public.alert_channels
  drop constraint if exists config_must_not_hold_secrets,
  drop constraint if exists config_url_must_be_given_for_webhook,
  drop constraint if exists config_channel_must_be_the_id_of_a_slack_conversation,
  drop constraint if exists config_format_must_be_standard_or_pagerduty,
  drop constraint if exists config_region_must_be_us_or_eu_for_pagerduty,
  drop constraint if exists config_severities_must_map_levels_for_pagerduty;
alter table public.alert_channels
  add constraint config_must_not_hold_secrets check (not config ?| array[
    'password', 'secret', 'signing_secret', 'token', 'webhook_url', 'bot_token', 'routing_key', 'integration_key', 'api_key']),
  add constraint config_format_must_be_standard_or_pagerduty check (
    not config ? 'format' or coalesce(kind = 'webhook' and config ->> 'format' in ('standard', 'pagerduty'), false)),
  -- PagerDuty's address is the daemon's to know: whoever may edit a channel must not send its key elsewhere.
  add constraint config_url_must_be_given_for_webhook check (
    kind <> 'webhook' or case when config ->> 'format' = 'pagerduty' then not config ? 'url'
      else coalesce(config ->> 'url' ~* '^https?://', false) end),
  add constraint config_channel_must_be_the_id_of_a_slack_conversation check (
    not config ? 'channel' or coalesce(kind = 'slack' and config ->> 'channel' ~ '^[CGD][A-Z0-9]{2,30}$', false)),
  add constraint config_region_must_be_us_or_eu_for_pagerduty check (
    not config ? 'region' or coalesce(config ->> 'format' = 'pagerduty' and config ->> 'region' in ('us', 'eu'), false)),
  add constraint config_severities_must_map_levels_for_pagerduty check (
    not config ? 'severities' or coalesce(
      config ->> 'format' = 'pagerduty' and jsonb_typeof(config -> 'severities') = 'object'
      and (config -> 'severities') - array['warning', 'critical'] = '{}'
      and coalesce(config #>> '{severities,warning}', 'info') in ('critical', 'error', 'warning', 'info')
      and coalesce(config #>> '{severities,critical}', 'info') in ('critical', 'error', 'warning', 'info'), false));
comment on column public.alert_channels.kind is
  'slack (an incoming webhook, whose address is the secret, or a bot, whose token is), email, or webhook (signed with the secret, or PagerDuty''s Events API v2).';
comment on column public.alert_channels.config is
  'email: {"to": ["a@b.c"]}; webhook: {"url": "https://…"} or {"format": "pagerduty", "region": "us"}; slack: nothing, or {"channel": "C0123456789"} for a bot. No secrets.';

create table if not exists error_tracking.slack_threads (
  channel_id uuid not null references public.alert_channels (channel_id) on delete cascade,
  incident_id uuid not null references public.alert_incidents (incident_id) on delete cascade,
  conversation text not null,
  ts text not null,
  shared boolean not null default false,
  shown bigint not null default 0,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (channel_id, incident_id)
);
create index if not exists idx_slack_threads_incident_id on error_tracking.slack_threads (incident_id);
comment on table error_tracking.slack_threads is
  'The Slack message that tells an incident in a channel of a bot: it is changed in place, and later news stand in its thread.';
comment on column error_tracking.slack_threads.channel_id is 'The channel.';
comment on column error_tracking.slack_threads.incident_id is 'The incident.';
comment on column error_tracking.slack_threads.conversation is 'Slack''s id of the conversation that the message stands in.';
comment on column error_tracking.slack_threads.ts is 'Slack''s name of the message.';
comment on column error_tracking.slack_threads.shared is 'Whether the message tells several incidents, so that it is not changed for one of them.';
comment on column error_tracking.slack_threads.shown is 'alert_notifications.number of the latest news that the message shows.';
comment on column error_tracking.slack_threads.updated_at is 'When the row last changed.';
revoke all on error_tracking.slack_threads from public, anon, authenticated, service_role;
grant select, insert, update, delete on error_tracking.slack_threads to error_daemon;

-- News of acknowledgements ---------------------------------------------------------------------------------

do $$
declare
  words text;
begin
  -- What earlier parts allow stays allowed.
  select string_agg(distinct pg_catalog.quote_literal(w.word), ', ' order by pg_catalog.quote_literal(w.word)) into words
    from (
      select m[1] as word
        from pg_catalog.pg_constraint c, regexp_matches(pg_catalog.pg_get_constraintdef(c.oid), '''([a-z_]+)''', 'g') m
       where c.conrelid = 'public.alert_notifications'::regclass and c.conname = 'alert_notifications_transition'
      union all
      select unnest(array['firing', 'escalated', 'reminder', 'resolved', 'channel_broken', 'test', 'acknowledged', 'unacknowledged'])
    ) w;
  alter table public.alert_notifications drop constraint if exists alert_notifications_transition;
  execute format('alter table public.alert_notifications add constraint alert_notifications_transition check (transition in (%s))', words);
end $$;
comment on column public.alert_notifications.reminder is
  'Which reminder it is, or which acknowledgement, or which escalation after the first; 0 for everything else.';

create or replace function error_tracking.person_name(person uuid) returns text
language plpgsql security definer stable set search_path = '' as
$$
begin
  return (
    select coalesce(nullif(btrim(u.raw_user_meta_data ->> 'full_name'), ''), nullif(btrim(u.raw_user_meta_data ->> 'name'), ''), u.email)
      from auth.users u where u.id = person);
exception when undefined_table or undefined_column or insufficient_privilege then
  -- Another server's users are not known here; the news matters more than the name.
  return null;
end $$;
comment on function error_tracking.person_name(uuid) is 'What a user is called in messages: the name they gave, or else their e-mail address.';

create or replace function error_tracking.tell_acknowledgement() returns trigger
language plpgsql security definer set search_path = '' as
$$
declare
  news constant text := case when new.acknowledged_at is null then 'unacknowledged' else 'acknowledged' end;
begin
  -- To those who know of the incident and can do something with the news: a program, or a message that can be changed.
  insert into public.alert_notifications (incident_id, channel_id, project_id, transition, reminder, payload)
  select new.incident_id, c.channel_id, new.project_id, news,
         (select count(*) from public.alert_notifications e
           where e.incident_id = new.incident_id and e.channel_id = c.channel_id and e.transition = news),
         told.payload || jsonb_build_object('transition', news, 'at', to_jsonb(clock_timestamp()), 'acknowledgement',
           case when new.acknowledged_at is null then '{}'::jsonb else jsonb_strip_nulls(jsonb_build_object(
             'by', coalesce(new.acknowledged_by_name, error_tracking.person_name(new.acknowledged_by)), 'note', new.acknowledge_note)) end)
    from (
      select distinct on (n.channel_id) n.channel_id, n.payload
        from public.alert_notifications n
       where n.incident_id = new.incident_id and n.state in ('waiting', 'sending', 'sent')
       order by n.channel_id, n.number desc
    ) told
    join public.alert_channels c using (channel_id)
   where c.enabled and (c.kind = 'webhook' or c.kind = 'slack' and c.config ? 'channel')
     and (news = 'acknowledged' or c.config ->> 'format' is distinct from 'pagerduty')
  on conflict (incident_id, channel_id, transition, reminder) do nothing;
  return null;
end $$;
comment on function error_tracking.tell_acknowledgement() is
  'Puts the news that somebody takes care of an incident, or no longer does, into the outbox.';
drop trigger if exists tell_acknowledgement on public.alert_incidents;
-- Where the level changes too, the escalation itself says that nobody takes care any more.
create trigger tell_acknowledgement after update of acknowledged_at on public.alert_incidents
  for each row when (new.state = 'firing' and old.level = new.level
    and (old.acknowledged_at is null) <> (new.acknowledged_at is null))
  execute function error_tracking.tell_acknowledgement();

revoke all on function error_tracking.template_is_plausible(text, int) from public;
revoke all on function error_tracking.templates_changed() from public;
revoke all on function error_tracking.note_templates(uuid, text, text, text, boolean) from public;
grant execute on function error_tracking.note_templates(uuid, text, text, text, boolean) to error_daemon;
revoke all on function error_tracking.person_name(uuid) from public;
revoke all on function error_tracking.tell_acknowledgement() from public;
-- A check constraint runs with the rights of whoever writes the row.
grant execute on function error_tracking.template_is_plausible(text, int) to authenticated, service_role, error_daemon;

commit;
