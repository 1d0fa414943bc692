-- Error tracking: every kind of rule, what each needs to be told, and flapping incidents.

begin;

-- What is kept of a rule --------------------------------------------------------------------------------

alter table public.alert_rules
  add column if not exists no_data text not null default 'keep',
  add column if not exists quiet_days int not null default 0,
  add column if not exists compare_seconds int not null default 86400,
  add column if not exists min_count int not null default 10,
  add column if not exists objective double precision,
  add column if not exists burn_windows jsonb not null default '[
    {"long_seconds": 3600, "short_seconds": 300, "factor": 14.4, "level": "critical"},
    {"long_seconds": 21600, "short_seconds": 1800, "factor": 6, "level": "critical"},
    {"long_seconds": 259200, "short_seconds": 21600, "factor": 1, "level": "warning"}]',
  add column if not exists absence_of text not null default 'errors',
  add column if not exists flap_count int not null default 0,
  add column if not exists flap_seconds int not null default 3600;

comment on column public.alert_rules.metric is
  'count: errors in the window; rate: errors per minute; ratio: errors divided by workflow runs started in the window; new_group: errors of a fingerprint that is new; change: percent more than the same window earlier; burn_rate: how fast the error budget of an objective is used up; absence: windows without an event.';
comment on column public.alert_rules.min_runs is 'A ratio or burn rate over fewer runs than this says nothing.';
comment on column public.alert_rules.window_seconds is
  'Length of the window: 1 minute to 30 days, whole minutes. For a burn rate the period of the objective, for an absence how long it may be silent.';
comment on column public.alert_rules.warning is
  'The rule warns when the value reaches this: errors, errors a minute, a share of runs, percent, or windows of silence. Null for a burn rate.';
comment on column public.alert_rules.no_data is
  'What becomes of a ratio or burn rate over fewer than min_runs runs: keep (nothing changes), resolve, or alert.';
comment on column public.alert_rules.quiet_days is
  'new_group: a group that comes back after so many days without an error is new again; 0 never.';
comment on column public.alert_rules.compare_seconds is 'change: how much earlier the other window lies: a day or a week.';
comment on column public.alert_rules.min_count is 'change: with fewer errors than this in the window the rule does not fire.';
comment on column public.alert_rules.objective is 'burn_rate: the share of runs without error that is aimed at, as in 0.995.';
comment on column public.alert_rules.burn_windows is
  'burn_rate: 1 to 4 pairs of windows; a pair fires at its level when both of its windows burn the budget factor times as fast as allowed.';
comment on column public.alert_rules.absence_of is 'absence: errors (events that match the filter) or runs (workflow runs started).';
comment on column public.alert_rules.flap_count is
  'An incident that began and ended so many times in flap_seconds is held open as flapping, with one message; 0 never.';
comment on column public.alert_rules.flap_seconds is 'The period for flap_count, and how long a flapping incident must stay away to resolve.';

-- What a rule may be -----------------------------------------------------------------------------------------

create or replace function error_tracking.burn_windows_fit(pairs jsonb) returns boolean
language sql immutable set search_path = '' as
$$
  select case when jsonb_typeof(pairs) is distinct from 'array' then false
              when jsonb_array_length(pairs) not between 1 and 4 then false
              else coalesce((select bool_and(
                case when jsonb_typeof(p -> 'long_seconds') = 'number' and jsonb_typeof(p -> 'short_seconds') = 'number'
                      and jsonb_typeof(p -> 'factor') = 'number'
                     then (p ->> 'long_seconds')::numeric between 120 and 2592000 and (p ->> 'long_seconds')::numeric % 60 = 0
                      and (p ->> 'short_seconds')::numeric >= 60 and (p ->> 'short_seconds')::numeric % 60 = 0
                      and (p ->> 'short_seconds')::numeric < (p ->> 'long_seconds')::numeric
                      and (p ->> 'factor')::numeric > 0
                      and coalesce(p ->> 'level' in ('warning', 'critical'), false)
                     else false end) from jsonb_array_elements(pairs) as p), false) end
$$;
comment on function error_tracking.burn_windows_fit(jsonb) is
  'Whether a value is a list of 1 to 4 pairs of windows, each {"long_seconds", "short_seconds", "factor", "level"}.';

