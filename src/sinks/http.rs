//! An HTTP receiver for Slack messages and webhooks: answers `ok`, or whatever it is told to.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::inbox::Inbox;

const HEAD_MAX: u64 = 64 * 1024;
const BODY_MAX: usize = 1024 * 1024;
const CONNECTIONS_MAX: usize = 128;
const IDLE_MAX: Duration = Duration::from_secs(120);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When the body was complete.
    pub received_at: Instant,
}

impl HttpRequest {
    /// The first header of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What the sink does with one request.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Duration,
    reset: bool,
}

impl Answer {
    /// An answer with this status and body.
    #[must_use]
    pub fn new(status: u16, body: &str) -> Self {
        let (headers, body) = (Vec::new(), body.to_owned());
        Self { status, headers, body, delay: Duration::ZERO, reset: false }
    }

    /// Slack's answer to a message it took.
    #[must_use]
    pub fn ok() -> Self {
        Self::new(200, "ok")
    }

    /// The connection is closed after the request was read, without an answer.
    #[must_use]
    pub fn reset() -> Self {
        Self { reset: true, ..Self::ok() }
    }

    /// The same answer with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same answer after a while.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Answers requests that no script answers.
type Responder = Box<dyn Fn(&HttpRequest) -> Answer + Send + Sync>;

struct State {
    inbox: Inbox<HttpRequest>,
    script: Mutex<Script>,
    responder: Option<Responder>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Script {
    next: VecDeque<Answer>,
    otherwise: Answer,
}

/// The receiver; it stops when it is dropped.
#[derive(Debug)]
pub struct HttpSink {
    address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl HttpSink {
    /// Listens on a free port of 127.0.0.1 and answers `ok`.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::listen(Ipv4Addr::LOCALHOST, None).await
    }

    /// The same at another address of this machine, such as 127.0.0.2.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start_at(ip: Ipv4Addr) -> io::Result<Self> {
        Self::listen(ip, None).await
    }

    /// The same with answers that `responder` makes. Answers of a script go first, and the request
    /// does not reach the responder then, except where the script only loses its answer.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn answering(
        responder: impl Fn(&HttpRequest) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen(Ipv4Addr::LOCALHOST, Some(Box::new(responder))).await
    }

    async fn listen(ip: Ipv4Addr, responder: Option<Responder>) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let script = Mutex::new(Script { next: VecDeque::new(), otherwise: Answer::ok() });
        let state = Arc::new(State { inbox: Inbox::new(), script, responder });
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, Arc::clone(&state), stop.clone()));
        Ok(Self { address, state, stop, _task: AbortOnDropHandle::new(task) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address at this sink; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next requests get these answers, one each; later ones the usual answer.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.script().next.extend(answers);
    }

    /// What requests get when the script has ended.
    pub fn otherwise(&self, answer: Answer) {
        self.state.script().otherwise = answer;
    }

    /// The next request that nobody has taken, waiting at most `limit` for it.
    pub async fn next(&self, limit: Duration) -> Option<HttpRequest> {
        self.state.inbox.next(limit).await
    }

    /// All requests so far (the last 10,000).
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.state.inbox.all()
    }
}

impl Drop for HttpSink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl State {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &HttpRequest) -> Answer {
        let (scripted, otherwise) = {
            let mut script = self.script();
            (script.next.pop_front(), script.otherwise.clone())
        };
        match (scripted, &self.responder) {
            (Some(scripted), Some(responder)) if scripted.reset => {
                responder(request);
                scripted
            }
            (Some(scripted), _) => scripted,
            (None, Some(responder)) => responder(request),
            (None, None) => otherwise,
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                if let Ok((stream, _)) = accepted {
                    let state = Arc::clone(&state);
                    connections.spawn(async move {
                        // A client that breaks off is no concern of the sink.
                        serve(stream, &state).await.ok();
                    });
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let request = timeout(IDLE_MAX, read_request(&mut stream)).await??;
        let Some(request) = request else { return Ok(()) };
        let answer = state.answer(&request);
        state.inbox.put(request);
        sleep(answer.delay).await;
        if answer.reset {
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n{}", answer.body.len(), answer.body));
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
    }
}

/// The next request; none where the client has closed the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<HttpRequest>> {
    let mut first = String::new();
    let mut head = (&mut *stream).take(HEAD_MAX);
    if head.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if head.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Ok(0), |(_, value)| value.parse::<usize>());
    let length = length.ok().filter(|length| *length <= BODY_MAX);
    let mut body = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut body).await?;
    let (method, path) = (method.to_owned(), path.to_owned());
    Ok(Some(HttpRequest { method, path, headers, body, received_at: Instant::now() }))
}
