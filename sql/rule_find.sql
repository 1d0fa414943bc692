-- Which rules have this name or id, in this project where one is given?
select to_jsonb(r)
  from public.alert_rules r
 where (r.rule_id::text = lower($1) or r.name = $1) and ($2::uuid is null or r.project_id = $2)
 order by r.project_id nulls first, r.rule_id
 limit 20
