//! The whole way, from the front door to the receivers: errors go in through PostgREST, alerts come
//! out at Slack, mail and webhooks.
//! Nothing here calls a part of the daemon by itself; what a part does alone is tested beside it.
//! Each test has its own deployment from `support::stack`, and prints the times that it measured.

mod channels;
mod exactly_once;
mod levels;
mod logs;
mod main_path;
mod observability;
mod pooler;
mod processes;
mod rules;
mod service_key;
