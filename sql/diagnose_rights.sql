-- What may our role do that it must, and what may it do that it must not?
select has_column_privilege('public.error_metrics', 'message', 'select') as reads_events,
       has_column_privilege('public.error_metrics', 'metadata', 'select') as reads_metadata,
       has_table_privilege('public.error_metrics', 'delete') as deletes_events,
       has_table_privilege('error_tracking.leases', 'update') as leads,
       has_table_privilege('public.alert_notifications', 'insert') as notifies,
       has_sequence_privilege('error_tracking.error_metrics_seq', 'select') as reads_numbers,
       not row_security_active('public.error_metrics')
         or exists (select from pg_policies where schemaname = 'public' and tablename = 'error_metrics'
                     and cmd in ('ALL', 'SELECT') and current_user = any (roles) and qual = 'true') as sees_every_row,
       array(select r.rolname::text from pg_roles r
              where r.rolname in ('authenticator', 'supabase_realtime_admin')
                -- Since 16, a member may be forbidden to switch.
                and not pg_has_role(r.oid, 'error_daemon',
                  case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end)
              order by 1) as cannot_switch
