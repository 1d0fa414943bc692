-- Has anybody changed rules, their channels, silences or acknowledgements since we last looked?
select version from error_tracking.config_version
