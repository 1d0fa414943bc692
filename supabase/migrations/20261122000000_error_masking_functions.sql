-- Error tracking: how a text, and a JSON document, is looked through and masked. What counts as sensitive comes as
-- arguments and is in error_masking.

begin;

create schema if not exists error_tracking;

-- These functions run inside the insert trigger, whose search_path is empty, and name every schema;
-- setting the path again for each call would cost more than the work. All text is compared by the
-- rules of collation C, so that every server masks the same. They are declared as cheap so that
-- PostgreSQL keeps one plan for the walk, which takes less time than to plan it for each container.

create or replace function error_tracking.normal_text(value text) returns text
language sql immutable strict as
$$ select replace(replace(replace(replace(lower(value collate "C"), '_', ''), '-', ''), '.', ''), ' ', '') $$;
comment on function error_tracking.normal_text(text) is 'A key, text or document in lower case without "_", "-", "." and blanks.';

create or replace function error_tracking.any_of(words text[], gap text) returns text
language sql immutable strict set search_path = '' as
$$
  -- Words with a common beginning share it, as in a(pi|ccess)key, and beginnings with a common rest as well, as
  -- in gh[op]_: the fewer states, the faster PostgreSQL finds that there is none.
  select string_agg(firsts || case when rests = '{}' then '' else gap || '(?:' || error_tracking.any_of(rests, gap) || ')' end,
      '|' order by firsts collate "C")
    from (
      select '[' || string_agg(regexp_replace(first, '([^a-z0-9])', '\\\1'), '' order by first) || ']' as firsts, rests
        from (
          select left(word, 1) as first,
              case when bool_or(length(word) = 1) then '{}' else array_agg(substr(word, 2) order by word) end as rests
            from (select distinct unnest(words) collate "C" as word) as words where word <> ''
           group by 1
        ) as branches
       group by rests
    ) as branches
$$;
comment on function error_tracking.any_of(text[], text) is
  'A regular expression that matches a text that contains one of the words, with what matches the gap between their characters; null for no words.';

create or replace function error_tracking.common_text() returns text
language sql immutable as
$$ select 'unexpected token in json at position; broken pipe; duplicate key value violates unique constraint; foreign key; '
    'organization_id; created_at; created_by; keyword; idempotency_key; partition_key; public_key; connection refused; '
    'cannot read properties of undefined; node_modules; webpack internal; process task queue; next tick; stack trace; '
    'request headers; response body; content-type; user-agent; accept-encoding; application worker; workflow; webhook; '
    'execution timeout; status method; exception; message; retry attempt; passed; author; word; screen; discard; dashboard; '
    'hardware; software; background; keyboard; taken; spoken; workspace; disk; risk; network; book; look; kind; asia; '
    'russia; malaysia; associate; accurate; occasion; account; success; security; maturity; incredible; decode; unicode; '
    'potential; confidential; identical; initial; partial; skipped; experience; expired; prior; pattern; path; spatial; '
    'compatible; possession; expression; permission; discussion; string; postgres; beginning; forbear; numbers; december; '
    'september; remember; the service is not available at the moment, please try again later; could not serialize access '
    'due to concurrent update; deadlock detected; undefined is not a function; no such file or directory; certificate has '
    'expired; rate limit exceeded; invalid input syntax for type; too many connections; socket hang up; client; server; '
    'signal; design; assign; privilege; private; credit; direct; secondary; crypto; encrypt; github; basic; bearer; access; '
    'false; also; stream; library; latest_version; item count; location; scope; session; cookie' $$;
comment on function error_tracking.common_text() is 'What many events say that have nothing to mask.';

create or replace function error_tracking.is_common(part text) returns boolean
language sql immutable as $$ select strpos(error_tracking.common_text(), part) > 0 $$;
comment on function error_tracking.is_common(text) is 'Whether many events that have nothing to mask are likely to contain a part of a word.';

create or replace function error_tracking.telling_parts(words text[]) returns text[]
language plpgsql immutable strict set search_path = '' as
$$
declare
  -- How many characters follow each beginning of a part in common text: so many steps PostgreSQL has to think of.
  steps constant jsonb := (
    select jsonb_object_agg(beginning, followers)
      from (select substr(t, place, size) as beginning, count(distinct substr(t, place + size, 1)) as followers
              from error_tracking.common_text() as t, generate_series(1, length(t)) as place, generate_series(1, 4) as size
             group by 1) as b);
  begun text[] := '{}';
  parts text[] := '{}';
  word text;
  chosen text;
begin
  for word in select w from (select distinct unnest(words) collate "C" as w) as words order by length(w), w loop
    continue when exists (select from unnest(parts) as p where strpos(word, p) > 0);
    select part into chosen
      from generate_series(1, length(word)) as place, generate_series(least(4, length(word)), 6) as size,
           lateral (select substr(word, place, size) as part) as p
     where length(part) = size and (part = word or not error_tracking.is_common(part))
     -- Beginnings that other parts have as well cost nothing more.
     order by size + (select coalesce(sum((steps ->> left(part, n))::int), 0) from generate_series(1, size - 1) as n
                       where left(part, n) <> all (begun)), place limit 1;
    chosen := coalesce(chosen, word);
    begun := begun || array(select left(chosen, n) from generate_series(1, length(chosen)) as n);
    parts := parts || chosen;
  end loop;
  return parts;
