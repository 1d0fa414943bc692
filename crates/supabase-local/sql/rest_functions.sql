-- Which functions do these schemas serve, with which parameters and kind of result?
select
  n.nspname::text as schema,
  p.proname::text as name,
  p.provolatile = 'v' as volatile,
  p.proretset as returns_set,
  t.typname = 'void' as returns_void,
  (
    coalesce(base.typtype, t.typtype) = 'c'
    or t.typname = 'record'
    or coalesce(p.proargmodes::text[] && '{t,b,o}', false)
  ) as returns_composite,
  rn.nspname::text as table_schema,
  rc.relname::text as table_name,
  coalesce(
    (
      select jsonb_agg(
        jsonb_build_object(
          'name', coalesce(a.name, ''),
          'type', format_type(a.type, null),
          'required', a.place <= p.pronargs - p.pronargdefaults,
          'variadic', coalesce(a.mode, 'i') = 'v'
        )
        order by a.place
      )
      from (
        select u.type, u.name, u.mode, row_number() over (order by u.place) as place
        from unnest(
          coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes
        ) with ordinality u (type, name, mode, place)
        where coalesce(u.mode, 'i') in ('i', 'b', 'v')
      ) a
    ),
    '[]'
  ) as parameters
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_type t on t.oid = p.prorettype
left join pg_type base on base.oid = t.typbasetype and t.typtype = 'd'
left join pg_class rc
  on rc.oid = coalesce(base.typrelid, t.typrelid) and rc.relkind in ('r', 'p', 'v', 'm', 'f')
left join pg_namespace rn on rn.oid = rc.relnamespace
where n.nspname = any ($1) and p.prokind = 'f'
  and t.typname not in ('trigger', 'event_trigger')
order by n.nspname, p.proname, p.oid
