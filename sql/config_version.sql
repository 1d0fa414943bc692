-- Has anybody changed rules, their channels, silences, acknowledgements or the status of error groups
-- since we last looked?
select version from error_tracking.config_version
