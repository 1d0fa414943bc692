-- Error tracking, part 2 of 5: masking. Whoever writes an error event, the database masks it.

begin;

create table if not exists public.error_masking_rules (
  masking_rule_id uuid primary key default gen_random_uuid(),
  kind text not null,
  pattern text not null,
  replacement text not null default '[masked]',
  applied_order int not null default 100,
  note text not null default '',
  created_at timestamptz not null default now(),
  constraint kind_must_be_key_contains_key_ends_key_is_or_value
    check (kind in ('key_contains', 'key_ends', 'key_is', 'value')),
  constraint pattern_of_a_key_must_be_lower_case_letters_and_digits
    check (kind = 'value' or pattern ~ '^[a-z0-9]+$'),
  constraint pattern_must_have_1_to_500_characters check (length(pattern) between 1 and 500),
  constraint error_masking_rules_kind_pattern unique (kind, pattern)
);
comment on table public.error_masking_rules is
  'What counts as sensitive in metadata and messages. Global admins may add rows; they apply to the next insert.';
comment on column public.error_masking_rules.masking_rule_id is 'Primary key.';
comment on column public.error_masking_rules.kind is
  'key_contains, key_ends and key_is compare with a metadata key in lower case without "_", "-", "." and blanks, and mask its whole value; value is a regular expression for text.';
comment on column public.error_masking_rules.pattern is 'The word, or for kind value a Postgres regular expression (not case-sensitive).';
comment on column public.error_masking_rules.replacement is 'What takes the place of matching text; \1 to \9 stand for groups of the pattern. Not used for keys.';
comment on column public.error_masking_rules.applied_order is
  'Patterns of kind value are applied in ascending order, so that a URL''s password goes before what looks like an address in it.';
comment on column public.error_masking_rules.note is 'What it is for.';
comment on column public.error_masking_rules.created_at is 'When it was added.';

insert into public.error_masking_rules (kind, pattern, replacement, note) values
  ('key_contains', 'password', '[masked]', 'password, db_password, passwordHash'),
  ('key_contains', 'passwd', '[masked]', ''),
  ('key_contains', 'passphrase', '[masked]', ''),
  ('key_contains', 'secret', '[masked]', 'client_secret, webhookSecret'),
  ('key_contains', 'apikey', '[masked]', 'api key, x-api-key'),
  ('key_contains', 'accesskey', '[masked]', ''),
  ('key_contains', 'authorization', '[masked]', 'also Proxy-Authorization'),
  ('key_contains', 'cookie', '[masked]', 'also Set-Cookie'),
  ('key_contains', 'privatekey', '[masked]', ''),
  ('key_contains', 'signingkey', '[masked]', ''),
  ('key_contains', 'encryptionkey', '[masked]', ''),
  ('key_contains', 'credential', '[masked]', ''),
  ('key_contains', 'creditcard', '[masked]', ''),
  ('key_contains', 'cardnumber', '[masked]', ''),
  ('key_contains', 'connectionstring', '[masked]', ''),
  ('key_contains', 'socialsecurity', '[masked]', ''),
  ('key_ends', 'token', '[masked]', 'token, access_token, csrfToken'),
  ('key_ends', 'tokens', '[masked]', ''),
  ('key_is', 'pwd', '[masked]', ''),
  ('key_is', 'pass', '[masked]', ''),
  ('key_is', 'auth', '[masked]', ''),
  ('key_is', 'bearer', '[masked]', ''),
  ('key_is', 'jwt', '[masked]', ''),
  ('key_is', 'session', '[masked]', ''),
  ('key_is', 'sessionid', '[masked]', ''),
  ('key_is', 'ssn', '[masked]', ''),
  ('key_is', 'cvv', '[masked]', ''),
  ('key_is', 'cvc', '[masked]', ''),
  ('key_is', 'pin', '[masked]', ''),
  ('key_is', 'iban', '[masked]', ''),
  ('key_is', 'databaseurl', '[masked]', ''),
  ('key_is', 'dsn', '[masked]', '')
