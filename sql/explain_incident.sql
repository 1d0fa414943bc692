-- Which incident of a rule (and group) was open at a time, and what became of its messages?
select to_jsonb(i) || jsonb_build_object('messages', coalesce((
         select jsonb_agg(jsonb_build_object('channel', c.name, 'transition', n.transition, 'state', n.state,
                  'sent_at', n.sent_at, 'last_error', n.last_error) order by n.number)
           from public.alert_notifications n left join public.alert_channels c using (channel_id)
          where n.incident_id = i.incident_id), '[]'))
  from public.alert_incidents i
 where i.rule_id = $1 and i.started_at <= $2 and (i.resolved_at is null or i.resolved_at > $2)
   and ($3::text is null or i.group_key = $3)
 order by i.fired_at nulls last, i.started_at
 limit 1
