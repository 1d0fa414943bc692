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
  guard text not null,
  raw_guard text not null,
  key_words text[] not null,
  harmless_keys text[] not null,
  words text[] not null,
  needles text[] not null,
  patterns text[] not null,
  replacements text[] not null
);
comment on table error_tracking.masking is 'error_masking_rules compiled: one row that the insert trigger reads.';
comment on column error_tracking.masking.only_row is 'Always true: there is one row.';
comment on column error_tracking.masking.guard is
  'Matches every normalised document or text that may hold something sensitive but for what raw_guard is for; may match others too.';
comment on column error_tracking.masking.raw_guard is 'The same in lower case only, for needles of which normalising leaves too little, as of "sk-".';
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
  alter guard set storage external, alter raw_guard set storage external, alter key_words set storage external,
  alter harmless_keys set storage external, alter words set storage external, alter needles set storage external,
  alter patterns set storage external, alter replacements set storage external;

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

-- Text ------------------------------------------------------------------------------------------

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

create or replace function error_tracking.mask_text(
  value text, needles text[], patterns text[], replacements text[], cards boolean) returns text
language plpgsql stable cost 1 as
$$
declare
  result text collate "C" := value;
  lowered text collate "C" := lower(value collate "C");
  candidate text;
begin
  for i in 1 .. cardinality(needles) loop
    -- Looked for in what was given: a replacement never makes a later pattern unnecessary.
    if lowered like needles[i] then
      result := regexp_replace(result, patterns[i], replacements[i], 'gi');
    end if;
  end loop;
  if cards and lowered ~ '[2-6]([ -]?[0-9]){12}' then
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
comment on function error_tracking.mask_text(text, text[], text[], text[], boolean) is
  'A text without what the patterns match whose needles it has, and, if so told, without card numbers.';

create or replace function error_tracking.mask_start(
  value text, length int, needles text[], patterns text[], replacements text[], cards boolean) returns text
language plpgsql stable cost 1 as
$$
begin
  if length(value) <= 8192 then
    return left(error_tracking.mask_text(value, needles, patterns, replacements, cards), mask_start.length);
  end if;
  -- Masked before it is cut, as half a secret would not be recognised; so what stands at the
  -- provisional end, which may be half a secret, goes.
  return left(left(error_tracking.mask_text(left(value, 8192), needles, patterns, replacements, cards), -200),
    mask_start.length);
end $$;
comment on function error_tracking.mask_start(text, int, text[], text[], text[], boolean) is
  'The first characters of a text without its sensitive parts.';

-- Documents -------------------------------------------------------------------------------------

create or replace function error_tracking.mask_document(document jsonb, keys text[],
  needles text[], patterns text[], replacements text[], cards boolean, depth int default 0) returns jsonb
language plpgsql stable cost 1 as
$$
declare
  masked constant jsonb := '"[masked]"';
  is_object constant boolean := jsonb_typeof(document) = 'object';
  kind text;
  place text;
  item jsonb;
  became jsonb;
  name text;
