-- Error tracking: rules that a file manages.

begin;

alter table public.alert_rules add column if not exists managed_by text;
alter table public.alert_rules drop constraint if exists managed_by_must_have_1_to_200_characters;
alter table public.alert_rules add constraint managed_by_must_have_1_to_200_characters
  check (length(btrim(managed_by)) between 1 and 200);
comment on column public.alert_rules.managed_by is
  'The file that made this rule and will overwrite changes to it; null for a rule that people made here.';
grant insert (managed_by), update (managed_by) on public.alert_rules to authenticated;

-- The caller's own rights decide: who may not change a rule of the project may not apply a file to it.
create or replace function public.apply_alert_rules(project_id uuid, managed_by text, changes jsonb)
returns jsonb language plpgsql security invoker set search_path = '' as
$$
declare
  item jsonb;
  columns jsonb;
  names text;
  rule uuid;
  written int := 0;
  deleted int := 0;
begin
  for item in select value from jsonb_array_elements(changes -> 'write') loop
    -- Which rule it is, and whose, is not for the columns to say.
    columns := (item -> 'columns') - array['rule_id', 'project_id', 'created_by', 'created_at', 'updated_at']
      || jsonb_build_object('managed_by', apply_alert_rules.managed_by);
    rule := (item ->> 'rule_id')::uuid;
    if rule is null then
      rule := gen_random_uuid();
      columns := columns || jsonb_build_object('rule_id', rule, 'project_id', apply_alert_rules.project_id);
      select string_agg(format('%I', key), ', ') into names from jsonb_object_keys(columns) as key;
      execute format('insert into public.alert_rules (%1$s) select %1$s from jsonb_populate_record(null::public.alert_rules, $1)', names)
        using columns;
    else
      select string_agg(format('%I', key), ', ') into names from jsonb_object_keys(columns) as key;
      execute format('update public.alert_rules set (%1$s) = (select %1$s from jsonb_populate_record(null::public.alert_rules, $1)) '
        'where rule_id = $2 and project_id is not distinct from $3', names)
        using columns, rule, apply_alert_rules.project_id;
      perform from public.alert_rules r
        where r.rule_id = rule and r.project_id is not distinct from apply_alert_rules.project_id
          and r.managed_by = apply_alert_rules.managed_by;
      if not found then
        raise exception 'rule_id: there is no rule % in this project, or you may not change it', rule using errcode = '42501';
      end if;
    end if;
    if jsonb_typeof(item -> 'channels') = 'array' then
      delete from public.alert_rule_channels c
       where c.rule_id = rule
         and c.channel_id not in (select (value ->> 'channel_id')::uuid from jsonb_array_elements(item -> 'channels'));
      insert into public.alert_rule_channels (rule_id, channel_id, min_level)
      select rule, (value ->> 'channel_id')::uuid, value ->> 'min_level' from jsonb_array_elements(item -> 'channels')
      on conflict (rule_id, channel_id) do update set min_level = excluded.min_level;
    end if;
    written := written + 1;
  end loop;
  -- Only what the same file made: a mistake in the list cannot cost anybody else's rule.
  with gone as (
    delete from public.alert_rules r
     where r.rule_id in (select value::uuid from jsonb_array_elements_text(changes -> 'delete'))
       and r.project_id is not distinct from apply_alert_rules.project_id
       and r.managed_by = apply_alert_rules.managed_by
    returning 1)
  select count(*) into deleted from gone;
  if deleted < jsonb_array_length(changes -> 'delete') then
    raise exception 'delete: a rule is gone already, or you may not delete it' using errcode = '42501';
  end if;
  return jsonb_build_object('written', written, 'deleted', deleted);
end $$;
comment on function public.apply_alert_rules(uuid, text, jsonb) is
  'Writes the rules of a file in one transaction, with the caller''s rights: changes is {"write": [{"rule_id", "columns", "channels"}], "delete": [rule_id]}.';
revoke all on function public.apply_alert_rules(uuid, text, jsonb) from public, anon;
grant execute on function public.apply_alert_rules(uuid, text, jsonb) to authenticated, service_role;

commit;
