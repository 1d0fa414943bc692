//! The daemon behind a transaction-mode pooler.

use std::{
    io::Write as _,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tokio::net::TcpStream;
use url::Url;

use crate::support::{
    eventually,
    letters::{headline, mail, request},
    process::{Folder, Process},
    stack::{ALERT_LIMIT, Stack, burst},
};

/// PgBouncer on a free port; ended when it is dropped.
struct Pooler {
    process: Child,
    port: u16,
    _folder: Folder,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = crate::support::db::switch("PATH").unwrap_or_default();
    let folders = path.split(':').map(PathBuf::from).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

impl Pooler {
    /// In front of the server of `url`; few server connections, so that clients must share them.
    async fn start(program: &Path, url: &Url) -> Self {
        let folder = Folder::new();
        let port = {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            listener.local_addr().expect("an address").port()
        };
        let password = url.password().expect("a password");
        let users = folder.path().join("users.txt");
        std::fs::write(&users, format!("\"{}\" \"{password}\"\n", url.username())).expect("users");
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 2\n",
            url.host_str().expect("a host"),
            url.port().unwrap_or(5432),
            users.display(),
        );
        std::fs::write(&settings, text).expect("settings");
        let mut command = Command::new(program);
        command.arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It refuses to run as root.
        if id(&["-u"]) == Some(0) {
            let user = ["postgres", "nobody"]
                .iter()
                .find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)));
            let (user, group) = user.expect("a user without privileges");
            for path in [folder.path(), &users, &settings] {
                chown(path, Some(user), Some(group)).expect("hand over");
            }
            command.uid(user).gid(group);
        }
        let process = command.spawn().expect("PgBouncer starts");
        let pooler = Self { process, port, _folder: folder };
        eventually("PgBouncer takes connections", || async {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        pooler
    }
}

/// A deployment and a pooler in front of its database, with the address through it; none where there is
/// no pooler, which is said past the capture of output: a test that passes without testing must not look
/// like one that tested.
async fn pooled(test: &str) -> Option<(Stack, Pooler, Url)> {
    let Some(program) = program() else {
        let text = format!(
            "\n{test} DID NOT RUN: no pgbouncer here; on Debian: apt-get install pgbouncer\n"
        );
        std::io::stderr().write_all(text.as_bytes()).expect("standard error");
        return None;
    };
    let stack = Stack::start().await;
    let direct: Url = stack.variables()["DATABASE_URL"].parse().expect("an address");
    let pooler = Pooler::start(&program, &direct).await;
    let mut through = direct;
    through.set_port(Some(pooler.port)).expect("a port");
    through.set_ip_host([127, 0, 0, 1].into()).expect("a host");
    Some((stack, pooler, through))
}

/// A process that hangs keeps whatever server connection it had; the pooler must not let that keep another
/// from leading, nor the hanging one from finding itself replaced.
#[tokio::test]
async fn one_takes_over_from_another_through_a_transaction_mode_pooler() {
    let name = "one_takes_over_from_another_through_a_transaction_mode_pooler";
    let Some((stack, _pooler, through)) = pooled(name).await else { return };
    let channel = stack.channel("ops", "slack").await;
    for class in ["system", "input"] {
        let fields = json!({"error_types": [class], "window_seconds": 600, "warning": 5});
        stack.rule(&format!("Any {class}"), fields, &[channel]).await;
    }
    let variables = |instance: &str| {
        let mut variables = stack.variables();
        let own = [
            ("DATABASE_URL", through.as_str()),
            ("DATABASE_POOLER", "transaction"),
            ("INSTANCE_NAME", instance),
        ];
        variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        variables
    };
    let first = Process::start(variables("first")).await;
    first.until_role("leader").await;
    let second = Process::start(variables("second")).await;
    second.until_role("standby").await;
    let fence = "select fence from error_tracking.leases";
    let before = stack.number(fence).await;

    let report = async |class| {
        stack.reporter(None).insert_errors(&burst(5, class, 0)).await.expect("errors");
    };
    report("system").await;
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Any system")).await;
    // What was sent and not recorded yet would have to be sent again.
    let sent = "select count(*) from public.alert_notifications where state = 'sent'";
    eventually("it is recorded", || async { (stack.number(sent).await == 1).then_some(()) }).await;
    first.signal("STOP").await;
    let took = second.until_role("leader").await;
    println!("taken over through the pooler {took:?} after the leader began to hang");
    let after = stack.number(fence).await;
    assert!(after > before, "{after} after {before}");
    report("input").await;
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Any input")).await;
    first.signal("CONT").await;
    first.until_role("standby").await;
    assert_eq!(stack.number(fence).await, after, "whoever was replaced does not come back");
    let told: Vec<_> = stack.slack.requests().iter().map(headline).collect();
    assert_eq!(told.len(), 2, "each is told once: {told:#?}");
    let opened = "select count(*) from public.alert_incidents where rule_id is not null";
    assert_eq!(stack.number(opened).await, 2);
}

#[tokio::test]
async fn the_main_path_works_through_a_transaction_mode_pooler() {
    let name = "the_main_path_works_through_a_transaction_mode_pooler";
    let Some((stack, _pooler, through)) = pooled(name).await else { return };
    let channels = [stack.channel("ops", "slack").await, stack.channel("mail", "email").await];
    let fields = json!({"window_seconds": 60, "warning": 20});
    let rule = stack.rule("Errors", fields, &channels).await;
    let variables = [("DATABASE_URL", through.as_str()), ("DATABASE_POOLER", "transaction")];
    let instance = stack.daemon_with(variables).await;

    let reporter = stack.reporter(None);
    reporter.insert_errors(&burst(25, "system", 52)).await.expect("errors");
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Warning: Errors")).await;
    mail(&stack.mail, ALERT_LIMIT, "firing").await;
    assert_eq!(instance.counted(rule, 25).await, 25);
    // A rule that comes later takes the other ways to the database.
    let later = stack.rule("Later", json!({"warning": 1000}), &channels).await;
    assert_eq!(instance.counted(later, 25).await, 25);
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Resolved: Errors")).await;
    mail(&stack.mail, ALERT_LIMIT, "resolved").await;
    let rolled = "select coalesce(sum(count), 0)::bigint from public.error_rate_minutes";
    eventually("rollups agree", || async { (stack.number(rolled).await == 25).then_some(()) })
        .await;
    let (status, body) = instance.http("/readyz").await;
    assert!(status == 200 && body.contains("\"problems\":[]"), "{status} {body}");
    instance.stop().await;
    let holder = "select count(*) from error_tracking.leases where holder is not null";
    assert_eq!(stack.number(holder).await, 0, "the lease is given back");
}
