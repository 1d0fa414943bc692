-- Who are we, on which server, and is the connection encrypted?
select current_user::text as login,
       current_setting('server_version_num')::int / 10000 as major,
       coalesce((select s.ssl from pg_stat_ssl s where s.pid = pg_backend_pid()), false) as encrypted