on conflict (kind, pattern) do nothing;

insert into public.error_masking_rules (kind, pattern, replacement, note, applied_order) values
  ('value', '-----BEGIN [A-Z0-9 ]+-----.*(-----END [A-Z0-9 ]+-----|$)', '[masked]', 'PEM blocks', 10),
  ('value', '(\m[a-z][a-z0-9+.-]*://)[^\s/@"'']+@', '\1[masked]@', 'credentials in a URL', 20),
  ('value', '(\m[a-z][a-z0-9+.-]*://[^\s/@:"'']*):[^\s@"'']+@', '\1:[masked]@', 'passwords with a slash in a URL', 21),
  ('value', '\meyJ[a-z0-9_-]{5,}\.[a-z0-9_-]{5,}(\.[a-z0-9_-]*)?', '[masked]', 'JSON web tokens', 50),
  ('value', '\m(bearer|basic)\s+[a-z0-9._~+/=-]{8,}', '\1 [masked]', 'authorization schemes', 50),
  ('value', '\msb_secret_[a-z0-9_-]{8,}', '[masked]', 'Supabase secret keys', 50),
  ('value', '\m(AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\M', '[masked]', 'AWS access keys', 50),
  ('value', '\m(gh[pousr]_[a-z0-9]{20,}|github_pat_[a-z0-9_]{20,})', '[masked]', 'GitHub tokens', 50),
  ('value', '\m(xox[a-z]-|xapp-)[a-z0-9-]{8,}', '[masked]', 'Slack tokens', 50),
  ('value', 'hooks\.slack\.com/[a-z]+/[a-z0-9/_-]+', 'hooks.slack.com/[masked]', 'Slack webhook addresses', 50),
  ('value', '\m([srp]k_(live|test)_[a-z0-9]{8,}|whsec_[a-z0-9+/=]{8,})', '[masked]', 'Stripe and webhook keys', 50),
  ('value', '\msk-[a-z0-9_-]{20,}', '[masked]', 'AI provider keys', 50),
  ('value', '\mAIza[0-9a-z_-]{30,}', '[masked]', 'Google API keys', 50),
  ('value', '\m[a-z0-9._%+-]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}', '[masked]', 'e-mail addresses', 90),
  ('value', '((?:password|passwd|passphrase|secret|api[_-]?key|token)["'']?\s*[=:]\s*["'']?)[^\s"'',;&\]\[]+', '\1[masked]', 'name=value pairs in text', 95)
on conflict (kind, pattern) do nothing;

-- The rules as the insert trigger wants them: one row, rebuilt whenever a rule changes.
create table if not exists error_tracking.masking (
  only_row boolean primary key default true check (only_row),
  key_guard text not null,
  key_pattern text not null,
  value_guard text not null,
  patterns text[] not null,
  replacements text[] not null
);
comment on table error_tracking.masking is 'error_masking_rules compiled: one row that the insert trigger reads.';
comment on column error_tracking.masking.only_row is 'Always true: there is one row.';
comment on column error_tracking.masking.key_guard is
  'Matches the normalised JSON text of every document that may have a sensitive key; may match others too.';
comment on column error_tracking.masking.key_pattern is 'Matches a normalised key that is sensitive.';
comment on column error_tracking.masking.value_guard is 'Matches every text that one of the patterns would change.';
comment on column error_tracking.masking.patterns is 'Regular expressions of kind value, in the order in which they are applied.';
comment on column error_tracking.masking.replacements is 'What takes the place of each pattern''s matches.';

