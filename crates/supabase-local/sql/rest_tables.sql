-- Which tables and views do these schemas serve, with which columns and primary keys?
select
  n.nspname::text as schema,
  c.relname::text as name,
  c.relkind in ('v', 'm') as view,
  coalesce(
    (
      select jsonb_agg(
        jsonb_build_object(
          'name', a.attname,
          'type', format_type(a.atttypid, a.atttypmod),
          'default',
          case
            when a.attgenerated <> '' then null
            when a.attidentity <> ''
              then format('nextval(%L)', pg_get_serial_sequence(c.oid::regclass::text, a.attname))
            else pg_get_expr(d.adbin, d.adrelid)
          end
        )
        order by a.attnum
      )
      from pg_attribute a
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ),
    '[]'
  ) as columns,
  coalesce(
    (
      select jsonb_agg(a.attname order by k.place)
      from pg_constraint p
      cross join unnest(p.conkey) with ordinality k (number, place)
      join pg_attribute a on a.attrelid = p.conrelid and a.attnum = k.number
      where p.conrelid = c.oid and p.contype = 'p'
    ),
    '[]'
  ) as primary_key
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm', 'f')