create or replace function error_tracking.burn_windows_within(pairs jsonb, period int) returns boolean
language sql immutable set search_path = '' as
$$
  select not jsonb_path_exists(pairs, '$[*] ? (@.long_seconds > $period)', jsonb_build_object('period', period), true)
$$;
comment on function error_tracking.burn_windows_within(jsonb, int) is 'Whether no pair of windows is longer than the objective''s period.';

create or replace function error_tracking.burn_windows_reachable(pairs jsonb, objective double precision) returns boolean
language sql immutable set search_path = '' as
$$
  select not jsonb_path_exists(pairs, '$[*] ? (@.factor * $budget > 1)',
    jsonb_build_object('budget', (1 - objective)::numeric), true)
$$;
comment on function error_tracking.burn_windows_reachable(jsonb, double precision) is
  'Whether each factor can be reached: when every run fails the burn rate is 1 / (1 - objective).';

alter table public.alert_rules
  drop constraint if exists metric_must_be_count_rate_or_ratio,
  drop constraint if exists metric_must_be_a_known_kind,
  drop constraint if exists warning_or_critical_must_be_given,
  drop constraint if exists group_by_of_a_ratio_must_be_project_or_workflow,
  drop constraint if exists group_by_of_a_new_group_must_be_project_or_fingerprint,
  drop constraint if exists group_by_of_a_change_must_not_be_fingerprint,
  drop constraint if exists group_by_of_an_absence_must_be_empty,
  drop constraint if exists message_contains_of_a_change_must_be_null,
  drop constraint if exists no_data_must_be_keep_resolve_or_alert,
  drop constraint if exists no_data_must_not_be_alert_where_group_by_is_given,
  drop constraint if exists quiet_days_must_be_0_to_365,
  drop constraint if exists compare_seconds_must_be_86400_or_604800,
  drop constraint if exists min_count_must_be_1_to_1000000,
  drop constraint if exists window_seconds_of_a_change_or_new_group_must_be_at_most_a_day,
  drop constraint if exists objective_must_be_between_0_and_1,
  drop constraint if exists objective_must_be_given_for_a_burn_rate,
  drop constraint if exists burn_windows_must_be_1_to_4_pairs_of_windows,
  drop constraint if exists burn_windows_factor_must_be_reachable_with_the_objective,
  drop constraint if exists window_seconds_of_a_burn_rate_must_cover_burn_windows,
  drop constraint if exists warning_critical_resolve_of_a_burn_rate_must_be_null,
  drop constraint if exists absence_of_must_be_errors_or_runs,
  drop constraint if exists warning_of_an_absence_must_be_1_to_100_windows,
  drop constraint if exists critical_of_an_absence_must_be_1_to_100_windows,
  drop constraint if exists resolve_of_an_absence_must_be_null,
  drop constraint if exists window_seconds_of_an_absence_must_be_30_days_at_most_in_all,
  drop constraint if exists flap_count_must_be_0_or_3_to_100,
  drop constraint if exists flap_seconds_must_be_60_to_86400;
