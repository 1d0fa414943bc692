-- What does the API say about this user?
select jsonb_build_object(
         'id', u.id,
         'aud', u.aud,
         'role', u.role,
         'email', coalesce(u.email, ''),
         'email_confirmed_at', u.email_confirmed_at,
         'phone', coalesce(u.phone, ''),
         'confirmed_at', u.email_confirmed_at,
         'last_sign_in_at', u.last_sign_in_at,
         'app_metadata', u.raw_app_meta_data,
         'user_metadata', u.raw_user_meta_data,
         'identities', '[]'::jsonb,
         'created_at', u.created_at,
         'updated_at', u.updated_at,
         'is_anonymous', u.is_anonymous
       )
  from auth.users u
 where u.id = $1
