-- Which foreign keys connect tables of these schemas, and which of them are one to one?
select
  k.conname::text as constraint,
  fn.nspname::text as from_schema,
  fc.relname::text as from_table,
  (
    select jsonb_agg(a.attname order by u.place)
    from unnest(k.conkey) with ordinality u (number, place)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number
  ) as from_columns,
  tn.nspname::text as to_schema,
  tc.relname::text as to_table,
  (
    select jsonb_agg(a.attname order by u.place)
    from unnest(k.confkey) with ordinality u (number, place)
    join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number
  ) as to_columns,
  exists (
    select
    from pg_index i
    where i.indrelid = k.conrelid and i.indisunique and i.indpred is null and i.indexprs is null
      and (select array_agg(x order by x) from unnest(i.indkey::int2[]) x)
        = (select array_agg(x order by x) from unnest(k.conkey) x)
  ) as unique
from pg_constraint k
join pg_class fc on fc.oid = k.conrelid
join pg_namespace fn on fn.oid = fc.relnamespace
join pg_class tc on tc.oid = k.confrelid
join pg_namespace tn on tn.oid = tc.relnamespace
where k.contype = 'f' and k.conparentid = 0
  and fn.nspname = any ($1) and tn.nspname = any ($1)
order by fn.nspname, fc.relname, k.conname
