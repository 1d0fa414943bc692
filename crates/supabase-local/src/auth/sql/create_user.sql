-- Creates a confirmed user with a password, or gives an existing one this address and password.
insert into auth.users (id, instance_id, aud, role, email, encrypted_password, email_confirmed_at)
values ($1, '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', lower($2),
        extensions.crypt($3, extensions.gen_salt('bf', 6)), now())
on conflict (id) do update
  set email = excluded.email,
      instance_id = excluded.instance_id,
      encrypted_password = excluded.encrypted_password,
      email_confirmed_at = now(),
      updated_at = now()
