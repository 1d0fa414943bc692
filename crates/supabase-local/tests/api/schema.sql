-- The tables of the captured frames.
create table messages (id bigserial primary key, body text, n int4, created_at timestamptz default now());
create table not_published (id bigserial primary key);
create table todos (id bigserial primary key, user_id uuid, title text, done bool default false);
alter table todos enable row level security;
create policy own on todos for select to authenticated using (user_id = (select auth.uid()));
create type sev3 as enum ('low', 'medium', 'high');
create table em3 (
  error_id uuid primary key default gen_random_uuid(), seq bigserial, ts timestamptz default now(),
  sev sev3 default 'high', project_id uuid, metadata jsonb default '{"secret": 1}'
);
revoke all on em3 from anon, authenticated;
grant select (error_id, seq, ts, sev, project_id) on em3 to authenticated;
alter publication supabase_realtime add table messages, todos, em3;
