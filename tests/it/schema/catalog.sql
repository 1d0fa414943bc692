-- What is in a database, one line a thing: to tell whether something changed it.
with ours as (
  select oid, nspname from pg_namespace where nspname in ('public', 'error_tracking', 'auth')
)
select line from (
  select format('relation %s.%s %s rls=%s owner=%s acl=%s options=%s comment=%s', n.nspname, c.relname, c.relkind, c.relrowsecurity,
    c.relowner::regrole, (select array_agg(a::text order by a::text) from unnest(c.relacl) as a), c.reloptions,
    obj_description(c.oid, 'pg_class')) as line
    from pg_class c join ours n on n.oid = c.relnamespace
  union all
  select format('column %s.%s.%s %s not_null=%s default=%s acl=%s comment=%s', n.nspname, c.relname, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
    (select array_agg(x::text order by x::text) from unnest(a.attacl) as x), col_description(c.oid, a.attnum))
    from pg_attribute a join pg_class c on c.oid = a.attrelid join ours n on n.oid = c.relnamespace
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
   where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v', 'p')
  union all
  select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(k.oid))
    from pg_constraint k join ours n on n.oid = k.connamespace
  union all
  select format('index %s', indexdef) from pg_indexes where schemaname in (select nspname from ours)
  union all
  select format('policy %s on %s.%s %s %s to %s using %s check %s', policyname, schemaname, tablename, permissive, cmd, roles, qual, with_check)
    from pg_policies where schemaname in (select nspname from ours)
  union all
  select format('function %s owner=%s acl=%s comment=%s %s', p.oid::regprocedure, p.proowner::regrole,
    (select array_agg(a::text order by a::text) from unnest(p.proacl) as a), obj_description(p.oid, 'pg_proc'),
    pg_get_functiondef(p.oid))
    from pg_proc p join ours n on n.oid = p.pronamespace where p.prokind = 'f'
  union all
  select format('trigger %s enabled=%s', pg_get_triggerdef(t.oid), t.tgenabled)
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join ours n on n.oid = c.relnamespace where not t.tgisinternal
  union all
  select format('type %s %s comment=%s', t.oid::regtype,
    (select array_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = t.oid), obj_description(t.oid, 'pg_type'))
    from pg_type t join ours n on n.oid = t.typnamespace where t.typtype = 'e'
  union all
  select format('sequence %s.%s %s cache=%s', schemaname, sequencename, data_type, cache_size)
    from pg_sequences where schemaname in (select nspname from ours)
  union all
  select format('schema %s acl=%s comment=%s', n.nspname,
    (select array_agg(a::text order by a::text) from unnest(s.nspacl) as a), obj_description(n.oid, 'pg_namespace'))
    from ours n join pg_namespace s using (oid)
  union all
  select format('publication %s of %s.%s %s %s', pubname, schemaname, tablename, attnames, rowfilter) from pg_publication_tables
  union all
  select format('member %s of %s admin=%s', member::regrole, roleid::regrole, admin_option) from pg_auth_members
) as lines order by line collate "C"
