-- Which channels may rules of this project tell? Its own come first, then those of no project.
select c.channel_id, c.name, c.kind, c.enabled, 'warning' as min_level, c.state, c.broken_reason
  from public.alert_channels c
 where c.project_id is null or c.project_id = $1
 order by c.project_id nulls last, c.name
