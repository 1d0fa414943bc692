-- Has the set of published tables changed?
select coalesce(md5(string_agg(p.schemaname || '.' || p.tablename, ',' order by p.schemaname, p.tablename)), '')
  from pg_catalog.pg_publication_tables p
 where p.pubname = $1
