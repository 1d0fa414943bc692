-- Signs a user out: of this session, of all others, or of every one.
delete from auth.sessions
 where user_id = $2
   and case $3 when 'local' then id = $1 when 'others' then id <> $1 else true end
