-- Which open incidents has somebody taken in hand?
select incident_id, acknowledged_at is not null as acknowledged
  from public.alert_incidents
 where state <> 'resolved'
