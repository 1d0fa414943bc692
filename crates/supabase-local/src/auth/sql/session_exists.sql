-- Is this session still open?
select exists (select 1 from auth.sessions where id = $1)
