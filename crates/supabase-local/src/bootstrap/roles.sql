-- Creates the roles of a Supabase project; the superuser supabase_admin exists already.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
create role supabase_auth_admin login noinherit createrole;
create role supabase_storage_admin login noinherit createrole;
create role supabase_realtime_admin nologin noinherit;
create role dashboard_user nologin createdb createrole replication;

-- Migrations run as this role. It is not a superuser, as on the hosted platform, so what works
-- here works there.
create role postgres login createdb createrole replication bypassrls;
grant anon, authenticated, service_role, authenticator to postgres with admin option;
grant supabase_realtime_admin to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;

-- PostgREST logs in as authenticator and becomes one of these for each request.
grant anon, authenticated, service_role to authenticator;
-- As Realtime does while it applies the policies of whoever has subscribed.
grant anon, authenticated, service_role to supabase_realtime_admin;
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role supabase_auth_admin set search_path = auth;
