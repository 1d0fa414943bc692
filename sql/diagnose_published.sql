-- Which of the tables in $1 does Realtime not publish?
select name
  from unnest($1::text[]) as name
 where not exists (
   select from pg_publication_tables p
    where p.pubname = 'supabase_realtime' and p.schemaname || '.' || p.tablename = name)
