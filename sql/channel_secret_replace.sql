-- Puts an encrypted secret in the place of the one with nonce $2, unless another was set meanwhile.
update error_tracking.channel_secrets s
   set nonce = $3, ciphertext = $4
 where s.channel_id = $1 and s.nonce = $2
