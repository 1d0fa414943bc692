-- Stores the encrypted secret of a channel.
insert into error_tracking.channel_secrets as s (channel_id, nonce, ciphertext, updated_at)
values ($1, $2, $3, clock_timestamp())
on conflict (channel_id) do update
   set nonce = excluded.nonce, ciphertext = excluded.ciphertext, updated_at = excluded.updated_at
