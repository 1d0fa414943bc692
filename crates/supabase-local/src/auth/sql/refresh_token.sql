-- Whose is this refresh token, and is it still good? (locked, so that two requests cannot both use it)
select t.session_id,
       s.user_id,
       t.revoked_at is not null as used,
       coalesce(t.revoked_at > now() - interval '10 seconds', false) as used_just_now
  from auth.refresh_tokens t
  join auth.sessions s on s.id = t.session_id
 where t.token = $1
   for update of t