alter table public.alert_rules
  add constraint metric_must_be_a_known_kind check (
    metric in ('count', 'rate', 'ratio', 'new_group', 'change', 'burn_rate', 'absence')),
  add constraint warning_or_critical_must_be_given check (
    metric = 'burn_rate' or warning is not null or critical is not null),
  add constraint group_by_of_a_ratio_must_be_project_or_workflow check (
    metric not in ('ratio', 'burn_rate') or group_by <@ array['project', 'workflow']),
  add constraint group_by_of_a_new_group_must_be_project_or_fingerprint check (
    metric <> 'new_group' or group_by <@ array['project', 'fingerprint']),
  add constraint group_by_of_a_change_must_not_be_fingerprint check (
    metric <> 'change' or not 'fingerprint' = any (group_by)),
  add constraint group_by_of_an_absence_must_be_empty check (metric <> 'absence' or group_by = '{}'),
  add constraint message_contains_of_a_change_must_be_null check (metric <> 'change' or message_contains is null),
  add constraint no_data_must_be_keep_resolve_or_alert check (no_data in ('keep', 'resolve', 'alert')),
  add constraint no_data_must_not_be_alert_where_group_by_is_given check (
    metric not in ('ratio', 'burn_rate') or no_data <> 'alert' or group_by = '{}'),
  add constraint quiet_days_must_be_0_to_365 check (quiet_days between 0 and 365),
  add constraint compare_seconds_must_be_86400_or_604800 check (compare_seconds in (86400, 604800)),
  add constraint min_count_must_be_1_to_1000000 check (min_count between 1 and 1000000),
  add constraint window_seconds_of_a_change_or_new_group_must_be_at_most_a_day check (
    metric not in ('change', 'new_group') or window_seconds <= 86400),
  add constraint objective_must_be_between_0_and_1 check (objective > 0 and objective < 1),
  add constraint objective_must_be_given_for_a_burn_rate check (metric <> 'burn_rate' or objective is not null),
  add constraint burn_windows_must_be_1_to_4_pairs_of_windows check (error_tracking.burn_windows_fit(burn_windows)),
  add constraint burn_windows_factor_must_be_reachable_with_the_objective check (
    metric <> 'burn_rate' or error_tracking.burn_windows_reachable(burn_windows, objective)),
  add constraint window_seconds_of_a_burn_rate_must_cover_burn_windows check (
    metric <> 'burn_rate' or error_tracking.burn_windows_within(burn_windows, window_seconds)),
  add constraint warning_critical_resolve_of_a_burn_rate_must_be_null check (
    metric <> 'burn_rate' or (warning is null and critical is null and resolve is null)),
  add constraint absence_of_must_be_errors_or_runs check (absence_of in ('errors', 'runs')),
  add constraint warning_of_an_absence_must_be_1_to_100_windows check (metric <> 'absence' or warning between 1 and 100),
  add constraint critical_of_an_absence_must_be_1_to_100_windows check (metric <> 'absence' or critical between 1 and 100),
  add constraint resolve_of_an_absence_must_be_null check (metric <> 'absence' or resolve is null),
  add constraint window_seconds_of_an_absence_must_be_30_days_at_most_in_all check (
    metric <> 'absence' or window_seconds * least(warning, critical) <= 2592000),
  add constraint flap_count_must_be_0_or_3_to_100 check (flap_count = 0 or flap_count between 3 and 100),
  add constraint flap_seconds_must_be_60_to_86400 check (flap_seconds between 60 and 86400);

grant insert (no_data, quiet_days, compare_seconds, min_count, objective, burn_windows, absence_of, flap_count, flap_seconds),
  update (no_data, quiet_days, compare_seconds, min_count, objective, burn_windows, absence_of, flap_count, flap_seconds)
  on public.alert_rules to authenticated;

-- Flapping incidents -------------------------------------------------------------------------------------------

alter table public.alert_incidents add column if not exists flapping boolean not null default false;
comment on column public.alert_incidents.flapping is
  'It came and went so often that it is held open, without further news, until it has stayed away for the rule''s flap_seconds.';
create index if not exists idx_alert_incidents_resolved_at on public.alert_incidents (resolved_at)
  where resolved_at is not null;

-- Other migrations add words to these two lists as well, so the word joins what is there.
do $$
declare
  c record;
begin
  for c in select conname, conrelid::regclass as target, pg_get_constraintdef(oid) as definition
             from pg_constraint
            where conname in ('alert_incident_events_kind', 'alert_notifications_transition') loop
    if c.definition not like '%flapping%' then
      execute format('alter table %s drop constraint %I', c.target, c.conname);
      execute format('alter table %s add constraint %I %s', c.target, c.conname,
        regexp_replace(c.definition, 'ARRAY\[', 'ARRAY[''flapping''::text, '));
    end if;
  end loop;
end $$;

-- What new groups and changes are measured against -------------------------------------------------------------------

-- The daemon's own counting never sets the status, so only people wake it.
drop trigger if exists configuration_changed on public.error_groups;
create trigger configuration_changed after update of status on public.error_groups
  for each statement execute function error_tracking.configuration_changed();
create index if not exists idx_error_groups_status_changed_at on public.error_groups (status_changed_at)
  where status_changed_at is not null;

revoke all on all functions in schema error_tracking from public;
grant execute on function error_tracking.burn_windows_fit(jsonb), error_tracking.burn_windows_within(jsonb, int),
  error_tracking.burn_windows_reachable(jsonb, double precision) to authenticated, service_role;

commit;
