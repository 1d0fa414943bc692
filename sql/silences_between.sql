-- Which silences last at some time between these two?
select to_jsonb(s)
  from public.alert_silences s
 where s.ends_at > $1 and s.starts_at < $2
 order by s.starts_at, s.silence_id
 limit 10000
