-- Who has this address and this password? (bcrypt; users who are banned cannot sign in)
update auth.users
   set last_sign_in_at = now()
 where lower(email) = lower($1)
   and encrypted_password = extensions.crypt($2, encrypted_password)
   and (banned_until is null or banned_until < now())
returning id
