-- Error tracking, part 2 of 6: masking. Whoever writes an error event, the database masks it.

begin;

create table if not exists public.error_masking_rules (
  masking_rule_id uuid primary key default gen_random_uuid(),
  kind text not null,
  pattern text not null,
  needles text[] not null default '{}',
  replacement text not null default '[masked]',
  applied_order int not null default 100,
  note text not null default '',
  created_at timestamptz not null default now(),
  constraint kind_must_be_key_contains_key_ends_key_is_or_value
    check (kind in ('key_contains', 'key_ends', 'key_is', 'value')),
  constraint pattern_of_a_key_must_be_lower_case_letters_and_digits
    check (kind = 'value' or pattern ~ '^[a-z0-9]+$'),
  constraint pattern_must_have_1_to_500_characters check (length(pattern) between 1 and 500),
  constraint needles_are_for_values check (kind = 'value' or needles = '{}'),
  constraint needles_must_be_lower_case_without_quotes_and_not_empty
    check (cardinality(needles) <= 20 and error_tracking.all_match(needles, '^[^A-Z"\\[:cntrl:]]{1,100}$')),
  constraint error_masking_rules_kind_pattern unique (kind, pattern)
);
comment on table public.error_masking_rules is 'What counts as sensitive in metadata and messages. Global admins may add rows; they apply to the next insert.';
comment on column public.error_masking_rules.masking_rule_id is 'Primary key.';
comment on column public.error_masking_rules.kind is
  'key_contains, key_ends and key_is compare with a metadata key in lower case without "_", "-", "." and blanks, and mask its whole value; value is a regular expression for text.';
comment on column public.error_masking_rules.pattern is 'The word, or for kind value a Postgres regular expression (not case-sensitive).';
comment on column public.error_masking_rules.needles is
  'Texts in lower case of which everything that the pattern matches contains one, so that the pattern is not even tried on other text. Empty tries it on every text of every event, which costs time.';
comment on column public.error_masking_rules.replacement is 'What takes the place of matching text; \1 to \9 stand for groups of the pattern. Not used for keys.';
comment on column public.error_masking_rules.applied_order is
  'Patterns of kind value are applied in ascending order, so that a URL''s password goes before what looks like an address in it.';
comment on column public.error_masking_rules.note is 'What it is for.';
comment on column public.error_masking_rules.created_at is 'When it was added.';

insert into public.error_masking_rules (kind, pattern, replacement, note) values
  ('key_contains', 'password', '[masked]', 'password, db_password, passwordHash'),
  ('key_contains', 'passwd', '[masked]', ''), ('key_contains', 'passphrase', '[masked]', ''), ('key_contains', 'passcode', '[masked]', ''),
  ('key_contains', 'secret', '[masked]', 'client_secret, webhookSecret'),
  ('key_contains', 'apikey', '[masked]', 'api key, x-api-key'),
  ('key_contains', 'accesskey', '[masked]', ''),
  ('key_contains', 'authorization', '[masked]', 'also Proxy-Authorization'),
  ('key_contains', 'cookie', '[masked]', 'also Set-Cookie'),
  ('key_contains', 'privatekey', '[masked]', ''), ('key_contains', 'signingkey', '[masked]', ''), ('key_contains', 'encryptionkey', '[masked]', ''),
  ('key_contains', 'sessionkey', '[masked]', ''), ('key_contains', 'servicerolekey', '[masked]', ''),
  ('key_contains', 'credential', '[masked]', ''), ('key_contains', 'creditcard', '[masked]', ''), ('key_contains', 'cardnumber', '[masked]', ''),
  ('key_contains', 'securitycode', '[masked]', ''), ('key_contains', 'connectionstring', '[masked]', ''),
  ('key_contains', 'socialsecurity', '[masked]', ''),
  ('key_ends', 'token', '[masked]', 'token, access_token, csrfToken'),
  ('key_ends', 'tokens', '[masked]', ''), ('key_is', 'pwd', '[masked]', ''), ('key_is', 'pass', '[masked]', ''), ('key_is', 'auth', '[masked]', ''),
  ('key_is', 'bearer', '[masked]', ''), ('key_is', 'jwt', '[masked]', ''), ('key_is', 'session', '[masked]', ''),
  ('key_is', 'sessionid', '[masked]', ''), ('key_is', 'ssn', '[masked]', ''), ('key_is', 'cvv', '[masked]', ''), ('key_is', 'cvc', '[masked]', ''),
  ('key_is', 'otp', '[masked]', ''), ('key_is', 'pin', '[masked]', ''), ('key_is', 'iban', '[masked]', ''),
  ('key_is', 'databaseurl', '[masked]', ''),
  ('key_is', 'dsn', '[masked]', '')
