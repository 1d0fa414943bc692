-- What does the database's clock say?
select clock_timestamp()
