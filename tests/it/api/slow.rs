//! Clients that send or take slowly keep nobody else out.

use std::time::Duration;

use meshhook_errors::http::Patience;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::support::{PATIENCE, eventually, stack::Stack};

const MOMENT: Duration = Duration::from_millis(300);

/// A daemon with room for so many connections.
async fn daemon(stack: &Stack, connections: usize) -> crate::support::stack::Instance {
    let patience = Patience { connections, head: MOMENT, write: MOMENT };
    stack.daemon_as([], |settings| settings.patience = patience).await
}

async fn connect(address: std::net::SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream
}

/// All that comes until the other side ends it.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("an end");
    String::from_utf8_lossy(&text).into_owned()
}

async fn lives(address: std::net::SocketAddr) {
    eventually("somebody else is served", || async move {
        let answer = reqwest::get(format!("http://{address}/healthz")).await;
        answer.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_sends_a_head_slowly_is_left() {
    let stack = Stack::start().await;
    let instance = daemon(&stack, 2).await;
    let address = instance.daemon.address();
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(connect(address, "GET /healthz HTTP/1.1\r\nhost: a\r\n").await);
    }
    // One goes on byte by byte; the other has fallen asleep.
    let mut first = slow.remove(0);
    let began = Instant::now();
    while began.elapsed() < MOMENT * 4 && first.write_all(b"x-slow: 1\r\n").await.is_ok() {
        sleep(MOMENT / 6).await;
    }
    lives(address).await;
    assert!(!rest(&mut slow[0]).await.contains(" 200 "));
    instance.stop().await;
}

#[tokio::test]
async fn whoever_sends_a_body_slowly_is_told_so_and_takes_no_place() {
    let stack = Stack::start().await;
    let instance = daemon(&stack, 100).await;
    let address = instance.daemon.address();
    let head = "POST /api/error-events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x.y.z\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    // More than are worked on at a time.
    let mut slow = Vec::new();
    for _ in 0..80 {
        slow.push(connect(address, head).await);
    }
    let other =
        reqwest::get(format!("http://{address}/api/openapi.json")).await.expect("an answer");
    assert_eq!(other.status(), 200);
    let answer = rest(&mut slow[0]).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    instance.stop().await;
}

#[tokio::test]
async fn whoever_does_not_take_an_answer_is_left() {
    let stack = Stack::start().await;
    sqlx::query(
        "insert into error_metrics (source, error_type, message, metadata)
         select 'worker', 'execution', 'large ' || n, jsonb_build_object('dump', repeat('x ', 15000))
           from generate_series(1, 500) as n",
    )
    .execute(&stack.admin)
    .await
    .expect("large errors");
    let instance = daemon(&stack, 1).await;
    let address = instance.daemon.address();
    let token = stack.service_key();
    let wish = format!(
        "GET /api/error-metrics HTTP/1.1\r\nhost: a\r\naccept: text/csv\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    let mut reader = connect(address, &wish).await;
    let mut begin = [0; 12];
    reader.read_exact(&mut begin).await.expect("an answer begins");
    assert_eq!(&begin, b"HTTP/1.1 200");
    // Fifteen megabytes fit into no buffer, so the only place is taken until the daemon gives up.
    lives(address).await;
    instance.stop().await;
}