on conflict (kind, pattern) do nothing;

insert into public.error_masking_rules (kind, applied_order, pattern, needles, replacement, note) values
  ('value', 10, '-----BEGIN [A-Z0-9 ]+?-----.*?-----END [A-Z0-9 ]+?-----', '{-----begin}', '[masked]', 'PEM blocks'),
  ('value', 11, '-----BEGIN [A-Z0-9 ]+-----.*', '{-----begin}', '[masked]', 'PEM blocks that were cut'),
  ('value', 20, '(\m[a-z][a-z0-9+.-]*://)(?![^\s/?#"'']*\[masked\]@)[^\s/?#"'']+@', '{@}', '\1[masked]@', 'credentials in a URL'),
  -- A colon and a port are no password, so that http://localhost:5173/@vite/client stays.
  ('value', 21, '(\m[a-z][a-z0-9+.-]*://[^\s/@:"'']*):(?!\d{1,5}/)[^\s"'']+@', '{@}', '\1:[masked]@', 'passwords with a slash in a URL'),
  ('value', 30, '(authorization\\*["'']?\s*[=:]\s*\\*["'']?)[^"''\r\n,;\\]+', '{authorization}', '\1[masked]', 'authorization headers'),
  ('value', 30, '(cookie\\*["'']?\s*[=:]\s*\\*["'']?)[^"''\r\n\\]+', '{cookie}', '\1[masked]', 'cookie headers'),
  ('value', 50, 'eyJ[a-z0-9_-]{5,}\.[a-z0-9_-]{5,}(\.[a-z0-9_-]*)?', '{eyj}', '[masked]', 'JSON web tokens'),
  ('value', 50, '\m(bearer|basic)\s+[a-z0-9._~+/=-]{8,}', '{bearer,basic}', '\1 [masked]', 'authorization schemes'),
  ('value', 50, 'sb_secret_[a-z0-9_-]{8,}', '{sb_secret_}', '[masked]', 'Supabase secret keys'),
  ('value', 50, 'sbp_[a-z0-9_]{20,}', '{sbp_}', '[masked]', 'Supabase access tokens'),
  ('value', 50, '(?c)(AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}', '{akia,asia,abia,acca}', '[masked]', 'AWS access keys'),
  ('value', 50, '(gh[pousr]_[a-z0-9]{20,}|github_pat_[a-z0-9_]{20,})', '{ghp_,gho_,ghu_,ghs_,ghr_,github_pat_}', '[masked]', 'GitHub tokens'),
  ('value', 50, 'glpat-[a-z0-9_-]{16,}', '{glpat-}', '[masked]', 'GitLab tokens'),
  ('value', 50, 'npm_[a-z0-9]{30,}', '{npm_}', '[masked]', 'npm tokens'),
  ('value', 50, '(xox[a-z]-|xapp-)[a-z0-9-]{8,}', '{xox,xapp-}', '[masked]', 'Slack tokens'),
  ('value', 50, 'hooks\.slack\.com/[a-z]+/[a-z0-9/_-]+', '{hooks.slack}', 'hooks.slack.com/[masked]', 'Slack webhook addresses'),
  ('value', 50, '([srp]k_(live|test)_[a-z0-9]{8,}|whsec_[a-z0-9+/=]{8,})', '{k_live_,k_test_,whsec_}', '[masked]', 'Stripe and webhook keys'),
  ('value', 50, '\msk-[a-z0-9_-]{20,}', '{sk-}', '[masked]', 'AI provider keys'),
  ('value', 50, 'AIza[0-9a-z_-]{30,}', '{aiza}', '[masked]', 'Google API keys'),
  -- The last label has no digit, so that package@1.2.3 stays.
  ('value', 90, '[^\s@"''<>()\[\],;:/\\|=]+@([^\s@"''<>()\[\],;:/\\|=.]+\.)+[^\s@"''<>()\[\],;:/\\|=.0-9_-]{2,}', '{@}', '[masked]', 'e-mail addresses'),
  ('value', 95, '(pass(?:word|wd|phrase|code)[a-z0-9_-]*\\*["'']?\s*[=:]\s*)(?!\[masked\])(\\*"[^"]*("|$)|\\*''[^'']*(''|$)|[^\s"'',;&]+)', '{pass}', '\1[masked]', 'password=… in text'),
  ('value', 95, '(secret[a-z0-9_-]*\\*["'']?\s*[=:]\s*)(?!\[masked\])(\\*"[^"]*("|$)|\\*''[^'']*(''|$)|[^\s"'',;&]+)', '{secret}', '\1[masked]', 'secret=… in text'),
  ('value', 95, '(token\\*["'']?\s*[=:]\s*)(?!\[masked\])(\\*"[^"]*("|$)|\\*''[^'']*(''|$)|[^\s"'',;&]+)', '{token}', '\1[masked]', 'token=… in text'),
  ('value', 95, '(api[_ -]?key\\*["'']?\s*[=:]\s*)(?!\[masked\])(\\*"[^"]*("|$)|\\*''[^'']*(''|$)|[^\s"'',;&]+)', '{apikey,api_key,api-key,"api key"}', '\1[masked]', 'api_key=… in text')
