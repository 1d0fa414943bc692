-- Which rules are to be evaluated? Each with all its columns, by name.
select to_jsonb(r)
  from public.alert_rules r
 where r.enabled
 order by r.rule_id
