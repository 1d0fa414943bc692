-- How are the types with these oids named, and what are they made of? (domains resolved)
with recursive wanted as (
  select t.oid, t.oid as base from pg_catalog.pg_type t where t.oid = any (select x::oid from unnest($1::bigint[]) x)
  union all
  select w.oid, t.typbasetype from wanted w join pg_catalog.pg_type t on t.oid = w.base where t.typtype = 'd'
)
select w.oid::bigint as oid,
       named.typname::text as name,
       quote_ident(space.nspname) || '.' || quote_ident(named.typname) as sql_name,
       base.oid::bigint as base_oid,
       case when base.typcategory = 'A' then coalesce(nullif(element.typbasetype, 0), base.typelem)::bigint end as element_oid,
       coalesce(element.typdelim, ',')::text as delimiter
  from wanted w
  join pg_catalog.pg_type named on named.oid = w.oid
  join pg_catalog.pg_namespace space on space.oid = named.typnamespace
  join pg_catalog.pg_type base on base.oid = w.base and base.typtype <> 'd'
  left join pg_catalog.pg_type element on element.oid = base.typelem and base.typcategory = 'A'