on conflict (kind, pattern) do nothing;

-- The rules as the insert trigger wants them: one row, rebuilt whenever a rule changes.
create table if not exists error_tracking.masking (
  only_row boolean primary key default true check (only_row),
  guard text not null,
  raw_guard text not null,
  key_pattern text not null,
  needles text[] not null,
  patterns text[] not null,
  replacements text[] not null,
  check_keys boolean not null default true,
  check_values boolean not null default true,
  check_cards boolean not null default true
);
comment on table error_tracking.masking is 'error_masking_rules compiled: one row that the insert trigger reads.';
comment on column error_tracking.masking.only_row is 'Always true: there is one row.';
comment on column error_tracking.masking.guard is
  'Matches every normalised document or text that may hold something sensitive but for what raw_guard is for; may match others too.';
comment on column error_tracking.masking.raw_guard is 'The same in lower case only, for needles of which normalising leaves too little, as of "sk-".';
comment on column error_tracking.masking.key_pattern is 'Matches a normalised key, written as "key":, that is sensitive.';
comment on column error_tracking.masking.needles is 'What a text must contain for the pattern at the same place to be tried; empty for always.';
comment on column error_tracking.masking.patterns is 'Regular expressions of kind value, in the order in which they are applied.';
comment on column error_tracking.masking.replacements is 'What takes the place of each pattern''s matches.';
comment on column error_tracking.masking.check_keys is 'Whether keys are looked at; the trigger switches off what a document cannot need.';
comment on column error_tracking.masking.check_values is 'Whether patterns are tried.';
comment on column error_tracking.masking.check_cards is 'Whether card numbers are looked for.';

-- These functions run inside the insert trigger, whose search_path is empty, and name every schema;
-- setting the path again for each call would cost more than the work. All text is compared by the
-- rules of collation C, so that every server masks the same. They are declared as cheap so that
-- PostgreSQL keeps one plan for the walk, which takes less time than to plan it for each container.

create or replace function error_tracking.normal_text(value text) returns text
language sql immutable strict as
$$ select replace(replace(replace(replace(lower(value collate "C"), '_', ''), '-', ''), '.', ''), ' ', '') $$;
comment on function error_tracking.normal_text(text) is 'A key, text or document in lower case without "_", "-", "." and blanks.';

create or replace function error_tracking.any_of(words text[]) returns text
language sql immutable strict set search_path = '' as
$$
  -- Words with a common beginning share it, as in a(pi|ccess)key: the fewer ways there are to begin, the
  -- faster PostgreSQL finds that there is none (38 instead of 98 µs for a document in a trial).
  select string_agg(
      regexp_replace(first, '([^a-z0-9])', '\\\1') || case
        when ends then ''
        when cardinality(rests) = 1 then regexp_replace(rests[1], '([^a-z0-9])', '\\\1', 'g')
        else '(' || error_tracking.any_of(rests) || ')' end, '|' order by first)
    from (
      select left(word, 1) as first, bool_or(length(word) = 1) as ends, array_agg(substr(word, 2) order by word) as rests
        from (select distinct unnest(words) collate "C" as word) as words where word <> ''
       group by 1
    ) as branches
