-- Which rules have templates that nobody has tried since they were written?
select r.rule_id, r.title_template, r.body_template, r.group_by
  from public.alert_rules r
 where not r.templates_checked
 limit 100
