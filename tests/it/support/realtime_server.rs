//! A websocket server that does exactly what a test tells it, with or without TLS.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// How long a test waits for anything.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Waits for `future`, and fails the test instead of waiting for ever.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what}: nothing within {LIMIT:?}"))
}

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A listening server.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    /// The certificate that clients must trust, where there is one.
    pub certificate: Option<String>,
}

/// What a client's handshake said.
#[derive(Clone, Debug)]
pub struct Handshake {
    pub uri: String,
    pub headers: http::HeaderMap,
}

impl Handshake {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text header"))
    }
}

impl Server {
    /// A server for `ws://`.
    pub async fn plain() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self { listener, tls: None, certificate: None }
    }

    /// A server for `wss://localhost` with a certificate of its own making.
    pub async fn with_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let rcgen::CertifiedKey { cert, signing_key } = made.expect("certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("server certificate");
        let certificate = Some(cert.pem());
        Self { tls: Some(Arc::new(config).into()), certificate, ..Self::plain().await }
    }

    /// The address without query, as a configuration would give it.
    pub fn url(&self) -> String {
        let port = self.listener.local_addr().expect("address").port();
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        format!("{scheme}://localhost:{port}/socket/websocket")
    }

    async fn tcp(&self) -> TcpStream {
        within("a connection", self.listener.accept()).await.expect("accepted").0
    }

    async fn transport(&self) -> std::io::Result<Box<dyn Transport>> {
        let tcp = self.tcp().await;
        Ok(match &self.tls {
            Some(tls) => Box::new(within("a TLS handshake", tls.accept(tcp)).await?),
            None => Box::new(tcp),
        })
    }

    /// Accepts the next connection and its handshake.
    pub async fn accept(&self) -> Peer {
        let transport = self.transport().await.expect("transport");
        let mut handshake = None;
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let (uri, headers) = (request.uri().to_string(), request.headers().clone());
            handshake = Some(Handshake { uri, headers });
            Ok(response)
        };
        let accepting = accept_hdr_async(transport, note);
        let socket = within("a handshake", accepting).await.expect("handshake");
        Peer { socket, handshake: handshake.expect("a request"), answers_heartbeats: true }
    }

    /// Answers the next handshake with an HTTP status.
    pub async fn refuse(&self, status: u16) {
        let mut transport = self.transport().await.expect("transport");
        let mut buffer = Vec::new();
        let reading = async {
            let mut transport = tokio::io::BufReader::new(&mut transport);
            while !buffer.ends_with(b"\r\n\r\n") {
                let read =
                    tokio::io::AsyncBufReadExt::read_until(&mut transport, b'\n', &mut buffer);
                assert!(read.await.expect("a request") > 0, "the client hung up");
            }
        };
        within("a request", reading).await;
        let body = "{\"error\":\"refused\"}";
        let answer = format!(
            "HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        transport.write_all(answer.as_bytes()).await.expect("an answer");
        drop(transport.shutdown().await);
    }

    /// Waits for a TLS handshake that the client breaks off.
    pub async fn fail_tls(&self) {
        assert!(self.transport().await.is_err(), "the client trusts an unknown certificate");
    }
}

/// One connected client.
pub struct Peer {
    socket: WebSocketStream<Box<dyn Transport>>,
    pub handshake: Handshake,
    /// Whether heartbeats are answered while waiting for something else.
    pub answers_heartbeats: bool,
}

/// A push of the client, whichever protocol version it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    pub join_ref: Option<String>,
    pub reference: String,
    pub topic: String,
    pub event: String,
    pub payload: Value,
    pub is_object: bool,
}

impl Push {
    fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).expect("a JSON push");
        let part = |index: usize, name: &str| {
            value.get(index).or_else(|| value.get(name)).cloned().unwrap_or_default()
        };
        let text = |index, name| part(index, name).as_str().map(str::to_owned);
        Self {
            join_ref: text(0, "join_ref"),
            reference: text(1, "ref").expect("ref"),
            topic: text(2, "topic").expect("topic"),
            event: text(3, "event").expect("event"),
            payload: part(4, "payload"),
            is_object: value.is_object(),
        }
    }

    /// The frame that answers this push.
    fn reply(&self, status: &str, response: &Value) -> String {
        let payload = json!({"status": status, "response": response});
        self.frame(Some(&self.reference), "phx_reply", &payload)
    }

    /// A frame on this push's channel.
    fn frame(&self, reference: Option<&str>, event: &str, payload: &Value) -> String {
        if self.is_object {
            json!({"ref": reference, "event": event, "payload": payload, "topic": self.topic})
                .to_string()
        } else {
            let join_ref = self.join_ref.as_deref().filter(|_| event != "postgres_changes");
            json!([join_ref, reference, self.topic, event, payload]).to_string()
        }
    }
}