$$;
comment on function error_tracking.any_of(text[]) is 'A regular expression that matches a text that contains one of the words; null for no words.';

create or replace function error_tracking.compile_masking() returns void
language sql security definer set search_path = '' as
$$
  with keys as (
    -- In jsonb's text form a key stands between '"' and '":', which is enough to anchor the stricter kinds.
    select case kind when 'key_contains' then pattern when 'key_ends' then pattern || '":'
           else '"' || pattern || '":' end as word
      from public.error_masking_rules where kind <> 'value'
  ), texts as (
    select r.applied_order, r.note, r.pattern, r.replacement, coalesce(n.needle, '') as needle,
        -- A needle that is hardly longer than a syllable without its "_" or "-" would be found everywhere.
        n.needle ~ '[-_. ]' and length(error_tracking.normal_text(n.needle)) <= 3 as raw
      from public.error_masking_rules r left join lateral unnest(r.needles) as n (needle) on true
     where r.kind = 'value'
  )
  insert into error_tracking.masking (only_row, guard, raw_guard, key_pattern, needles, patterns, replacements)
  select true,
    case when bool_or(needle = '') then ''
      -- 13 digits and more may be a card number, which is decided by its check digit and not by a pattern.
      else coalesce(error_tracking.any_of((select array_agg(word) from keys)
        || array_agg(error_tracking.normal_text(needle)) filter (where not raw)) || '|', '') || '[2-6][0-9]{12}' end,
    coalesce(error_tracking.any_of(array_agg(needle) filter (where raw)), '$^'),
    coalesce(error_tracking.any_of((select array_agg(word) from keys)), '$^'),
    coalesce(array_agg(needle order by applied_order, note, pattern, needle), '{}'),
    coalesce(array_agg(pattern order by applied_order, note, pattern, needle), '{}'),
    coalesce(array_agg(replacement order by applied_order, note, pattern, needle), '{}')
  from texts
  on conflict (only_row) do update set guard = excluded.guard, raw_guard = excluded.raw_guard,
    key_pattern = excluded.key_pattern, needles = excluded.needles, patterns = excluded.patterns,
    replacements = excluded.replacements
$$;
comment on function error_tracking.compile_masking() is 'Rebuilds error_tracking.masking from error_masking_rules.';

create or replace function error_tracking.masking_rules_changed() returns trigger
language plpgsql security definer set search_path = '' as
$$
begin
  if tg_level = 'ROW' then
    if new.kind = 'value' then
      -- A pattern that does not compile would make every later insert fail.
      begin
        perform regexp_replace('', new.pattern, new.replacement, 'gi');
      exception when invalid_regular_expression then
        raise exception 'pattern: %', sqlerrm using errcode = '2201B', column = 'pattern';
      end;
      if '' ~* new.pattern then
        raise exception 'pattern: must not match an empty text' using errcode = '23514', column = 'pattern';
      end if;
    end if;
    return new;
  end if;
  perform error_tracking.compile_masking();
  return null;
end $$;
comment on function error_tracking.masking_rules_changed() is 'Refuses a pattern that is no regular expression, then recompiles.';

drop trigger if exists check_pattern on public.error_masking_rules;
create trigger check_pattern before insert or update on public.error_masking_rules
  for each row execute function error_tracking.masking_rules_changed();
drop trigger if exists compile on public.error_masking_rules;
create trigger compile after insert or update or delete on public.error_masking_rules
  for each statement execute function error_tracking.masking_rules_changed();
select error_tracking.compile_masking();

-- Text ------------------------------------------------------------------------------------------

create or replace function error_tracking.may_be_sensitive(value text, rules error_tracking.masking) returns boolean
language sql immutable cost 1 as
$$ select error_tracking.normal_text(value) collate "C" ~ rules.guard or lower(value collate "C") ~ rules.raw_guard $$;
comment on function error_tracking.may_be_sensitive(text, error_tracking.masking) is
  'False for text, or a document''s text, in which nothing can be sensitive; far cheaper than to look closely.';

