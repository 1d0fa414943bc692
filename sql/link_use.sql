-- Marks a link or a press of a button as used; no row where it was used before.
with forgotten as (
  delete from error_tracking.used_links where used_at < now() - interval '30 days'
)
insert into error_tracking.used_links (digest) values ($1) on conflict (digest) do nothing
returning true
