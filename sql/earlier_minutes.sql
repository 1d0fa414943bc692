-- How many errors does a rule count in each minute from $1 to before $2, by its groups? The filter is $3
-- to $8, where an empty list means any; $9 names the fields of the group. At most $10 rows.
select r.bucket,
       case when 'project' = any ($9::text[]) then r.project_id::text end as project,
       case when 'workflow' = any ($9) then r.workflow_id::text end as workflow,
       case when 'source' = any ($9) then r.source::text end as source,
       case when 'error_type' = any ($9) then r.error_type::text end as error_type,
       case when 'severity' = any ($9) then r.severity::text end as severity,
       sum(r.count)::bigint as count
  from public.error_rate_minutes r
 where r.bucket >= $1 and r.bucket < $2
   and ($3::uuid is null or r.project_id = $3)
   and ($4::text[] = '{}' or r.source = any ($4))
   and ($5::text[] = '{}' or r.severity::text = any ($5))
   and (($6::text[] = '{}' and $7::text[] = '{}') or split_part(r.error_type, '.', 1) = any ($6) or r.error_type = any ($7))
   and ($8::uuid[] = '{}' or r.workflow_id = any ($8))
 group by 1, 2, 3, 4, 5, 6
 limit $10