create or replace function error_tracking.is_card_number(digits text) returns boolean
language plpgsql immutable strict cost 1 as
$$
declare
  total int := 0;
  digit int;
begin
  -- Issuers' numbers begin with 2 to 6, which keeps times in milliseconds out of it; the check digit
  -- is that of ISO/IEC 7812-1, annex B, where every second digit from the right is doubled.
  if digits !~ '^[2-6][0-9]{12,18}$' then
    return false;
  end if;
  for place in 1 .. length(digits) loop
    digit := substr(digits, length(digits) - place + 1, 1);
    total := total + case when place % 2 = 1 then digit when digit > 4 then 2 * digit - 9 else 2 * digit end;
  end loop;
  return total % 10 = 0;
end $$;
comment on function error_tracking.is_card_number(text) is 'Whether a row of digits has the length and check digit of a payment card.';

create or replace function error_tracking.mask_text(value text, rules error_tracking.masking) returns text
language plpgsql stable cost 1 as
$$
declare
  result text collate "C" := value;
  lowered text collate "C" := lower(value collate "C");
  candidate text;
begin
  if rules.check_values then
    for i in 1 .. cardinality(rules.needles) loop
      -- Looked for in what was given: a replacement never makes a later pattern unnecessary.
      if strpos(lowered, rules.needles[i]) > 0 then
        result := regexp_replace(result, rules.patterns[i], rules.replacements[i], 'gi');
      end if;
    end loop;
  end if;
  if rules.check_cards and lowered ~ '[2-6]([ -]?[0-9]){12}' then
    -- In one piece, or in the groups that are printed on cards; ids in other groups are none.
    for candidate in
      select m[1] from regexp_matches(result,
        '(?<![0-9a-z]|[0-9]\.)([2-6][0-9]{12,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){2,3}(?:[ -][0-9]{1,4})?|[2-6][0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![0-9a-z])',
        'gi') as m
    loop
      if error_tracking.is_card_number(translate(candidate, ' -', '')) then
        result := replace(result, candidate, '[masked]');
      end if;
    end loop;
  end if;
  return result;
end $$;
comment on function error_tracking.mask_text(text, error_tracking.masking) is 'A text without its sensitive parts.';

create or replace function error_tracking.mask_start(value text, length int, rules error_tracking.masking) returns text
language plpgsql stable cost 1 as
$$
begin
  if length(value) <= 8192 then
    return left(error_tracking.mask_text(value, rules), mask_start.length);
  end if;
  -- Masked before it is cut, as half a secret would not be recognised; so what stands at the
  -- provisional end, which may be half a secret, goes.
  return left(left(error_tracking.mask_text(left(value, 8192), rules), -200), mask_start.length);
end $$;
comment on function error_tracking.mask_start(text, int, error_tracking.masking) is 'The first characters of a text without its sensitive parts.';

-- Documents -------------------------------------------------------------------------------------

create or replace function error_tracking.mask_document(document jsonb, rules error_tracking.masking, depth int default 0)
returns jsonb language plpgsql stable cost 1 as
$$
declare
  masked constant jsonb := '"[masked]"';
  result jsonb;
