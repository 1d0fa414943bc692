-- Which of the tables in $1 are missing, because a migration was not applied?
select name from unnest($1::text[]) as name where to_regclass(name) is null
