-- Notes that a rule's templates failed in a message, where that is not known; returns a row only then.
update public.alert_rules r
   set template_error = $4
 where r.rule_id = $1 and r.title_template is not distinct from $2 and r.body_template is not distinct from $3
   and r.template_error is null and r.templates_checked
returning r.name
