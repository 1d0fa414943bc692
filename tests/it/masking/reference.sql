-- Masking without any short cut: every text is shown to every rule, and every container is walked.
-- What the migrations' faster functions make of a document must be the same.
create schema reference;

create function reference.mask_text(value text) returns text
language plpgsql stable as
$$
declare
  result text collate "C" := value;
  lowered constant text collate "C" := lower(value collate "C");
  rule record;
  candidate text;
begin
  for rule in
    select r.pattern, r.replacement
      from public.error_masking_rules r, unnest(r.needles) as needle
     where r.kind = 'value' and strpos(lowered, regexp_replace(needle, '^.*%', '')) > 0
     order by r.applied_order, r.note, r.pattern, needle
  loop
    result := regexp_replace(result, rule.pattern, rule.replacement, 'gi');
  end loop;
  for candidate in
    select m[1] from regexp_matches(result,
      '(?<![0-9a-z]|[0-9]\.)([2-6][0-9]{12,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){2,3}(?:[ -][0-9]{1,4})?|[2-6][0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![0-9a-z])',
      'gi') as m
  loop
    if error_tracking.is_card_number(translate(candidate, ' -', '')) then
      result := replace(result, candidate, '[masked]');
    end if;
  end loop;
  return result;
end $$;

create function reference.is_sensitive(key text) returns boolean
language sql stable as
$$
  select exists (
    select from public.error_masking_rules r
     where case r.kind when 'key_contains' then strpos(error_tracking.normal_text(key), r.pattern) > 0
             when 'key_ends' then right(error_tracking.normal_text(key), length(r.pattern)) = r.pattern
             when 'key_is' then error_tracking.normal_text(key) = r.pattern end)
$$;

create function reference.mask(value jsonb) returns jsonb
language plpgsql stable as
$$
begin
  return case jsonb_typeof(value)
    when 'object' then coalesce((
      select jsonb_object_agg(reference.mask_text(e.key), case
          when e.value = 'null' or e.value = '""' then e.value
          when reference.is_sensitive(e.key) then '"[masked]"'
          else reference.mask(e.value) end)
        from jsonb_each(value) as e), '{}')
    when 'array' then coalesce((
      select jsonb_agg(reference.mask(e.value) order by e.place)
        from jsonb_array_elements(value) with ordinality as e (value, place)), '[]')
    when 'string' then to_jsonb(reference.mask_text(value #>> '{}'))
    when 'number' then case when error_tracking.is_card_number(value::text) then '"[masked]"' else value end
    else value end;
end $$;
