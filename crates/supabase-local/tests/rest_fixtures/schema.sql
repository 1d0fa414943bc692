-- What the wider REST test reads and writes: every kind of relationship and of function.
create table projects (id int primary key, name text not null, owner uuid);
create table project_settings (project_id int primary key references projects, color text);
create table rules (
  id int primary key generated always as identity,
  project_id int references projects,
  name varchar(40) not null,
  threshold numeric(10, 2) default 5.5,
  tags text[] not null default '{}',
  settings json default '{"a": {"b": [1, 2]}}',
  span int4range,
  created_at timestamptz not null default '2026-11-22T10:00:00Z',
  created_by int,
  updated_by int
);
create table people (id int primary key, name text);
alter table rules add constraint rules_created_by_fkey foreign key (created_by) references people;
alter table rules add constraint rules_updated_by_fkey foreign key (updated_by) references people;
create table channels (id int primary key, kind text not null);
create table rule_channels (
  rule_id int references rules,
  channel_id int references channels,
  level text default 'warning',
  primary key (rule_id, channel_id)
);
create table folders (id int primary key, parent_id int references folders, name text);
create table "odd ""name" (id int primary key, "a.b" int, "select" text);
create view rule_names as select id, name from rules;

insert into people values (1, 'ann'), (2, 'ben');
insert into projects (id, name) values (1, 'one'), (2, 'two'), (3, 'empty');
insert into project_settings values (1, 'red');
insert into rules (project_id, name, tags, created_by, updated_by) values
  (1, 'first', '{x,y}', 1, 2), (1, 'second, "quoted"', '{}', 2, null), (2, 'third', '{y}', null, null);
insert into channels values (1, 'slack'), (2, 'email');
insert into rule_channels values (1, 1, 'warning'), (1, 2, 'critical'), (3, 2, 'warning');
insert into folders values (1, null, 'root'), (2, 1, 'child'), (3, 1, 'other');
insert into "odd ""name" values (1, 7, 'x');

create function nothing() returns void language sql as $$ select $$;
create function numbers(n int) returns setof int language sql stable as
  $$ select generate_series(1, n) $$;
create function one_rule(wanted int) returns rules language sql stable as
  $$ select * from rules where id = wanted $$;
create function all_rules() returns setof rules language sql stable as
  $$ select * from rules order by id $$;
create function echo(jsonb) returns jsonb language sql immutable as $$ select $1 $$;
create function greet(who text, greeting text default 'hello') returns text language sql immutable as
  $$ select greeting || ' ' || who $$;
create function total(variadic numbers int[]) returns bigint language sql immutable as
  $$ select sum(n) from unnest(numbers) n $$;
create function two_of(a int) returns int language sql immutable as $$ select a $$;
create function two_of(a int, b int default 0) returns int language sql immutable as $$ select a + b $$;
create function writes() returns int language sql volatile as
  $$ insert into people values (99, 'zoe') returning id $$;
create function teapot() returns void language plpgsql as $$
begin
  raise sqlstate 'PT418' using message = 'short and stout', hint = 'tip me over';
end $$;
create function with_headers() returns text language sql volatile as $$
  select set_config('response.headers', '[{"X-Mood": "good"}]', true);
  select set_config('response.status', '203', true);
  select current_setting('request.method') || ' ' || current_setting('request.path') || ' '
    || (current_setting('request.headers')::json ->> 'x-sent') $$;
