-- Starts a session of a user with its first refresh token.
with session as (
  insert into auth.sessions (id, user_id) values ($1, $2) returning id
)
insert into auth.refresh_tokens (token, session_id) select $3, id from session