end $$;
comment on function error_tracking.telling_parts(text[]) is
  'Parts of which every word has one, and hardly any other text.';

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

create or replace function error_tracking.one_line(value text) returns text
language plpgsql immutable strict as
$$
begin
  -- Line ends of Unicode are named one by one: collation C knows only those of ASCII.
  return left(btrim(regexp_replace(left(value, 2000) collate "C",
    '[[:space:][:cntrl:]\u0080-\u009f\u2028\u2029]+', ' ', 'g')), 500);
end $$;
comment on function error_tracking.one_line(text) is 'A text as one line of at most 500 characters.';

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

create or replace function error_tracking.mask_members(document text, lowered text, normal text, key_words text[], keys text[],
  words text[], needles text[], patterns text[], replacements text[]) returns jsonb
language plpgsql stable cost 1 as
$$
declare
  -- Within a text no quotation mark stays, so that every second part between quotation marks is a text or key.
  escapes constant boolean := strpos(document, '\') > 0;
  lined text := case when escapes
    then replace(replace(document, '\\', E'\x01\x01'), '\"', E'\x02\x02') else document end;
  low constant text collate "C" := case when escapes
    then replace(replace(lowered, '\\', E'\x01\x01'), '\"', E'\x02\x02') else lowered end;
  parts text[] := string_to_array(lined, '"');
  sought constant text[] := key_words || words;
  places int[] := '{}';
  done int[] := '{}';
  sections text[];
  word text;
  place int;
  plain text;
  became text;
  after text;
begin
  for n in 1 .. cardinality(sought) loop
    word := sought[n];
    continue when n > cardinality(key_words) and word = any (key_words) or n > 1 and word = sought[n - 1];
    sections := string_to_array(low, word);
    if cardinality(sections) > 20 then
      return null;
    end if;
    if n <= cardinality(key_words) and cardinality(sections) <> cardinality(string_to_array(normal, word)) then
      -- It stands there with "_", "-", "." or a blank between its letters, or behind a quotation mark within a key.
      sections := string_to_array(regexp_replace(low, regexp_replace(word, '(?<=.)(.)', '[-_. ]*\1', 'g'), E'\x03', 'g'), E'\x03');
      if cardinality(sections) <> cardinality(string_to_array(normal, word)) then
        return null;
      end if;
    end if;
    place := 1;
    for i in 1 .. cardinality(sections) - 1 loop
      place := place + length(sections[i]) - length(replace(sections[i], '"', ''));
      if left(word, 1) = '"' then
        places := places || (place + 1);
        place := place + 2;
      else
        places := places || place;
        place := place + length(word) - length(replace(word, '"', ''));
      end if;
    end loop;
  end loop;

  foreach place in array places loop
    -- What is neither text nor key is of no interest, and the value of a sensitive key is masked already.
    continue when place % 2 = 1 or place = any (done);
    done := done || place;
    plain := parts[place];
    if escapes and (strpos(plain, '\') > 0 or strpos(plain, E'\x01') > 0 or strpos(plain, E'\x02') > 0) then
      plain := ('"' || replace(replace(plain, E'\x01\x01', '\\'), E'\x02\x02', '\"') || '"')::jsonb #>> '{}';
    end if;
    after := parts[place + 1];
    if left(after, 1) <> ':' then
      became := error_tracking.mask_text(plain, needles, patterns, replacements, false);
      if became <> plain then
        became := to_jsonb(became)::text;
        parts[place] := substr(became, 2, length(became) - 2);
      end if;
    elsif not error_tracking.is_harmless(plain)
      and plain <> error_tracking.mask_text(plain, needles, patterns, replacements, false) then
      return null;
    elsif '"' || error_tracking.normal_text(plain) || '":' like any (keys) then
      if after ~ '^: [[{]' then
        return null;
      elsif after <> ': ' then
        parts[place + 1] := regexp_replace(after, '^: (?!null)[^],} ]+', ': "[masked]"');
      elsif parts[place + 2] <> '' then
        parts[place + 2] := '[masked]';
        done := done || (place + 2);
      end if;
    end if;
  end loop;
  lined := array_to_string(parts, '"');
  if escapes then
    lined := replace(replace(lined, E'\x01\x01', '\\'), E'\x02\x02', '\"');
  end if;
  return lined::jsonb;
end $$;
comment on function error_tracking.mask_members(text, text, text, text[], text[], text[], text[], text[], text[]) is
  'What mask_document makes of a document, by its text, in half the time; null where only mask_document can tell.';

revoke all on all functions in schema error_tracking from public;

commit;
