-- Channels with a name or id; all of them where none is given.
select c.channel_id, c.project_id, c.name, c.kind, c.config, c.enabled, c.updated_at,
       s.nonce, s.ciphertext, s.updated_at as secret_updated_at
  from public.alert_channels c
  left join error_tracking.channel_secrets s using (channel_id)
 where $1::text is null or c.name = $1 or c.channel_id::text = lower($1)
 order by c.project_id nulls first, c.name
 limit 1000
