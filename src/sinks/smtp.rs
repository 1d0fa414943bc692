//! A mail server that keeps what it gets: a real SMTP conversation, with faults on request.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

const LINE_MAX: u64 = 64 * 1024;
const MAIL_MAX: usize = 1024 * 1024;
const CONNECTIONS_MAX: usize = 128;
const IDLE_MAX: Duration = Duration::from_secs(120);

/// A mail as it came.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients that were accepted.
    pub to: Vec<String>,
    /// Headers and body, with dots unstuffed and lines ending in CR LF.
    pub data: String,
    /// When the last line had come.
    pub received_at: Instant,
}

impl Mail {
    /// The first header of that name, unfolded but not decoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailFault {
    /// The next recipient is put off with 451, as greylisting does.
    Greylist,
    /// The server says nothing more when the next recipient is named.
    Hang,
    /// The next mail is taken, but the connection closes before the server says so.
    LoseReply,
}

#[derive(Debug)]
struct State {
    inbox: Inbox<Mail>,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    refused: HashMap<String, String>,
    faults: VecDeque<MailFault>,
}

/// The mail server; it stops when it is dropped.
#[derive(Debug)]
pub struct SmtpSink {
    address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl SmtpSink {
    /// Listens on a free port of 127.0.0.1 and accepts every mail and every password.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { inbox: Inbox::new(), script: Mutex::default() });
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, Arc::clone(&state), stop.clone()));
        Ok(Self { address, state, stop, _task: AbortOnDropHandle::new(task) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as the mail configuration wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Answers this recipient with `reply`, such as `550 5.1.1 no such user`, from now on.
    pub fn refuse(&self, recipient: &str, reply: &str) {
        self.state.script().refused.insert(recipient.to_owned(), reply.to_owned());
    }

    /// These faults happen once each, in this order.
    pub fn script(&self, faults: impl IntoIterator<Item = MailFault>) {
        self.state.script().faults.extend(faults);
    }

    /// The next mail that nobody has taken, waiting at most `limit` for it.
    pub async fn next(&self, limit: Duration) -> Option<Mail> {
        self.state.inbox.next(limit).await
    }

    /// All mails so far (the last 10,000).
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.state.inbox.all()
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl State {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next fault, where it is one of these.
    fn meets(&self, kinds: &[MailFault]) -> Option<MailFault> {
        self.script().faults.pop_front_if(|fault| kinds.contains(fault))
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
                        let stream = BufReader::new(stream);
                        Conversation { stream, state, from: None, to: Vec::new() }
                            .run()
                            .await
                            .ok();
                    });
                }
            }
        }
    }
}

struct Conversation {
    stream: BufReader<TcpStream>,
    state: Arc<State>,
    from: Option<String>,
    to: Vec<String>,
}

impl Conversation {
    async fn run(&mut self) -> io::Result<()> {
        self.stream.get_ref().set_nodelay(true)?;
        self.say("220 sink ESMTP").await?;
        while let Some(line) = self.line().await? {
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.say("250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN").await?,
                "AUTH" => self.authenticate(&line).await?,
                "MAIL" => {
                    self.from = Some(address(&line));
                    self.to.clear();
                    self.say("250 ok").await?;
                }
                "RCPT" => self.recipient(address(&line)).await?,
                "DATA" if self.to.is_empty() => self.say("503 no recipient").await?,
                "DATA" => {
                    self.say("354 go on").await?;
                    self.take_mail().await?;
                }
                "RSET" => {
                    (self.from, self.to) = (None, Vec::new());
                    self.say("250 ok").await?;
                }
                "HELO" | "NOOP" => self.say("250 ok").await?,
                "QUIT" => return self.say("221 bye").await,
                _ => self.say("502 not known here").await?,
            }
        }
        Ok(())
    }

    async fn authenticate(&mut self, line: &str) -> io::Result<()> {
        // The response stands in the command, or comes after a prompt.
        if line.split_whitespace().count() < 3 {
            self.say("334 ").await?;
            self.line().await?;
        }
        self.say("235 welcome").await
    }

    async fn recipient(&mut self, recipient: String) -> io::Result<()> {
        let fault = self.state.meets(&[MailFault::Greylist, MailFault::Hang]);
        let refused = self.state.script().refused.get(&recipient).cloned();
        match (fault, refused) {
            (Some(MailFault::Hang), _) => {
                sleep(IDLE_MAX).await;
                Err(io::ErrorKind::TimedOut.into())
            }
            (Some(MailFault::Greylist), _) => self.say("451 4.7.1 greylisted, try later").await,
            (Some(MailFault::LoseReply) | None, Some(reply)) => self.say(&reply).await,
            (Some(MailFault::LoseReply) | None, None) => {
                self.to.push(recipient);
                self.say("250 ok").await
            }
        }
    }

    async fn take_mail(&mut self) -> io::Result<()> {
        let mut data = String::new();
        loop {
            let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line == "." {
                break;
            }
            if data.len() + line.len() > MAIL_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        self.state.inbox.put(Mail { from, to, data, received_at: Instant::now() });
        if self.state.meets(&[MailFault::LoseReply]).is_some() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.say("250 2.0.0 kept").await
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// The next line without its end; none where the client has closed the connection.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_MAX);
        let count = timeout(IDLE_MAX, limited.read_until(b'\n', &mut bytes)).await??;
        let text = String::from_utf8_lossy(&bytes);
        Ok((count > 0).then(|| text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

/// The address between angle brackets.
fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(String::new, |(address, _)| address.to_owned())
}
