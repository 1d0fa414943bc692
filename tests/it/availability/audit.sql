-- Remembers who wrote what a leader writes, by the name under which an instance logs in.
create table public.audit (
  number bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  who text not null default current_setting('application_name'),
  what text not null
);
create function public.audit() returns trigger language plpgsql security definer set search_path = '' as
$$ begin insert into public.audit (what) values (tg_op || ' ' || tg_table_name); return null; end $$;
do $$
declare
  t text;
begin
  foreach t in array array['public.alert_incidents', 'public.alert_incident_events', 'public.alert_notifications',
    'public.alert_channels', 'public.error_rate_minutes', 'public.error_rate_hours', 'public.error_groups',
    'public.error_rates_live', 'public.alert_held_back', 'public.alert_rules', 'error_tracking.slack_threads',
    'error_tracking.checkpoint', 'error_tracking.leases'] loop
    execute format('create trigger audit after insert or update or delete on %s '
      'for each row execute function public.audit()', t);
  end loop;
end $$;
