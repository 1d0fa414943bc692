-- Error tracking: schemas, roles, and what is needed of MeshHook's own tables.
-- Each part is one transaction and may be applied again.

begin;

create schema if not exists error_tracking;
comment on schema error_tracking is
  'Internals of error tracking: numbering, masking, leases, checkpoint, channel secrets. Not served by PostgREST.';
revoke all on schema error_tracking from public;

-- Roles ---------------------------------------------------------------------------------------

do $$
begin
  -- Supabase has these three; a bare database does not.
  if not exists (select from pg_roles where rolname = 'anon') then
    create role anon nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'authenticated') then
    create role authenticated nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'service_role') then
    create role service_role nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'error_reporter') then
    create role error_reporter nologin noinherit;
  end if;
  -- The operator gives it a password: alter role error_daemon password '…'.
  if not exists (select from pg_roles where rolname = 'error_daemon') then
    create role error_daemon login noinherit;
  end if;

  -- PostgREST and Realtime switch to the role that a token names, so they must be members of it.
  if exists (select from pg_roles where rolname = 'authenticator') then
    grant error_reporter, error_daemon to authenticator;
  end if;
  if exists (select from pg_roles r where r.rolname = 'supabase_realtime_admin'
               and not pg_has_role(r.oid, 'error_daemon', 'member')) then
    begin
      grant error_reporter, error_daemon to supabase_realtime_admin;
    exception when insufficient_privilege then
      -- The hosted platform reserves this role, also against postgres. Realtime's login is a member of
      -- service_role too, and membership is passed on: it may then become error_daemon all the same.
      -- Whoever holds the service key may already change every table in public; a service_role that
      -- inherits would get our rights without asking for them, so it gets none.
      if exists (select from pg_roles where rolname = 'service_role' and not rolinherit)
        and pg_has_role('supabase_realtime_admin', 'service_role', 'member') then
        grant error_daemon to service_role;
        raise notice 'supabase_realtime_admin is reserved here; it may become error_daemon through service_role';
      else
        raise notice 'supabase_realtime_admin is reserved here, and may not become error_daemon; should Realtime log in by it, the daemon hears nothing there and lives on numbered reads';
      end if;
    end;
  end if;
end $$;

comment on role error_reporter is 'Workers and hooks: may insert error events and nothing else.';
comment on role error_daemon is 'The alert daemon: reads what it counts, writes incidents and rollups.';

grant usage on schema public to error_reporter, error_daemon;
grant usage on schema error_tracking to error_daemon;

-- What MeshHook brings, where it is missing -----------------------------------------------------

do $$
begin
  -- Even `if not exists` would ask for the right to create one.
  if to_regnamespace('auth') is null then
    create schema auth;
  end if;
  if to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid language sql stable as
    $f$ select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid $f$;
  end if;
end $$;

