-- Who has this address and this password? (bcrypt; users who are banned cannot sign in, and as on the
-- hosted platform, nor can those of no instance)
update auth.users
   set last_sign_in_at = now()
 where instance_id = '00000000-0000-0000-0000-000000000000'
   and lower(email) = lower($1)
   and encrypted_password = extensions.crypt($2, encrypted_password)
   and (banned_until is null or banned_until < now())
returning id
