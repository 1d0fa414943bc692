-- Notes that a rule's templates failed in a message, where nothing is known to be wrong; is that news?
select error_tracking.note_templates($1, $2, $3, $4, true)
