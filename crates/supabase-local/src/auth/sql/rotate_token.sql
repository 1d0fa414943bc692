-- Revokes a refresh token and puts its successor into the same session.
with used as (
  update auth.refresh_tokens set revoked_at = now() where token = $1 returning session_id
)
insert into auth.refresh_tokens (token, session_id) select $2, session_id from used
