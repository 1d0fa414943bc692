-- The encrypted secret of a channel.
select s.nonce, s.ciphertext from error_tracking.channel_secrets s where s.channel_id = $1