create or replace function error_tracking.compile_masking() returns void
language sql security definer set search_path = '' as
$$
  insert into error_tracking.masking
  select true,
    -- In jsonb's text form a key's end is '":', which is enough to anchor the two stricter kinds.
    coalesce(string_agg(case kind when 'key_contains' then pattern when 'key_ends' then pattern || '":'
                        when 'key_is' then '"' || pattern || '":' end, '|') filter (where kind <> 'value'), '$^'),
    coalesce(string_agg(case kind when 'key_contains' then pattern when 'key_ends' then pattern || '$'
                        when 'key_is' then '^' || pattern || '$' end, '|') filter (where kind <> 'value'), '$^'),
    -- 13 digits and more may be a card number, which is decided by its check digit and not by a pattern.
    coalesce(string_agg(pattern, '|') filter (where kind = 'value') || '|', '') || '\m[2-6]([ -]?\d){12,18}\M',
    coalesce(array_agg(pattern order by applied_order, note, pattern) filter (where kind = 'value'), '{}'),
    coalesce(array_agg(replacement order by applied_order, note, pattern) filter (where kind = 'value'), '{}')
  from public.error_masking_rules
  on conflict (only_row) do update set key_guard = excluded.key_guard, key_pattern = excluded.key_pattern,
    value_guard = excluded.value_guard, patterns = excluded.patterns, replacements = excluded.replacements
$$;
comment on function error_tracking.compile_masking() is 'Rebuilds error_tracking.masking from error_masking_rules.';

create or replace function error_tracking.masking_rules_changed() returns trigger
language plpgsql security definer set search_path = '' as
$$
begin
  if tg_level = 'ROW' then
    -- A pattern that does not compile would make every later insert fail.
    if new.kind = 'value' then
      perform regexp_replace('', new.pattern, new.replacement, 'gi');
    end if;
    return new;
  end if;
  perform error_tracking.compile_masking();
  return null;
end $$;
comment on function error_tracking.masking_rules_changed() is
  'Refuses a pattern that is no regular expression, then recompiles.';

drop trigger if exists check_pattern on public.error_masking_rules;
create trigger check_pattern before insert or update on public.error_masking_rules
  for each row execute function error_tracking.masking_rules_changed();
drop trigger if exists compile on public.error_masking_rules;
create trigger compile after insert or update or delete on public.error_masking_rules
  for each statement execute function error_tracking.masking_rules_changed();
select error_tracking.compile_masking();

-- Text ------------------------------------------------------------------------------------------

create or replace function error_tracking.is_card_number(digits text) returns boolean
language sql immutable strict set search_path = '' as
$$
  -- Issuers' numbers begin with 2 to 6, which keeps times in milliseconds out of it; the check digit
  -- is that of ISO/IEC 7812-1, annex B, where every second digit from the right is doubled.
  select case when digits ~ '^[2-6][0-9]{12,18}$' then (
    select sum(case when (length(digits) - i) % 2 = 0 then d when d > 4 then 2 * d - 9 else 2 * d end) % 10 = 0
      from generate_series(1, length(digits)) as i, lateral (select substr(digits, i, 1)::int as d) as digit
  ) else false end
$$;
comment on function error_tracking.is_card_number(text) is 'Whether a row of digits has the length and check digit of a payment card.';

create or replace function error_tracking.mask_text(value text, rules error_tracking.masking) returns text
language plpgsql stable set search_path = '' as
$$
declare
  result text := value;
  candidate text;
begin
  if value is null or value !~* rules.value_guard then
    return value;
  end if;
  for i in 1 .. coalesce(array_length(rules.patterns, 1), 0) loop
    result := regexp_replace(result, rules.patterns[i], rules.replacements[i], 'gi');
  end loop;
  for candidate in select m[1] from regexp_matches(result, '\m([2-6](?:[ -]?\d){12,18})\M', 'g') as m loop
    if error_tracking.is_card_number(regexp_replace(candidate, '[ -]', '', 'g')) then
      result := replace(result, candidate, '[masked]');
    end if;
  end loop;
  return result;
end $$;
comment on function error_tracking.mask_text(text, error_tracking.masking) is 'A text without its sensitive parts.';

-- Documents -------------------------------------------------------------------------------------

create or replace function error_tracking.normal_key(key text) returns text
language sql immutable strict set search_path = '' as
$$ select translate(lower(key), '_-. ', '') $$;
comment on function error_tracking.normal_key(text) is 'A metadata key in lower case without "_", "-", "." and blanks.';

