-- Which columns of this table may this role select, and what are their types?
select a.attname::text as name,
       quote_ident(n.nspname) || '.' || quote_ident(t.typname) as sql_name
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
 where a.attrelid = $1::bigint::oid
   and a.attnum > 0
   and not a.attisdropped
   and pg_catalog.has_column_privilege($2::name, a.attrelid, a.attnum, 'select')
