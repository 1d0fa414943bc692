//! The daemon on a secret key of the new kind, which only the gateway understands.

use meshhook_errors::config::Environment;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::support::{
    eventually, external,
    letters::{headline, request},
    process::run,
    stack::{ALERT_LIMIT, Stack, Variables, burst},
};

const SECRET_KEY: &str = "sb_secret_aVeryShortOne";
const PUBLISHABLE_KEY: &str = "sb_publishable_aVeryShortOne";

/// A gateway as the hosted platform has one: keys that are no tokens are replaced by tokens, and what
/// stands behind it never sees them. It knows nothing of HTTP, because nothing but heads has keys.
struct Gateway {
    url: String,
    _task: AbortOnDropHandle<()>,
}

impl Gateway {
    async fn before(target: &str, keys: Vec<(&'static str, String)>) -> Self {
        let target = Url::parse(target).expect("an address");
        let target =
            format!("{}:{}", target.host_str().expect("a host"), target.port().expect("a port"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let (target, keys) = (target.clone(), keys.clone());
                connections.spawn(async move {
                    let server = TcpStream::connect(target).await.expect("the server");
                    pass(client, server, &keys).await;
                });
            }
        });
        Self { url, _task: AbortOnDropHandle::new(task) }
    }
}

async fn pass(client: TcpStream, server: TcpStream, keys: &[(&str, String)]) {
    let (mut asks, mut hears) = client.into_split();
    let (mut answers, mut takes) = server.into_split();
    let forth = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = asks.read(&mut buffer).await {
            let mut part = buffer[..count].to_vec();
            for (key, token) in keys {
                while let Some(at) = part.windows(key.len()).position(|some| some == key.as_bytes())
                {
                    part.splice(at..at + key.len(), token.bytes());
                }
            }
            if takes.write_all(&part).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = forth => {}
        _ = copy(&mut answers, &mut hears) => {}
    }
}

#[tokio::test]
async fn a_secret_key_opens_the_socket_although_an_anon_key_is_set_too() {
    if external::named() {
        eprintln!("not tested with keys of the new kind: another's gateway knows its own");
        return;
    }
    let stack = Stack::start().await;
    let mut variables: Variables = stack.variables();
    let keys =
        vec![(SECRET_KEY, stack.service_key()), (PUBLISHABLE_KEY, stack.token("anon", &[], 3600))];
    let gateway = Gateway::before(&variables["SUPABASE_URL"], keys).await;
    variables.remove("SUPABASE_JWT_SECRET");
    for (name, value) in [
        ("SUPABASE_URL", gateway.url.as_str()),
        ("SUPABASE_ANON_KEY", PUBLISHABLE_KEY),
        ("SUPABASE_SERVICE_ROLE_KEY", SECRET_KEY),
    ] {
        variables.insert(name.to_owned(), value.to_owned());
    }

    let well = run(&variables, &["check", "--no-channels"], "").await;
    assert_eq!(well.status, 0, "{well:?}");
    assert!(well.out.contains("canary: a change came back"), "{well:?}");

    let channel = stack.channel("ops", "slack").await;
    stack.rule("Errors", json!({"window_seconds": 60, "warning": 5}), &[channel]).await;
    let instance = stack.daemon_in(&environment(&variables), |_| {}).await;
    // Numbered reads would bring the rows too; the canary comes by the socket or not at all.
    let feed = instance.daemon.feed();
    eventually("the socket brings the canary", || {
        let status = feed.borrow().clone();
        async move { (status.subscribed && !status.deaf && status.canary.is_some()).then_some(()) }
    })
    .await;
    stack.reporter(None).insert_errors(&burst(5, "system", 0)).await.expect("errors");
    request(&stack.slack, ALERT_LIMIT, |r| headline(r).contains("Errors")).await;
    instance.stop().await;
}

fn environment(variables: &Variables) -> Environment {
    Environment::of(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}