create table if not exists public.projects (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  name text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table if not exists public.workflow_definitions (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references public.projects (id) on delete cascade,
  slug text not null,
  version int not null default 1,
  definition jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  name text not null default '',
  description text,
  status text default 'draft' check (status in ('draft', 'published', 'archived')),
  user_id uuid,
  unique (project_id, slug, version)
);

create table if not exists public.workflow_runs (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references public.projects (id) on delete cascade,
  workflow_id uuid not null references public.workflow_definitions (id) on delete cascade,
  status text not null check (status in ('running', 'succeeded', 'failed', 'paused', 'canceled')),
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
-- The failure ratio counts runs by their start, over all projects.
create index if not exists idx_workflow_runs_started_at on public.workflow_runs (started_at);

do $$
declare
  t text;
begin
  if to_regprocedure('public.user_project_ids()') is null then
    create function public.user_project_ids() returns setof uuid
    language sql security definer stable set search_path = '' as
    $f$ select id from public.projects where owner = (select auth.uid()) $f$;
    comment on function public.user_project_ids() is 'The projects that the caller owns.';
    grant execute on function public.user_project_ids() to authenticated;
  end if;
  -- A table that MeshHook already protects keeps its own policies; one that nothing protects gets ours.
  foreach t in array array['projects', 'workflow_definitions', 'workflow_runs'] loop
    if not (select relrowsecurity from pg_class where oid = format('public.%I', t)::regclass) then
      execute format('alter table public.%I enable row level security', t);
      execute format('drop policy if exists %I on public.%I', 'error_tracking_owner', t);
      execute format(
        'create policy %I on public.%I for all to authenticated using (%s) with check (%s)',
        'error_tracking_owner', t,
        case t when 'projects' then 'owner = (select auth.uid())'
          else 'project_id in (select public.user_project_ids())' end,
        case t when 'projects' then 'owner = (select auth.uid())'
          else 'project_id in (select public.user_project_ids())' end);
    end if;
  end loop;
end $$;

-- Shared helpers --------------------------------------------------------------------------------

create or replace function error_tracking.jwt_claims() returns jsonb
language sql stable set search_path = '' as
$$ select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}'::jsonb) $$;
comment on function error_tracking.jwt_claims() is 'Claims of the request''s token; an empty object where there is none.';

-- Without a path of its own it becomes a part of the expression that calls it.
create or replace function error_tracking.is_uuid(value text) returns boolean
language sql immutable as
$$ select value operator(pg_catalog.~*) '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$' $$;
comment on function error_tracking.is_uuid(text) is 'Whether a text can be cast to uuid.';

-- The policy asks with every statement, the trigger where it knows no project. A function in SQL would be planned each time, and one
-- without a path of its own as well, because the two have different paths (640 instead of 350 µs of
-- processor time for one event of a pinned token in a trial).
create or replace function error_tracking.claimed_project() returns uuid
language plpgsql stable set search_path = '' as
$$
declare
  claims constant text := current_setting('request.jwt.claims', true);
begin
  if strpos(claims, 'project_id') > 0 then
    return case
      when error_tracking.is_uuid(claims::jsonb ->> 'project_id') then (claims::jsonb ->> 'project_id')::uuid
      -- A pin that cannot be read must not become no pin at all.
      when claims::jsonb ? 'project_id' then '00000000-0000-0000-0000-000000000000' end;
  end if;
  return null;
end $$;
comment on function error_tracking.claimed_project() is
  'The project that a reporter''s token is pinned to; null for a token that may report for any.';

create or replace function error_tracking.all_match(items text[], pattern text) returns boolean
language sql immutable strict set search_path = '' as
$$ select coalesce(bool_and(item is not null and item ~ pattern), true) from unnest(items) as item $$;
comment on function error_tracking.all_match(text[], text) is 'Whether every element matches a regular expression.';

create or replace function error_tracking.touch_updated_at() returns trigger
language plpgsql set search_path = '' as
$$ begin new.updated_at := now(); return new; end $$;
comment on function error_tracking.touch_updated_at() is 'Sets updated_at before an update.';

revoke all on all functions in schema error_tracking from public;
grant usage on schema error_tracking to authenticated, error_reporter;
grant execute on function error_tracking.jwt_claims(), error_tracking.is_uuid(text),
  error_tracking.claimed_project(), error_tracking.all_match(text[], text) to authenticated, error_reporter, error_daemon, service_role;
grant usage on schema error_tracking to service_role;

-- Who may see and do what -----------------------------------------------------------------------

create table if not exists public.error_access (
  access_id uuid primary key default gen_random_uuid(),
  project_id uuid references public.projects (id) on delete cascade,
  user_id uuid not null,
  role text not null,
  granted_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  constraint role_must_be_viewer_responder_or_admin check (role in ('viewer', 'responder', 'admin')),
  constraint error_access_project_user unique nulls not distinct (project_id, user_id)
);
create index if not exists idx_error_access_user_id on public.error_access (user_id);
comment on table public.error_access is
  'Who may see and handle errors of a project, besides its owner, who is always admin.';
comment on column public.error_access.access_id is 'Primary key.';
comment on column public.error_access.project_id is
  'The project; null grants the role for every project and for errors that belong to none.';
comment on column public.error_access.user_id is 'The user, as in auth.users.';
comment on column public.error_access.role is
  'viewer reads; responder also acknowledges, silences and resolves groups; admin also edits rules, channels and access.';
comment on column public.error_access.granted_by is 'Who gave it.';
comment on column public.error_access.created_at is 'When it was given.';

create or replace function error_tracking.role_rank(role text) returns int
language sql immutable set search_path = '' as
$$ select case role when 'viewer' then 1 when 'responder' then 2 when 'admin' then 3 else 0 end $$;
comment on function error_tracking.role_rank(text) is 'viewer 1, responder 2, admin 3, anything else 0.';

create or replace function public.error_global_role() returns text
language sql security definer stable set search_path = '' as
$$ select role from public.error_access where project_id is null and user_id = (select auth.uid()) $$;
comment on function public.error_global_role() is
  'The caller''s role over all projects; null where there is none.';

create or replace function public.error_project_ids(at_least text default 'viewer') returns setof uuid
language sql security definer stable set search_path = '' as
$$
  select p.id from public.projects p
   where p.owner = (select auth.uid())
      or error_tracking.role_rank((select public.error_global_role())) >= error_tracking.role_rank(at_least)
  union
  select a.project_id from public.error_access a
   where a.project_id is not null and a.user_id = (select auth.uid())
     and error_tracking.role_rank(a.role) >= error_tracking.role_rank(at_least)
$$;
comment on function public.error_project_ids(text) is
  'The projects in which the caller is at least the given role; policies use it as a sub-select that runs once a statement.';

create or replace function public.error_role(project_id uuid) returns text
language sql security definer stable set search_path = '' as
$$
  select role from (
    select 'admin' as role from public.projects p where p.id = error_role.project_id and p.owner = (select auth.uid())
    union all
    select a.role from public.error_access a
     where a.user_id = (select auth.uid()) and (a.project_id is null or a.project_id = error_role.project_id)
  ) roles
  order by error_tracking.role_rank(role) desc limit 1
$$;
comment on function public.error_role(uuid) is
  'The caller''s role in a project: viewer, responder or admin; null where there is none. Null asks for errors that belong to no project.';

create or replace function error_tracking.may_globally(at_least text) returns boolean
language sql security definer stable set search_path = '' as
$$ select error_tracking.role_rank(public.error_global_role()) >= error_tracking.role_rank(at_least) $$;
comment on function error_tracking.may_globally(text) is
  'Whether the caller has at least the given role over everything, so also over rows without a project.';

revoke all on function error_tracking.role_rank(text), error_tracking.may_globally(text) from public;
revoke all on function public.error_global_role(), public.error_project_ids(text), public.error_role(uuid) from public, anon;
grant execute on function error_tracking.role_rank(text), error_tracking.may_globally(text),
  public.error_global_role(), public.error_project_ids(text), public.error_role(uuid) to authenticated, service_role;

-- Policies of every table read the same: rows of projects where the caller is at least …, or rows
-- without a project for those who have that role globally.
create or replace function error_tracking.protect(
  target regclass, read_role text, insert_role text default null, update_role text default null,
  delete_role text default null
) returns void language plpgsql set search_path = '' as
$$
declare
  condition constant text :=
    '(project_id in (select public.error_project_ids(%1$L)) or (project_id is null and (select error_tracking.may_globally(%1$L))))';
begin
  execute format('alter table %s enable row level security', target);
  execute format('revoke all on table %s from public, anon, authenticated, error_reporter, error_daemon', target);
  execute format('drop policy if exists tracker_read on %s', target);
  execute format('drop policy if exists tracker_insert on %s', target);
  execute format('drop policy if exists tracker_update on %s', target);
  execute format('drop policy if exists tracker_delete on %s', target);
  execute format('drop policy if exists tracker_daemon on %s', target);
  execute format('create policy tracker_read on %s for select to authenticated using (%s)',
    target, format(condition, read_role));
  if insert_role is not null then
    execute format('create policy tracker_insert on %s for insert to authenticated with check (%s)',
      target, format(condition, insert_role));
  end if;
  if update_role is not null then
    execute format('create policy tracker_update on %s for update to authenticated using (%s) with check (%s)',
      target, format(condition, update_role), format(condition, update_role));
  end if;
  if delete_role is not null then
    execute format('create policy tracker_delete on %s for delete to authenticated using (%s)',
      target, format(condition, delete_role));
  end if;
  -- Grants, not policies, limit the daemon: a row that it could not see would look like an empty hole.
  execute format('create policy tracker_daemon on %s for all to error_daemon using (true) with check (true)', target);
  execute format('grant select on %s to authenticated', target);
  execute format('grant select, insert, update, delete on %s to service_role', target);
end $$;
comment on function error_tracking.protect(regclass, text, text, text, text) is
  'Enables row-level security and writes the policies that all tables of error tracking share; the table''s own migration adds the grants.';
revoke all on function error_tracking.protect(regclass, text, text, text, text) from public;

select error_tracking.protect('public.error_access', 'admin', 'admin', 'admin', 'admin');
-- Not granted_by: who gave access is not for the giver to say.
grant insert (access_id, project_id, user_id, role), update (role), delete on public.error_access to authenticated;
-- Everyone may see what they were given.
drop policy if exists tracker_read_own on public.error_access;
create policy tracker_read_own on public.error_access for select to authenticated
  using (user_id = (select auth.uid()));

commit;
