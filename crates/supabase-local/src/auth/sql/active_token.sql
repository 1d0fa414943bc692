-- Which refresh token of this session is the current one?
select token
  from auth.refresh_tokens
 where session_id = $1
   and revoked_at is null
 order by id desc
 limit 1
