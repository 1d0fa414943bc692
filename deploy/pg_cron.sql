-- Optional: what the database can do by itself with the extensions pg_cron and pg_net.
-- Run it as postgres in the SQL editor of the project, in whole or in part; run it again to change it.

create extension if not exists pg_cron;
create extension if not exists pg_net;

-- 1. Retention, for deployments whose daemon has RETENTION=off. ---------------------------------------

select cron.schedule('error-retention', '*/10 * * * *', 'call error_tracking.prune_all()');

-- 2. A watch over the watchman: tells Slack when no instance has written its status row for a minute. ---
-- The address of the incoming webhook is a secret of the vault:
--   select vault.create_secret('https://hooks.slack.com/services/…', 'error_tracker_watch');

create table if not exists error_tracking.watch (
  only_row boolean primary key default true check (only_row),
  silent_since timestamptz
);
comment on table error_tracking.watch is 'Whether people were told that the error tracker is silent.';
insert into error_tracking.watch default values on conflict do nothing;
revoke all on error_tracking.watch from public, anon, authenticated, service_role;

create or replace function error_tracking.watch_tracker() returns void
language plpgsql security definer set search_path = '' as
$$
declare
  address text := (select decrypted_secret from vault.decrypted_secrets where name = 'error_tracker_watch');
  heartbeat timestamptz := (select max(heartbeat_at) from public.error_tracker_status);
  was_silent timestamptz;
  is_silent boolean := heartbeat is null or heartbeat < now() - interval '60 seconds';
begin
  select silent_since into was_silent from error_tracking.watch for update;
  -- Told once when it falls silent and once when it is back, not every time.
  if is_silent = (was_silent is not null) or address is null then
    return;
  end if;
  update error_tracking.watch set silent_since = case when is_silent then coalesce(heartbeat, now()) end;
  perform net.http_post(url := address, body := jsonb_build_object('text', case when is_silent
    then format(':rotating_light: No error tracker is running: last sign of life %s. Nobody is told of errors until one is started.',
                coalesce(to_char(heartbeat at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), 'never'))
    else ':white_check_mark: The error tracker is back; it catches up with what it missed.' end));
end $$;
comment on function error_tracking.watch_tracker() is
  'Tells Slack, by pg_net, when no instance of the error tracker has written its status row for 60 s, and when one is back.';
revoke all on function error_tracking.watch_tracker() from public, anon, authenticated, service_role;

select cron.schedule('error-tracker-watch', '20 seconds', 'select error_tracking.watch_tracker()');
