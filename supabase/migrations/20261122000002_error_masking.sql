-- Error tracking: masking. Whoever writes an error event, the database masks it.

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
  'Texts in lower case of which everything that the pattern matches contains one, so that the pattern is not even tried on other text; % stands for any text, and what follows the last % should be rare. Empty tries it on every text of every event, which costs time.';
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
  ('value', 20, '(\m[a-z][a-z0-9+.-]*://)(?![^\s/?#"'']*\[masked\]@)[^\s/?#"'']+@', '{://%@}', '\1[masked]@', 'credentials in a URL'),
  -- A colon and a port are no password, so that http://localhost:5173/@vite/client stays.
  ('value', 21, '(\m[a-z][a-z0-9+.-]*://[^\s/@:"'']*):(?!\d{1,5}/)[^\s"'']+@', '{://%@}', '\1:[masked]@', 'passwords with a slash in a URL'),
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
  key_words text[] not null,
  harmless_keys text[] not null,
  words text[] not null,
  needles text[] not null,
  patterns text[] not null,
  replacements text[] not null
);
comment on table error_tracking.masking is 'error_masking_rules compiled: one row that the insert trigger reads.';
comment on column error_tracking.masking.only_row is 'Always true: there is one row.';
comment on column error_tracking.masking.key_words is
  'One of these is in every sensitive key that is normalised and written as "key":, and so in every normalised document with one.';
comment on column error_tracking.masking.harmless_keys is
  'Keys that masking leaves as they are, so that a member like "password": "[masked]" is sure to come out as it went in.';
comment on column error_tracking.masking.words is 'The rare part of the needle at the same place.';
comment on column error_tracking.masking.needles is
  'A pattern of like that a text in lower case must match for the regular expression at the same place to be tried.';
comment on column error_tracking.masking.patterns is 'Regular expressions of kind value, in the order in which they are applied.';
comment on column error_tracking.masking.replacements is 'What takes the place of each pattern''s matches.';
-- The row is read with every event: kept in one piece and as it is, it need not be put together and unpacked.
alter table error_tracking.masking set (toast_tuple_target = 8160);
alter table error_tracking.masking
  alter key_words set storage external, alter harmless_keys set storage external,
  alter words set storage external, alter needles set storage external,
  alter patterns set storage external, alter replacements set storage external;

-- Events ----------------------------------------------------------------------------------------
-- As all that the insert trigger calls, these take its empty search_path; see error_masking_functions.

-- These are written by error_tracking.compile_masking: they become a part of the expression that calls
-- them, so that nothing has to be read to see that an event is harmless.
create or replace function error_tracking.is_suspect(lowered text) returns boolean language sql immutable as $$ select true $$;
comment on function error_tracking.is_suspect(text) is 'Whether a text in lower case may hold something sensitive.';
create or replace function error_tracking.is_harmless(key text) returns boolean language sql immutable as $$ select false $$;
comment on function error_tracking.is_harmless(text) is
  'Whether masking leaves a key as it is, so that a member like "password": "[masked]" is sure to come out as it went in.';

create or replace function error_tracking.keys_in(normal text) returns int[] language sql immutable as $$ select '{}'::int[] $$;
comment on function error_tracking.keys_in(text) is 'Places in masking.key_words of the words that a normalised document has.';
create or replace function error_tracking.words_in(lowered text) returns int[] language sql immutable as $$ select '{}'::int[] $$;
comment on function error_tracking.words_in(text) is 'Places in masking.words of the words that a text in lower case has.';

create or replace function error_tracking.places_of(words text[], given text, but text[] default '{}') returns text
language sql immutable set search_path = '' as
$$
  select 'pg_catalog.array_remove(array[' || coalesce(string_agg(
      format('case when pg_catalog.strpos(%I, %L) > 0 then %s end', given, word, place), ', ' order by place), '') || ']::int[], null)'
    from unnest(words) with ordinality as w (word, place) where word <> all (but)
$$;
comment on function error_tracking.places_of(text[], text, text[]) is
  'An expression for the places of those words, but for some, that the given variable has.';

create or replace function error_tracking.without_masked(document text) returns text
language plpgsql stable as
$$
declare
  -- In jsonb's text form '": "[masked]"' is the end of a key and its whole value, and '{"' or ' "' the
  -- beginning of a key: within a text or key a backslash is before the quotation mark.
  parts constant text[] := string_to_array(document, '": "[masked]"');
  result text := '';
  part text;
  key text;
begin
  for i in 1 .. cardinality(parts) - 1 loop
    part := parts[i];
    key := split_part(right(part, 41), '"', -1);
    if error_tracking.is_harmless(key) and right(part, length(key) + 2) in ('{"' || key, ' "' || key) then
      result := result || left(part, -1 - length(key));
    else
      result := result || part || '": "[masked]"';
    end if;
  end loop;
  return result || parts[cardinality(parts)];
end $$;
comment on function error_tracking.without_masked(text) is
  'The text of a document without members that are masked already and certain to stay as they are; to look through, no JSON any more.';

