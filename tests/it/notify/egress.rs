//! Where the client for user-given addresses refuses to go.

use meshhook_errors::{
    notify::{Egress, EgressConfig, egress::EgressError},
    sinks::HttpSink,
};

fn client(allow_plaintext: bool, networks: &[&str]) -> Egress {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let allowed_networks = networks.iter().map(|net| net.parse().expect("a network")).collect();
    let config = EgressConfig { allow_plaintext, allowed_networks, ..EgressConfig::default() };
    Egress::new(config).expect("a client")
}

#[tokio::test]
async fn only_public_or_listed_addresses_are_reached() {
    let sink = HttpSink::start().await.expect("a sink");
    let port = sink.address().port();
    let post = async |client: &Egress, url: String| client.post(&url, &[], String::new()).await;

    let open = client(true, &[]);
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ];
    for host in hosts.iter().chain(&["localhost", "LOCALHOST"]) {
        let url = format!("http://{host}:{port}/");
        let posted = post(&open, url.clone()).await;
        assert!(matches!(posted, Err(EgressError::Refused(_))), "{url}: {posted:?}");
        let probed = open.probe(&url).await;
        assert!(matches!(probed, Err(EgressError::Refused(_))), "{url}: {probed:?}");
    }
    assert!(sink.requests().is_empty());

    let listed = client(true, &["127.0.0.0/8"]);
    for host in ["127.0.0.1", "localhost"] {
        let answer = post(&listed, format!("http://{host}:{port}/")).await.expect(host);
        assert_eq!((answer.status, &*answer.body), (200, "ok"));
    }
    assert_eq!(sink.requests().len(), 2);
}

#[tokio::test]
async fn plain_text_and_other_schemes_are_refused() {
    let strict = client(false, &["127.0.0.0/8"]);
    let sink = HttpSink::start().await.expect("a sink");
    for url in [sink.url("/"), "ftp://example.com/".into(), "file:///etc/passwd".into(), "x".into()]
    {
        let posted = strict.post(&url, &[], String::new()).await;
        assert!(matches!(posted, Err(EgressError::Url(_))), "{url}: {posted:?}");
    }
    assert!(sink.requests().is_empty());
}

#[tokio::test]
async fn an_endless_answer_is_read_in_part() {
    let sink = HttpSink::start().await.expect("a sink");
    sink.otherwise(meshhook_errors::sinks::Answer::new(500, &"x".repeat(3_000_000)));
    let client = client(true, &["127.0.0.0/8"]);
    let answer = client.post(&sink.url("/"), &[], String::new()).await.expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (500, 16 * 1024));
}