create or replace function error_tracking.mask_document(
  document jsonb, rules error_tracking.masking, depth int default 0
) returns jsonb language plpgsql stable set search_path = '' as
$$
begin
  case jsonb_typeof(document)
    when 'string' then
      return to_jsonb(error_tracking.mask_text(document #>> '{}', rules));
    when 'number' then
      if error_tracking.is_card_number(document #>> '{}') then
        return '"[masked]"';
      end if;
      return document;
    when 'object' then
      -- Nobody reads deeper than this, and a hostile document must not exhaust the stack.
      if depth >= 24 then return '"[masked: nested too deep]"'; end if;
      return coalesce((
        select jsonb_object_agg(
          error_tracking.mask_text(key, rules),
          case
            when value in ('null'::jsonb, '""'::jsonb) then value
            when error_tracking.normal_key(key) ~ rules.key_pattern then '"[masked]"'
            else error_tracking.mask_document(value, rules, depth + 1)
          end)
        from jsonb_each(document)), '{}');
    when 'array' then
      if depth >= 24 then return '"[masked: nested too deep]"'; end if;
      return coalesce((
        select jsonb_agg(error_tracking.mask_document(value, rules, depth + 1) order by position)
          from jsonb_array_elements(document) with ordinality as element (value, position)), '[]');
    else
      return document;
  end case;
end $$;
comment on function error_tracking.mask_document(jsonb, error_tracking.masking, int) is
  'A JSON document without its sensitive parts: values of sensitive keys at any depth, and sensitive texts anywhere.';

create or replace function error_tracking.mask_metadata(metadata jsonb, rules error_tracking.masking) returns jsonb
language plpgsql stable set search_path = '' as
$$
declare
  document text := metadata::text;
begin
  -- Most documents hold nothing sensitive; two scans of the text are far cheaper than the walk.
  if document !~* rules.value_guard and error_tracking.normal_key(document) !~ rules.key_guard then
    return metadata;
  end if;
  return error_tracking.mask_document(metadata, rules);
end $$;
comment on function error_tracking.mask_metadata(jsonb, error_tracking.masking) is
  'Masked metadata; documents that hold nothing sensitive come back at once.';

create or replace function error_tracking.bound_metadata(metadata jsonb, rules error_tracking.masking) returns jsonb
language plpgsql stable set search_path = '' as
$$
declare
  bytes constant int := octet_length(metadata::text);
begin
  if bytes <= 32768 then
    return metadata;
  end if;
  return coalesce((
    select jsonb_object_agg(left(key, 100), case
        when error_tracking.normal_key(key) ~ rules.key_pattern then '"[masked]"'::jsonb
        when octet_length(value::text) <= 400 then value
        when jsonb_typeof(value) = 'string'
          -- Masked before it is cut: half a secret would no longer be recognised.
          then to_jsonb(left(error_tracking.mask_text(left(value #>> '{}', 8192), rules), 400) || '…')
        else to_jsonb('[cut: ' || octet_length(value::text) || ' bytes]') end)
      from (select key, value from jsonb_each(metadata) order by key limit 40) as first_keys), '{}')
    || jsonb_build_object('_tracker', jsonb_build_object('cut_from_bytes', bytes));
end $$;
comment on function error_tracking.bound_metadata(jsonb, error_tracking.masking) is
  'Metadata over 32 KiB as a summary of its first 40 keys, marked by _tracker.cut_from_bytes.';

revoke all on all functions in schema error_tracking from public;

alter table public.error_masking_rules enable row level security;
revoke all on public.error_masking_rules from public, anon, authenticated, error_reporter, error_daemon;
grant select, insert, update, delete on public.error_masking_rules to authenticated, service_role;
drop policy if exists tracker_admin on public.error_masking_rules;
create policy tracker_admin on public.error_masking_rules for all to authenticated
  using ((select error_tracking.may_globally('admin')))
  with check ((select error_tracking.may_globally('admin')));

commit;
