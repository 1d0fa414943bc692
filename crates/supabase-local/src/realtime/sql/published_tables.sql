-- Which published tables match these names? (`*` matches all; the names are LIKE patterns, as in Realtime)
select c.oid::bigint as oid
  from pg_catalog.pg_publication_tables p
  join pg_catalog.pg_namespace n on n.nspname = p.schemaname
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
 where p.pubname = $1
   and p.schemaname like (case $2 when '*' then '%' else $2 end) escape ''
   and p.tablename like (case $3 when '*' then '%' else $3 end) escape ''
 order by c.oid
