//! One websocket: opening, reading, writing, closing, each with its own time-out.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        client::IntoClientRequest,
        http::header::{HOST, HeaderValue, USER_AGENT},
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    config::Target,
    errors::{Disposition, Failure, classify},
    frame::MAX_FRAME_BYTES,
};

/// An open websocket.
pub(super) struct Connection {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a read brings.
pub(super) enum Incoming {
    /// A text frame.
    Text(Utf8Bytes),
    /// Ping, pong, binary: nothing that concerns the session.
    Nothing,
    /// The socket is gone.
    Closed(String),
}

/// Why a socket could not be opened; no text contains an address or a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the server refused the websocket with HTTP status {status}{hint}")]
    Refused { status: u16, hint: &'static str },
    #[error("no websocket within the time-out")]
    TimedOut,
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the address or the answer to the handshake is invalid: {0}")]
    Protocol(String),
}

impl ConnectError {
    pub(super) fn disposition(&self) -> Disposition {
        match self {
            Self::Refused { status, .. } => classify(Failure::Handshake(*status)),
            Self::TimedOut | Self::Io(_) | Self::Protocol(_) => classify(Failure::Unanswered),
        }
    }
}

impl From<tungstenite::Error> for ConnectError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Http(answer) => {
                let status = answer.status().as_u16();
                let hint = match status {
                    401 => ": the API key is missing, expired or not of this project",
                    403 => ": the project is suspended, or the key or protocol is not accepted",
                    404 => ": no such project at this address; a Host override may be missing",
                    429 => ": too many connections or joins",
                    _ => "",
                };
                Self::Refused { status, hint }
            }
            tungstenite::Error::Io(error) => Self::Io(error),
            // Addresses are kept out of the text, since ours holds the key.
            tungstenite::Error::Url(_) => Self::Protocol("bad address".to_owned()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl Connection {
    /// Opens a websocket to `target`; `token` stands in where there is no API key.
    pub(super) async fn open(target: &Target, token: &SecretString) -> Result<Self, ConnectError> {
        let unfit =
            || ConnectError::Protocol("the access token is not fit for a header".to_owned());
        let (uri, apikey) = target.address(token).ok_or_else(unfit)?;
        let mut request = uri.expose_secret().into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("apikey", apikey);
        headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        if let Some(host) = &target.host {
            headers.insert(HOST, host.clone());
        }
        let limits = WebSocketConfig::default()
            .read_buffer_size(64 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(1024 * 1024)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let connector = target.tls.clone().map_or(Connector::Plain, Connector::Rustls);
        let opening = connect_async_tls_with_config(request, Some(limits), true, Some(connector));
        // The future holds a whole TLS handshake; boxed, it does not bloat its callers.
        let (stream, _) = timeout(target.timing.connect, Box::pin(opening))
            .await
            .map_err(|_| ConnectError::TimedOut)??;
        Ok(Self { stream })
    }

    /// Waits for the next frame.
    pub(super) async fn next(&mut self) -> Incoming {
        incoming(self.stream.next().await)
    }

    /// The next frame, if it has arrived already.
    pub(super) fn ready(&mut self) -> Option<Incoming> {
        self.stream.next().now_or_never().map(incoming)
    }

    /// Sends a text frame; an error is the reason why the socket is gone.
    pub(super) async fn send(&mut self, text: String, limit: Duration) -> Result<(), String> {
        match timeout(limit, self.stream.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err("a write did not finish in time".to_owned()),
        }
    }

    /// Says good-bye, and waits no longer than a second for it to be heard.
    pub(super) async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
        drop(timeout(Duration::from_secs(1), self.stream.close(Some(frame))).await);
    }
}

fn incoming(item: Option<Result<Message, tungstenite::Error>>) -> Incoming {
    match item {
        Some(Ok(Message::Text(text))) => Incoming::Text(text),
        Some(Ok(Message::Close(Some(frame)))) => {
            Incoming::Closed(format!("the server closed it with code {}", u16::from(frame.code)))
        }
        Some(Ok(Message::Close(None))) => {
            Incoming::Closed("the server closed it without a code".to_owned())
        }
        Some(Ok(_)) => Incoming::Nothing,
        Some(Err(error)) => Incoming::Closed(lost(&error)),
        None => Incoming::Closed("the connection ended".to_owned()),
    }
}

fn lost(error: &tungstenite::Error) -> String {
    match error {
        // This variant carries the unsent frame, which may hold a token.
        tungstenite::Error::WriteBufferFull(_) => "the write buffer is full".to_owned(),
        error => error.to_string(),
    }
}
