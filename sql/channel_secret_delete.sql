-- Forgets the secret of a channel.
delete from error_tracking.channel_secrets where channel_id = $1
