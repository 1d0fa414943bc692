-- Every channel's encrypted secret.
select s.channel_id, s.nonce, s.ciphertext from error_tracking.channel_secrets s order by s.channel_id
