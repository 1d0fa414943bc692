-- Notes what came of trying a rule's templates; is that news?
select error_tracking.note_templates($1, $2, $3, $4, false)