create or replace function error_tracking.to_look_through(document text, message text) returns text
language sql stable as
$$
  -- Reporters mask before they send, which should not make every event one to look at closely. What is looked
  -- for is spelt the same in JSON as in the text it stands for, so escapes cannot hide it.
  select lower((case when strpos(document, '": "[masked]"') > 0 then error_tracking.without_masked(document) else document end
    || chr(10) || message) collate "C")
$$;
comment on function error_tracking.to_look_through(text, text) is
  'The text of a document and a message in lower case, without what is masked already.';

create or replace function error_tracking.mask_event(inout metadata jsonb, inout message text, document text, lowered text)
language plpgsql stable cost 1 set plan_cache_mode = force_generic_plan as
$$
declare
  low_document constant text collate "C" := lower(document collate "C");
  normal constant text collate "C" := error_tracking.normal_text(low_document);
  cards constant boolean := lowered ~ '[2-6](?:[ -]?[0-9]){12}';
  rules error_tracking.masking;
  place int;
  key_words text[] := '{}';
  keys text[] := '{}';
  words text[] := '{}';
  needles text[] := '{}';
  patterns text[] := '{}';
  replacements text[] := '{}';
  became jsonb;
begin
  -- Few events hold more than one or two kinds of what is looked for: the rest is left out.
  select * into rules from error_tracking.masking;
  foreach place in array error_tracking.keys_in(normal) loop
    key_words := key_words || rules.key_words[place];
    keys := keys || ('%' || rules.key_words[place] || '%');
  end loop;
  foreach place in array error_tracking.words_in(lowered) loop
    words := words || rules.words[place];
    needles := needles || rules.needles[place];
    patterns := patterns || rules.patterns[place];
    replacements := replacements || rules.replacements[place];
  end loop;
  if keys <> '{}' or needles <> '{}' or cards then
    if not (cards or '' = any (words) or metadata @? 'strict $.**{24}') then
      became := error_tracking.mask_members(document, low_document, normal, key_words, keys, words, needles, patterns, replacements);
    end if;
    metadata := coalesce(became, error_tracking.mask_document(metadata, keys, needles, patterns, replacements, cards));
  end if;
  if needles <> '{}' or cards then
    message := error_tracking.mask_start(message, 2000, needles, patterns, replacements, cards);
  end if;
end $$;
comment on function error_tracking.mask_event(jsonb, text, text, text) is
  'Metadata and message without their sensitive parts, given with the text of the metadata and what to_look_through made of both.';

create or replace function error_tracking.mask_metadata(metadata jsonb) returns jsonb
language plpgsql stable as
$$
declare
  lowered constant text collate "C" := error_tracking.to_look_through(metadata::text, '');
begin
  return case when error_tracking.is_suspect(lowered)
    then (error_tracking.mask_event(metadata, '', metadata::text, lowered)).metadata else metadata end;
end $$;
comment on function error_tracking.mask_metadata(jsonb) is 'Masked metadata, to try rules.';

create or replace function error_tracking.bound_metadata(metadata jsonb, bytes int) returns jsonb
language plpgsql stable cost 1 as
$$
declare
  rules error_tracking.masking;
  keys text[];
  result jsonb;
  -- Characters of a key and of a text; the second pair is for text that takes many bytes a character.
  limits constant int[] := array[[100, 400], [60, 50]];
