-- A transaction id that is higher than that of everyone who has drawn a number so far.
select pg_current_xact_id()::text::bigint
