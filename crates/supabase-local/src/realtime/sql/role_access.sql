-- Is row security on for this table, and which of its columns may this role select?
select c.relrowsecurity as row_security,
       array(
         select a.attname::text
           from pg_catalog.pg_attribute a
          where a.attrelid = c.oid
            and a.attnum > 0
            and not a.attisdropped
            and pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'select')
          order by a.attnum
       ) as columns
  from pg_catalog.pg_class c
  join pg_catalog.pg_roles r on r.rolname = $2
 where c.oid = $1::bigint::oid
