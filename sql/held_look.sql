-- Is anything held back, is some of it due for another look, and has the configuration changed?
select count(*) as held, coalesce(bool_or(h.until <= clock_timestamp()), false) as due,
       (select v.version from error_tracking.config_version v) as version
  from public.alert_held_back h
