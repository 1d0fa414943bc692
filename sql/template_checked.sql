-- Notes what came of trying a rule's templates, unless they were changed meanwhile; returns a row only
-- where that is news.
update public.alert_rules r
   set template_error = $4, templates_checked = true
 where r.rule_id = $1 and r.title_template is not distinct from $2 and r.body_template is not distinct from $3
   and (not r.templates_checked or r.template_error is distinct from $4)
returning r.name