begin
  -- Nobody reads deeper than this, and a hostile document must not exhaust the stack.
  if depth >= 24 then
    return '"[masked: nested too deep]"';
  end if;
  if jsonb_typeof(document) = 'object' then
    select jsonb_object_agg(
        case when rules.check_values or rules.check_cards then error_tracking.mask_text(key, rules) else key end,
        case
          when value = 'null' or value = '""' then value
          when rules.check_keys and '"' || error_tracking.normal_text(key) || '":' ~ rules.key_pattern then masked
          else case jsonb_typeof(value)
            when 'string' then case when rules.check_values or rules.check_cards
              then to_jsonb(error_tracking.mask_text(value #>> '{}', rules)) else value end
            when 'number' then case when rules.check_cards and error_tracking.is_card_number(value::text)
              then masked else value end
            when 'boolean' then value
            else case when error_tracking.may_be_sensitive(value::text, rules)
              then error_tracking.mask_document(value, rules, depth + 1) else value end end
        end)
      into result from jsonb_each(document);
    return coalesce(result, '{}');
  end if;
  select jsonb_agg(case jsonb_typeof(value)
        when 'string' then case when rules.check_values or rules.check_cards
          then to_jsonb(error_tracking.mask_text(value #>> '{}', rules)) else value end
        when 'number' then case when rules.check_cards and error_tracking.is_card_number(value::text)
          then masked else value end
        when 'boolean' then value
        when 'null' then value
        else case when error_tracking.may_be_sensitive(value::text, rules)
          then error_tracking.mask_document(value, rules, depth + 1) else value end end order by position)
    into result from jsonb_array_elements(document) with ordinality as element (value, position);
  return coalesce(result, '[]');
end $$;
comment on function error_tracking.mask_document(jsonb, error_tracking.masking, int) is
  'An object or array without its sensitive parts: values of sensitive keys at any depth, and sensitive texts anywhere.';

create or replace function error_tracking.mask_metadata(metadata jsonb, rules error_tracking.masking) returns jsonb
language plpgsql stable cost 1 as
$$
declare
  document constant text := metadata::text;
  lowered constant text collate "C" := lower(document collate "C");
  narrowed error_tracking.masking := rules;
  needle text;
  i int := 0;
begin
  -- Most documents hold nothing sensitive. What the guards look for is spelt the same in JSON as in the
  -- text it stands for, so escapes cannot hide it.
  if not error_tracking.may_be_sensitive(document, rules) then
    return metadata;
  end if;
  narrowed.check_keys := error_tracking.normal_text(document) ~ rules.key_pattern;
  narrowed.check_cards := lowered ~ '[2-6]([ -]?[0-9]){12}';
  narrowed.needles := '{}';
  narrowed.patterns := '{}';
  narrowed.replacements := '{}';
  foreach needle in array rules.needles loop
    i := i + 1;
    if strpos(lowered, needle) > 0 then
      narrowed.needles := narrowed.needles || needle;
      narrowed.patterns := narrowed.patterns || rules.patterns[i];
      narrowed.replacements := narrowed.replacements || rules.replacements[i];
    end if;
  end loop;
  narrowed.check_values := cardinality(narrowed.needles) > 0;
  if narrowed.check_keys or narrowed.check_values or narrowed.check_cards then
    return error_tracking.mask_document(metadata, narrowed);
  end if;
  return metadata;
end $$;
comment on function error_tracking.mask_metadata(jsonb, error_tracking.masking) is 'Masked metadata; documents that hold nothing sensitive come back at once.';

create or replace function error_tracking.bound_metadata(metadata jsonb, bytes int, rules error_tracking.masking) returns jsonb
language plpgsql stable cost 1 as
$$
declare
  result jsonb;
  -- Characters of a key and of a text; the second pair is for text that takes many bytes a character.
  limits constant int[] := array[[100, 400], [60, 50]];
begin
  for i in 1 .. 2 loop
    select coalesce(jsonb_object_agg(error_tracking.mask_start(key, limits[i][1], rules), case
          when '"' || error_tracking.normal_text(key) || '":' ~ rules.key_pattern then '"[masked]"'::jsonb
          when octet_length(value::text) <= limits[i][2] then value
          when jsonb_typeof(value) = 'string'
            then to_jsonb(error_tracking.mask_start(value #>> '{}', limits[i][2], rules) || '…')
          else to_jsonb('[cut: ' || octet_length(value::text) || ' bytes]') end), '{}')
        || jsonb_build_object('_tracker', jsonb_build_object('cut_from_bytes', bytes))
      into result
      from (select key, value from jsonb_each(metadata) order by key collate "C" limit 40) as first_keys;
    exit when octet_length(result::text) <= 32768;
  end loop;
  return result;
end $$;
comment on function error_tracking.bound_metadata(jsonb, int, error_tracking.masking) is
  'Metadata of so many bytes as a summary of its first 40 keys, marked by _tracker.cut_from_bytes.';

revoke all on all functions in schema error_tracking from public;

alter table public.error_masking_rules enable row level security;
revoke all on public.error_masking_rules from public, anon, authenticated, error_reporter, error_daemon;
grant select, insert, update, delete on public.error_masking_rules to authenticated, service_role;
drop policy if exists tracker_admin on public.error_masking_rules;
create policy tracker_admin on public.error_masking_rules for all to authenticated
  using ((select error_tracking.may_globally('admin')))
  with check ((select error_tracking.may_globally('admin')));

commit;