begin
  -- Nobody reads deeper than this, and a hostile document must not exhaust the stack.
  if depth >= 24 then
    return '"[masked: nested too deep]"';
  end if;
  -- Members that have none of what is looked for stay as they are; the others are few.
  for place, item in
    select m.place, m.item
      from (
        select e.key as place, e.value as item, lower('"' || e.key || '":' || e.value::text collate "C") as entry
          from jsonb_each(case when is_object then document else '{}' end) as e
        union all
        select (e.position - 1)::text, e.value, lower(e.value::text collate "C")
          from jsonb_array_elements(case when is_object then '[]' else document end) with ordinality as e (value, position)
        offset 0
      ) as m
     where m.entry like any (needles) or error_tracking.normal_text(m.entry) like any (keys)
        or cards and m.entry ~ '[2-6]([ -]?[0-9]){12}'
  loop
    kind := jsonb_typeof(item);
    became := item;
    if is_object and kind <> 'null' and item <> '""'
      and '"' || error_tracking.normal_text(place) || '":' like any (keys) then
      became := masked;
    elsif kind = 'string' then
      became := to_jsonb(error_tracking.mask_text(item #>> '{}', needles, patterns, replacements, cards));
    elsif kind = 'number' then
      if cards and error_tracking.is_card_number(item::text) then
        became := masked;
      end if;
    elsif kind in ('object', 'array') then
      became := error_tracking.mask_document(item, keys, needles, patterns, replacements, cards, depth + 1);
    end if;
    name := case when is_object then error_tracking.mask_text(place, needles, patterns, replacements, cards) else place end;
    if name <> place then
      document := document - place || jsonb_build_object(name, became);
    elsif became <> item then
      document := jsonb_set(document, array[place], became);
    end if;
  end loop;
  return document;
end $$;
comment on function error_tracking.mask_document(jsonb, text[], text[], text[], text[], boolean, int) is
  'An object or array without its sensitive parts: values of sensitive keys at any depth, and sensitive texts anywhere. Keys and needles are patterns of like.';

create or replace function error_tracking.without_masked(document text) returns text
language sql stable as
$$
  -- In jsonb's text form '": "[masked]"' is the end of a key and its whole value, and '{"' or ' "' the
  -- beginning of a key: within a text or key a backslash is before the quotation mark.
  select string_agg(case when right(part, length(key) + 2) in ('{"' || key, ' "' || key) and key = any (harmless_keys)
      then left(part, -1 - length(key)) else part || '": "[masked]"' end, '' order by place)
    from (
      select part, place, split_part(right(part, 41), '"', -1) as key
        from unnest(string_to_array(document, '": "[masked]"')) with ordinality as parts (part, place) offset 0
    ) as parts, error_tracking.masking
$$;
comment on function error_tracking.without_masked(text) is
  'The text of a document without members that are masked already and certain to stay as they are; to look through, no JSON any more.';

create or replace function error_tracking.mask_event(inout metadata jsonb, inout message text, document text)
language plpgsql stable cost 1 as
$$
declare
  lowered text collate "C";
  normal text collate "C";
  is_suspect boolean;
  keys text[];
  needles text[];
  patterns text[];
  replacements text[];
  cards boolean;
begin
  -- Reporters mask before they send, which should not make every event one to look at closely.
  if strpos(document, '": "[masked]"') > 0 then
    document := error_tracking.without_masked(document);
  end if;
  -- What is looked for is spelt the same in JSON as in the text it stands for, so escapes cannot hide it.
  lowered := lower((document || chr(10) || message) collate "C");
  normal := error_tracking.normal_text(lowered);
  select normal ~ m.guard or lowered ~ m.raw_guard into is_suspect from error_tracking.masking as m;
  if is_suspect then
    -- Few events hold more than one or two kinds of what is looked for: the rest is left out.
    select array(select '%' || word || '%' from unnest(m.key_words) as word where strpos(normal, word) > 0),
        v.needles, v.patterns, v.replacements
      into keys, needles, patterns, replacements
      from error_tracking.masking as m, lateral (
        select coalesce(array_agg(m.needles[i]), '{}') as needles, coalesce(array_agg(m.patterns[i]), '{}') as patterns,
            coalesce(array_agg(m.replacements[i]), '{}') as replacements
          from (select i from unnest(m.words) with ordinality as w (word, i) where strpos(lowered, word) > 0 order by i) as found
      ) as v;
    cards := lowered ~ '[2-6]([ -]?[0-9]){12}';
    if keys <> '{}' or needles <> '{}' or cards then
      metadata := error_tracking.mask_document(metadata, keys, needles, patterns, replacements, cards);
    end if;
    if needles <> '{}' or cards then
      message := error_tracking.mask_start(message, 2000, needles, patterns, replacements, cards);
    end if;
  end if;
  -- A text as long as this is cut, before the message is made of it.
  if length(message) > 8192 then
    message := error_tracking.mask_start(message, 2000, '{}', '{}', '{}', false);
  end if;
end $$;
comment on function error_tracking.mask_event(jsonb, text, text) is
  'Metadata, given as its text besides, and message without their sensitive parts.';

create or replace function error_tracking.mask_metadata(metadata jsonb) returns jsonb
language sql stable as
$$ select m.metadata from error_tracking.mask_event(metadata, '', metadata::text) as m $$;
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
begin
  with keys as (
    -- In jsonb's text form a key stands between '"' and '":', which is enough to anchor the stricter kinds.
    select case kind when 'key_contains' then pattern when 'key_ends' then pattern || '":'
           else '"' || pattern || '":' end as word
      from public.error_masking_rules where kind <> 'value'
  ), texts as (
    select t.*, error_tracking.normal_text(word) as normal,
        -- A needle that is hardly longer than a syllable without its "_" or "-" would be found everywhere.
        word ~ '[-_. ]' and length(error_tracking.normal_text(word)) <= 3 as raw
      from (
        select r.applied_order, r.note, r.pattern, r.replacement, coalesce(n.needle, '') as needle,
            regexp_replace(coalesce(n.needle, ''), '^.*%', '') as word
          from public.error_masking_rules r left join lateral unnest(r.needles) as n (needle) on true
         where r.kind = 'value'
      ) as t
  )
  select true,
    case when bool_or(normal = '' and not raw) then ''
      -- 13 digits and more may be a card number, which is decided by its check digit and not by a pattern.
      else coalesce(error_tracking.any_of((select array_agg(word) from keys)
        || array_agg(normal) filter (where not raw)) || '|', '') || '[2-6][0-9]{12}' end,
    coalesce(error_tracking.any_of(array_agg(word) filter (where raw)), '$^'),
    array(select word from keys order by word collate "C"),
    '{}', coalesce(array_agg(word order by applied_order, note, pattern, needle), '{}'),
    -- In a pattern of like "_" stands for any character, which tries some expressions in vain and misses none.
    coalesce(array_agg('%' || needle || '%' order by applied_order, note, pattern, needle), '{}'),
    coalesce(array_agg(pattern order by applied_order, note, pattern, needle), '{}'),
    coalesce(array_agg(replacement order by applied_order, note, pattern, needle), '{}')
  into rules from texts;

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
  on conflict (only_row) do update set guard = excluded.guard, raw_guard = excluded.raw_guard,
    key_words = excluded.key_words, harmless_keys = excluded.harmless_keys, words = excluded.words, needles = excluded.needles,
    patterns = excluded.patterns, replacements = excluded.replacements;
end $$;
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

revoke all on all functions in schema error_tracking from public;

alter table public.error_masking_rules enable row level security;
revoke all on public.error_masking_rules from public, anon, authenticated, error_reporter, error_daemon;
grant select, insert, update, delete on public.error_masking_rules to authenticated, service_role;
drop policy if exists tracker_admin on public.error_masking_rules;
create policy tracker_admin on public.error_masking_rules for all to authenticated
  using ((select error_tracking.may_globally('admin')))
  with check ((select error_tracking.may_globally('admin')));

commit;
