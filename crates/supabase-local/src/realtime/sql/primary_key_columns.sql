-- Which columns make up the primary key of this table, in key order?
select a.attname::text
  from pg_catalog.pg_index i
  cross join lateral unnest(i.indkey) with ordinality as k (attnum, ord)
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
 where i.indrelid = $1::bigint::oid
   and i.indisprimary
 order by k.ord
