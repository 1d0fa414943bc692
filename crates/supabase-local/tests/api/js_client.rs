//! The official JavaScript client, unmodified, against the local server.

use std::{path::Path, process::Stdio};

use supabase_local::auth;
use tokio::process::Command;

use crate::local::start;

const SCHEMA: &str = "
create table notes (
  id bigint generated always as identity primary key,
  owner uuid not null references auth.users (id), n int not null, body text
);
alter table notes enable row level security;
create policy own on notes for all to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create function add_up(a int, b int) returns int language sql immutable as 'select a + b';
alter publication supabase_realtime add table notes;";

async fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.unwrap_or_else(|error| panic!("Node.js 20 or newer is needed: {error}"));
    // The test harness shows this when the test fails.
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", output.status);
}

#[tokio::test]
async fn the_official_client_is_content() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js");
    if !dir.join("node_modules").exists() {
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        run(Command::new(npm).args(["ci", "--no-audit", "--no-fund"]).current_dir(&dir)).await;
    }
    let server = start(SCHEMA, |_| {}).await;
    for (id, name) in [(1, "alice"), (2, "bob")] {
        let email = format!("{name}@example.com");
        let password = format!("password of {name}");
        let id = uuid::Uuid::from_u128(id);
        auth::create_user(server.pool(), &email, &password, id).await.unwrap();
    }
    let mut node = Command::new("node");
    node.args(["--test", "--test-force-exit", "client.test.js"])
        .current_dir(&dir)
        .env("SUPABASE_URL", server.url())
        .env("SUPABASE_ANON_KEY", server.anon_key())
        .env("SUPABASE_SERVICE_KEY", server.service_key());
    run(&mut node).await;
    server.stop().await;
}