begin
  select * into rules from error_tracking.masking;
  keys := array(select '%' || word || '%' from unnest(rules.key_words) as word);
  for i in 1 .. 2 loop
    select coalesce(jsonb_object_agg(
          error_tracking.mask_start(key, limits[i][1], rules.needles, rules.patterns, rules.replacements, true), case
          when '"' || error_tracking.normal_text(key) || '":' like any (keys) then '"[masked]"'::jsonb
          when octet_length(value::text) <= limits[i][2] then value
          when jsonb_typeof(value) = 'string'
            then to_jsonb(error_tracking.mask_start(
              value #>> '{}', limits[i][2], rules.needles, rules.patterns, rules.replacements, true) || '…')
          else to_jsonb('[cut: ' || octet_length(value::text) || ' bytes]') end), '{}')
        || jsonb_build_object('_tracker', jsonb_build_object('cut_from_bytes', bytes))
      into result
      from (select key, value from jsonb_each(metadata) order by key collate "C" limit 40) as first_keys;
    exit when octet_length(result::text) <= 32768;
  end loop;
  return result;
end $$;
comment on function error_tracking.bound_metadata(jsonb, int) is
  'Metadata of so many bytes as a summary of its first 40 keys, marked by _tracker.cut_from_bytes.';

-- The rules, compiled -----------------------------------------------------------------------------

create or replace function error_tracking.compile_masking() returns void
language plpgsql security definer set search_path = '' as
$$
declare
  rules error_tracking.masking;
  -- What a key may have between the letters of a word.
  gap constant text := '[-_. ]*';
  rare text[];
begin
  -- Whoever changes rules at the same time is waited for, so that theirs are read below.
  perform from error_tracking.masking for update;
  select true,
    -- In jsonb's text form a key stands between '"' and '":', which is enough to anchor the stricter kinds.
    (select coalesce(array_agg(key order by key collate "C"), '{}')
       from (select case kind when 'key_contains' then pattern when 'key_ends' then pattern || '":' else '"' || pattern || '":' end as key
               from public.error_masking_rules where kind <> 'value') as keys),
    '{}', coalesce(array_agg(word order by applied_order, note, pattern, needle), '{}'),
    -- In a pattern of like "_" stands for any character, which tries some expressions in vain and misses none.
    coalesce(array_agg('%' || needle || '%' order by applied_order, note, pattern, needle), '{}'),
    coalesce(array_agg(pattern order by applied_order, note, pattern, needle), '{}'),
    coalesce(array_agg(replacement order by applied_order, note, pattern, needle), '{}')
  into rules
  from (
    select r.applied_order, r.note, r.pattern, r.replacement, coalesce(n.needle, '') as needle,
        regexp_replace(coalesce(n.needle, ''), '^.*%', '') as word
      from public.error_masking_rules r left join lateral unnest(r.needles) as n (needle) on true
     where r.kind = 'value'
  ) as t;

  -- What reporters masked already is certain to come out as it went in if no rule touches the key or the mask.
  if error_tracking.mask_text('[masked]', rules.needles, rules.patterns, rules.replacements, true) = '[masked]' then
    rules.harmless_keys := array(
      select distinct key collate "C" as key
        from (
          select pattern as word from public.error_masking_rules where kind <> 'value'
          union all select unnest(array['access_token', 'accessToken', 'refresh_token', 'refreshToken', 'id_token', 'auth_token',
            'csrf_token', 'x-csrf-token', 'x-auth-token', 'api_key', 'apiKey', 'api-key', 'x-api-key', 'client_secret',
            'clientSecret', 'webhook_secret', 'private_key', 'privateKey', 'set-cookie', 'proxy-authorization',
            'database_url', 'session_id', 'db_password', 'service_role_key', 'access_key', 'signing_key'])
        ) as words, lateral unnest(array[word, initcap(word)]) as key
       where length(key) <= 40
         and error_tracking.mask_text(key, rules.needles, rules.patterns, rules.replacements, true) = key
       order by key);
  end if;
  insert into error_tracking.masking select rules.*
  on conflict (only_row) do update set key_words = excluded.key_words, harmless_keys = excluded.harmless_keys,
    words = excluded.words, needles = excluded.needles, patterns = excluded.patterns, replacements = excluded.replacements;

  -- Two expressions of few states each take half the time of one. Keys that a quotation mark begins are with the digits.
  execute format(
    'create or replace function error_tracking.is_suspect(lowered text) returns boolean language sql immutable as %L',
    case when '' = any (rules.words) then 'select true' else 'select ' || concat_ws(' or ',
      'lowered operator(pg_catalog.~) ' || quote_literal(error_tracking.any_of(error_tracking.telling_parts(rules.words
        || array(select w from unnest(rules.key_words) as w where w not like '"%')), gap)),
      -- 13 digits and more may be a card number, which is decided by its check digit and not by a pattern.
      'lowered operator(pg_catalog.~) ' || quote_literal(concat_ws('|', '[2-6](?:[ -]?[0-9]){12}',
        error_tracking.any_of(array(select w from unnest(rules.key_words) as w where w like '"%'), gap)))) end);
  execute format('create or replace function error_tracking.keys_in(normal text) returns int[] language sql immutable as %L',
    'select ' || error_tracking.places_of(rules.key_words, 'normal'));
  -- Short words take long to look for one by one, so that those which are rare are looked for together first.
  rare := array(select w from unnest(rules.words) as w where length(w) between 2 and 4 and not error_tracking.is_common(w));
  execute format('create or replace function error_tracking.words_in(lowered text) returns int[] language sql immutable as %L',
    format('select case when lowered operator(pg_catalog.~) %L then %s else %s end', coalesce(error_tracking.any_of(rare, ''), '$^'),
      error_tracking.places_of(rules.words, 'lowered'), error_tracking.places_of(rules.words, 'lowered', rare)));
  execute format(
    'create or replace function error_tracking.is_harmless(key text) returns boolean language sql immutable as %L',
    format('select key operator(pg_catalog.=) any (%L::pg_catalog.text[])', rules.harmless_keys));
end $$;
comment on function error_tracking.compile_masking() is
  'Rebuilds error_tracking.masking, is_suspect, keys_in, words_in and is_harmless from error_masking_rules.';

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

revoke all on all functions in schema error_tracking from public;

alter table public.error_masking_rules enable row level security;
revoke all on public.error_masking_rules from public, anon, authenticated, error_reporter, error_daemon;
grant select, insert, update, delete on public.error_masking_rules to authenticated, service_role;
drop policy if exists tracker_admin on public.error_masking_rules;
create policy tracker_admin on public.error_masking_rules for all to authenticated
  using ((select error_tracking.may_globally('admin')))
  with check ((select error_tracking.may_globally('admin')));

commit;