impl Peer {
    /// The next push; heartbeats are not counted unless they are left unanswered.
    pub async fn next(&mut self) -> Push {
        loop {
            let text = match within("a push", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                other => panic!("instead of a push: {other:?}"),
            };
            let push = Push::parse(&text);
            if push.event != "heartbeat" || !self.answers_heartbeats {
                return push;
            }
            self.text(push.reply("ok", &json!({}))).await;
        }
    }

    /// The next push, which must be `event`.
    pub async fn expect(&mut self, event: &str) -> Push {
        let push = self.next().await;
        assert_eq!(push.event, event, "{push:?}");
        push
    }

    pub async fn text(&mut self, text: String) {
        within("a write", self.socket.send(Message::text(text))).await.expect("sent");
    }

    /// Sends a text of `bytes` bytes, of which the client need not take all.
    pub async fn oversized(&mut self, bytes: usize) {
        let text = Message::text("x".repeat(bytes));
        // The client hangs up in the middle, so an error is what is expected here.
        drop(within("a long write", self.socket.send(text)).await);
    }

    /// Accepts a join, without saying that it is subscribed.
    pub async fn accept_join(&mut self, join: &Push) {
        let mut changes = join.payload["config"]["postgres_changes"].clone();
        for change in changes.as_array_mut().expect("a list") {
            change["id"] = json!(43_783_255);
        }
        self.text(join.reply("ok", &json!({"postgres_changes": changes}))).await;
    }

    /// Refuses a push.
    pub async fn refuse(&mut self, push: &Push, reason: &str) {
        self.text(push.reply("error", &json!({"reason": reason}))).await;
    }

    /// Sends a `system` message on a channel.
    pub async fn system(&mut self, join: &Push, status: &str, extension: &str, message: &str) {
        let payload = json!({"message": message, "status": status, "extension": extension,
            "channel": join.topic.trim_start_matches("realtime:")});
        self.text(join.frame(None, "system", &payload)).await;
    }

    /// Says that a channel is subscribed.
    pub async fn subscribed(&mut self, join: &Push) {
        self.system(join, "ok", "postgres_changes", "Subscribed to PostgreSQL").await;
    }

    /// Sends any other event on a channel.
    pub async fn event(&mut self, join: &Push, event: &str, payload: &Value) {
        let reference = (event == "phx_close" || event == "phx_error").then_some(&*join.reference);
        self.text(join.frame(reference, event, payload)).await;
    }

    /// Sends a row change on a channel, as the server writes them.
    pub async fn change(&mut self, join: &Push, record: &Value) {
        let asked = &join.payload["config"]["postgres_changes"][0];
        let payload = json!({"ids": [43_783_255], "data": {"table": asked["table"],
            "type": asked["event"], "record": record, "columns": [], "errors": null,
            "schema": "public", "commit_timestamp": "2026-11-22T11:41:38.797Z"}});
        self.event(join, "postgres_changes", &payload).await;
    }

    /// Accepts and subscribes both channels; returns their joins in the client's order.
    pub async fn welcome(&mut self) -> [Push; 2] {
        let joins = [self.expect("phx_join").await, self.expect("phx_join").await];
        for join in &joins {
            self.accept_join(join).await;
            self.subscribed(join).await;
        }
        joins
    }

    /// Closes with a code, or without any farewell for 1006.
    pub async fn close(mut self, code: u16) {
        if code == 1006 {
            return;
        }
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        within("a close", self.socket.close(Some(frame))).await.expect("closed");
    }

    /// Waits until the client has gone, whatever it sends before.
    pub async fn gone(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(Ok(message)) = within("the client's end", self.socket.next()).await {
            if let Message::Close(Some(frame)) = message {
                code = Some(frame.code.into());
            }
        }
        code
    }
}
