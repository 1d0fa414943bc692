//! Where the client for user-given addresses refuses to go.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use meshhook_errors::{
    notify::{
        Egress, EgressConfig,
        egress::{EgressError, Lookup},
    },
    sinks::{Answer, HttpSink},
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
    sink.otherwise(Answer::new(500, &"x".repeat(3_000_000)));
    let client = client(true, &["127.0.0.0/8"]);
    let answer = client.post(&sink.url("/"), &[], String::new()).await.expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (500, 16 * 1024));
}

/// A name server that gives these answers one after the other, and then none.
#[derive(Debug)]
struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Answers {
    fn new<const N: usize>(answers: [&[&str]; N]) -> Arc<Self> {
        let read = |list: &[&str]| list.iter().map(|ip| ip.parse().expect("an address")).collect();
        Arc::new(Self(Mutex::new(answers.map(read).into())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Lookup for Answers {
    fn addresses<'a>(
        &'a self,
        _: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let next = self.0.lock().unwrap().pop_front();
        Box::pin(async move {
            let next = next.ok_or_else(|| io::Error::other("asked once too often"))?;
            Ok(next.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }
}

/// A client that may reach 127.0.0.2, which stands for the public internet, and not 127.0.0.1.
fn rebound(lookup: &Arc<Answers>) -> Egress {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let allowed_networks = vec!["127.0.0.2/32".parse().expect("a network")];
    let config =
        EgressConfig { allow_plaintext: true, allowed_networks, ..EgressConfig::default() };
    Egress::with_lookup(config, Arc::<Answers>::clone(lookup)).expect("a client")
}

/// A sink at 127.0.0.2, and one at the same port of 127.0.0.1 that nobody may reach.
async fn outside_and_inside() -> (HttpSink, tokio::net::TcpListener) {
    for _ in 0..50 {
        let outside = HttpSink::start_at(Ipv4Addr::new(127, 0, 0, 2)).await.expect("a sink");
        let inside = (Ipv4Addr::LOCALHOST, outside.address().port());
        // Somebody else may have that port.
        if let Ok(inside) = tokio::net::TcpListener::bind(inside).await {
            return (outside, inside);
        }
    }
    panic!("no port is free at both addresses")
}

#[tokio::test]
async fn a_name_that_changes_its_address_after_the_check_leads_nowhere_else() {
    let (outside, inside) = outside_and_inside().await;
    let url = format!("http://rebinding.example:{}/", outside.address().port());
    let never = async {
        let (_, peer) = inside.accept().await.expect("a listener");
        panic!("{peer} came to the address that may not be reached");
    };
    let steps = async {
        // Good at the check; what the name says afterwards is not asked for, let alone used.
        let names = Answers::new([&["127.0.0.2"], &["127.0.0.1"]]);
        let client = rebound(&names);
        let answer = client.post(&url, &[], String::new()).await.expect("an answer");
        assert_eq!((answer.status, names.left()), (200, 1));
        // A new client has no connection to use again, so the name's next answer counts, and is judged.
        let posted = rebound(&names).post(&url, &[], String::new()).await;
        assert_eq!(posted.unwrap_err(), EgressError::Refused(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(names.left(), 0);

        let names = Answers::new([&["127.0.0.2"], &["127.0.0.1"]]);
        let probed = rebound(&names).probe(&url).await.expect("a connection");
        assert_eq!((probed, names.left()), (outside.address(), 1));
        let probed = rebound(&names).probe(&url).await;
        assert_eq!(probed, Err(EgressError::Refused(Ipv4Addr::LOCALHOST.into())));

        // Of several addresses only those that may be reached are tried, however they are written.
        for answer in
            [&["127.0.0.1", "127.0.0.2"][..], &["::1", "::ffff:127.0.0.1", "::ffff:127.0.0.2"]]
        {
            let answer =
                rebound(&Answers::new([answer])).post(&url, &[], String::new()).await.expect("one");
            assert_eq!(answer.status, 200);
        }
        for inner in ["::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "::1", "::"] {
            let posted = rebound(&Answers::new([&[inner]])).post(&url, &[], String::new()).await;
            let refused = EgressError::Refused(inner.parse().expect("an address"));
            assert_eq!(posted.unwrap_err(), refused, "{inner}");
        }
        assert_eq!(outside.requests().len(), 3);
    };
    tokio::select! {
        () = steps => {}
        () = never => {}
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let (outside, inside) = outside_and_inside().await;
    let port = inside.local_addr().expect("an address").port();
    let client = rebound(&Answers::new([]));
    for status in [301, 302, 303, 307, 308] {
        for to in [format!("http://127.0.0.1:{port}/"), "/elsewhere".to_owned()] {
            outside.script([Answer::new(status, "moved").header("location", &to)]);
            let url = outside.url("/");
            let posting = client.post(&url, &[], "{}".to_owned());
            tokio::select! {
                answer = posting => {
                    let answer = answer.expect("an answer");
                    assert_eq!((answer.status, &*answer.body), (status, "moved"));
                }
                _ = inside.accept() => panic!("a redirect was followed to {to}"),
            }
        }
    }
    let paths: Vec<_> = outside.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, vec!["/"; 10]);
}
